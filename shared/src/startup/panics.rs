//! Panics: the log has their location, and never their message.
//!
//! Messages of the standard library quote the text that the panic is about, which may be what a person said on the
//! telephone.

use std::panic::{AssertUnwindSafe, set_hook};

use futures_util::FutureExt;

/// A panic during a request. The log has its location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request panicked: the log has the location")]
pub struct Panicked;

/// Installs a panic hook that logs only the location. Logging must be installed before.
pub fn install_hook() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        tracing::error!(place, "the program panicked");
    }));
}

/// Returns the output of `work`. The payload of a panic is dropped, because the caller would report its message.
///
/// # Errors
///
/// If `work` panics.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}
