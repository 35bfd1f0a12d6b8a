//! What becomes of a panic: its place goes to the log, and nothing of what it says.
//!
//! A message that the standard library makes up quotes the text that it was about, and that may be what somebody said
//! on the phone.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    pin::pin,
    task::Poll,
};

/// A panic, which is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request made the program panic; the log says where")]
pub struct Panicked;

/// From now on a panic is told by its place. For the start of a process, once there is a log.
pub fn log_places() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(place, "the program panicked");
    }));
}

/// The result, unless the work panics: whoever runs it would pass the panic's message on.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}
