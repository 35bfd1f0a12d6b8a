//! A template for a new CRM: the smallest complete [`adapter`], and a [`fake`] of the CRM that it speaks to.
//!
//! The adapter is in no registry. The conformance suite compiles it and runs every case against it, so the template is
//! always complete. `docs/add-a-crm.md` describes how to copy and adapt both files.

pub mod adapter;
pub mod fake;

pub use adapter::TemplateCrm;
pub use fake::FakeTemplateCrm;
