//! Checks of the sources against ARCHITECTURE.md, and of the references in the documents.

mod code_map;
mod crm_names;
mod documents;
mod modules;
mod mutants;
mod paths;
pub(crate) mod source;
mod sync_points;
