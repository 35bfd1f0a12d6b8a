//! The Example CRM: a small CRM inside this program, to see how calls are logged without an account of a real CRM.
//!
//! [`record`] defines the records, [`store`] holds them and publishes changes, [`file`](mod@file) saves them,
//! [`api`] is the HTTP API, and [`trouble`] makes it fail. Nothing here knows the format of notes: a body is text, as in any CRM.

mod api;
mod file;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod trouble;

use std::{io, path::PathBuf, sync::Arc};

pub use api::router;
use call_log::model::{Clock, Secret};
use tokio::sync::{Notify, watch};
pub use trouble::Trouble;

/// An Example CRM. Clones share its records and its trouble.
#[derive(Clone, Debug)]
pub struct ExampleCrm {
    store: Arc<store::Store>,
    key: Secret,
    trouble: watch::Sender<Trouble>,
    /// Told when the functions that wait for a response are killed.
    kills: Arc<Notify>,
}

impl ExampleCrm {
    /// Opens the CRM whose data is in `directory`, or a new one in memory. A new CRM has a few contacts. Requests to its
    /// API must contain `key`.
    ///
    /// # Errors
    ///
    /// If `key` is empty, or the file in `directory` cannot be read or written.
    pub fn open(directory: Option<PathBuf>, key: &str, clock: Clock) -> io::Result<ExampleCrm> {
        if key.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the Example CRM requires a key that is not empty",
            ));
        }
        let store = Arc::new(store::Store::open(directory, clock)?);
        let (trouble, kills) = (watch::Sender::default(), Arc::default());
        Ok(ExampleCrm { store, key: Secret::new(key), trouble, kills })
    }

    /// Returns the number of activities.
    pub fn activity_count(&self) -> usize {
        self.store.activities(None, None).len()
    }
}
