//! The invariants of ARCHITECTURE.md, checked in the sources, and the documents.

mod code_map;
mod documents;
mod modules;
mod mutants;
mod paths;
pub(crate) mod source;
mod sync_points;
