//! Every step of an invocation that leaves the process, by name: a request to the table, to the CRM, to the token
//! host, or a pause.
//!
//! An invocation can die, lose an answer or be overtaken at exactly these places. A test puts an [`Observer`] in and
//! makes that happen at each of them, in every order. Without one, [`SyncPoints::reach`] only awaits.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// A step of the observer's own.
pub type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Is told of each step, and may hold an invocation there, or never let it go on.
pub trait Observer: fmt::Debug + Send + Sync {
    /// The step is about to begin.
    fn before(&self, step: &'static str) -> Pause<'_>;

    /// The step has ended; its outcome has not been looked at.
    fn after(&self, step: &'static str) -> Pause<'_>;
}

/// The steps of a process, observed or not.
#[derive(Clone, Debug, Default)]
pub struct SyncPoints(Option<Arc<dyn Observer>>);

impl SyncPoints {
    /// SyncPoints that this observer is told of.
    pub fn observed_by(observer: Arc<dyn Observer>) -> SyncPoints {
        SyncPoints(Some(observer))
    }

    /// Takes the step of that name.
    pub(crate) async fn reach<T>(&self, name: &'static str, step: impl Future<Output = T>) -> T {
        let Some(observer) = &self.0 else { return step.await };
        observer.before(name).await;
        let outcome = step.await;
        observer.after(name).await;
        outcome
    }
}
