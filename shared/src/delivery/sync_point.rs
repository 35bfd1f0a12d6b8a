//! Sync points: every step of an invocation that leaves the process, by name. Such a step is a request to the table, to
//! the CRM or to the token host, or a pause.
//!
//! These are the places where an invocation can die, lose a response or be overtaken by another one. A test passes an
//! [`Observer`] and makes that happen at each of them, in every order. Without an observer, [`SyncPoints::reach`] only
//! awaits the step. A test checks that no step of the protocol lacks a name.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// A wait that the observer inserts before or after a step.
pub type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Observes each step. It can delay an invocation there, or never let it continue.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Runs before the step begins.
    fn before(&self, step: &'static str) -> Pause<'_>;

    /// Runs when the step has ended, before the invocation looks at its result.
    fn after(&self, step: &'static str) -> Pause<'_>;
}

/// The sync points of a process, with an observer in tests.
#[derive(Clone, Debug, Default)]
pub struct SyncPoints(Option<Arc<dyn Observer>>);

impl SyncPoints {
    /// Returns sync points that this observer observes.
    pub fn observed_by(observer: Arc<dyn Observer>) -> SyncPoints {
        SyncPoints(Some(observer))
    }

    /// Takes the step with this name.
    pub(crate) async fn reach<T>(&self, name: &'static str, step: impl Future<Output = T>) -> T {
        let Some(observer) = &self.0 else { return step.await };
        observer.before(name).await;
        let outcome = step.await;
        observer.after(name).await;
        outcome
    }
}
