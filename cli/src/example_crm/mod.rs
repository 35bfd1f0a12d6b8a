//! The Example CRM: a small CRM inside this program, so that a call log's whole life can be seen without an account
//! anywhere.
//!
//! [`record`] says what it keeps, [`store`] keeps it and tells who listens, [`file`](mod@file) puts it on disk,
//! [`api`] speaks HTTP. It knows nothing of call notes: a body is text, as in any CRM.

mod api;
mod file;
mod record;
mod store;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc};

pub use api::router;
use call_log::model::{Clock, Secret};

/// One Example CRM; clones share it.
#[derive(Clone, Debug)]
pub struct ExampleCrm {
    store: Arc<store::Store>,
    key: Secret,
}

impl ExampleCrm {
    /// Opens the CRM that is kept in `directory`, or one in memory. A new one starts with a few contacts. Callers of
    /// its API must show `key`.
    pub fn open(directory: Option<PathBuf>, key: &str, clock: Clock) -> io::Result<ExampleCrm> {
        if key.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the Example CRM needs a key that is not empty",
            ));
        }
        let store = Arc::new(store::Store::open(directory, clock)?);
        Ok(ExampleCrm { store, key: Secret::new(key) })
    }
}
