//! The call note: conformance, what people edit, and reported faults.

mod conformance;
mod contract;
mod defects;
