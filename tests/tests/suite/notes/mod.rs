//! The call note: conformance, what people edit, and reported faults.

mod examples;
mod merging;
mod requests;
