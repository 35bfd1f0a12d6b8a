//! The scheduler: pauses every invocation at each of its steps until the driver resumes it.
//!
//! It also knows for which call an invocation acts. A request is for its call. A redrive delivers several calls at the same
//! time, each in a future with a waker of its own; such a future acts for the call whose item it wrote last: the one whose
//! create claimed the item.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use call_log::delivery::sync_point::{Observer, Pause};
use rustc_hash::FxHashMap;

use super::requests::CallName;

/// The position of a paused invocation relative to its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Position {
    /// The step has not started.
    Before,
    /// A request that may change the CRM is on its way.
    InFlight,
    /// The step has ended, and the invocation has not used its result.
    After,
}

/// A step at which an invocation is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PausedStep {
    /// The number of the pause.
    pub number: u64,
    /// The number of the invocation, in the order in which they started.
    pub invocation: usize,
    /// The name of the step.
    pub step: &'static str,
    /// The position relative to the step.
    pub position: Position,
}

#[derive(Debug, Default)]
struct Scheduler {
    /// The invocation that is being polled.
    running: usize,
    /// The call of its request; `None` if it is a redrive.
    running_call: Option<CallName>,
    /// The key of the item that a redrive has written since it was resumed.
    written_item: Option<String>,
    /// For each future of a redrive, by invocation and waker, the key of the item that it wrote last.
    redriven_items: FxHashMap<(usize, usize), String>,
    /// The call whose create claimed an item last, by the key of the item.
    claims: BTreeMap<String, CallName>,
    next_number: u64,
    paused: Vec<(PausedStep, Option<Waker>)>,
}

thread_local! {
    static SCHEDULER: RefCell<Scheduler> = RefCell::default();
}

fn with<T>(use_scheduler: impl FnOnce(&mut Scheduler) -> T) -> T {
    SCHEDULER.with_borrow_mut(use_scheduler)
}

/// Sets the invocation that is about to be polled, and the call of its request.
pub(super) fn set_running(invocation: usize, call: Option<CallName>) {
    with(|scheduler| {
        scheduler.running = invocation;
        scheduler.running_call = call;
        scheduler.written_item = None;
    });
}

/// Returns the call of the request whose invocation is being polled; `None` if it is a redrive.
pub(super) fn running_call() -> Option<CallName> {
    with(|scheduler| scheduler.running_call.clone())
}

/// Stores which call's item a redrive has just written. The future that gets the response pauses next, after the step of
/// the request.
pub(super) fn set_written_item(key: String) {
    with(|scheduler| scheduler.written_item = Some(key));
}

/// Stores that a create of this call has claimed the item with this key.
pub(super) fn set_claim(key: String, call: CallName) {
    with(|scheduler| scheduler.claims.insert(key, call));
}

/// Returns the keys of the items that creates of this call were the last to claim.
pub(super) fn claimed_by(call: &CallName) -> Vec<String> {
    with(|scheduler| {
        let claims = scheduler.claims.iter().filter(|(_, claimed)| *claimed == call);
        claims.map(|(key, _)| key.clone()).collect()
    })
}

/// Returns the call whose create claimed the item with this key last.
pub(super) fn claim_of(key: &str) -> Option<CallName> {
    with(|scheduler| scheduler.claims.get(key).cloned())
}

/// Returns the call for which the invocation that is being polled acts.
pub(super) async fn acting_call() -> CallName {
    let call = poll_fn(|context| Poll::Ready(with(|scheduler| scheduler.call_of(context.waker()))));
    call.await.expect("a redrive claims a call before it writes to the CRM")
}

/// Returns the invocation that is being polled.
pub(super) fn running() -> usize {
    with(|scheduler| scheduler.running)
}

/// Returns every paused step, in the order of the pauses.
pub fn paused() -> Vec<PausedStep> {
    with(|scheduler| scheduler.paused.iter().map(|(paused, _)| *paused).collect())
}

/// Resumes a paused step: the next poll of its invocation continues.
pub(super) fn resume(paused: PausedStep) {
    with(|scheduler| scheduler.remove(paused.number)).into_iter().for_each(Waker::wake);
}

/// Removes everything that an earlier schedule left.
pub(super) fn clear() {
    with(|scheduler| *scheduler = Scheduler::default());
}

impl Scheduler {
    /// Removes a paused step and returns its waker.
    fn remove(&mut self, number: u64) -> Option<Waker> {
        let index = self.paused.iter().position(|(paused, _)| paused.number == number)?;
        self.paused.remove(index).1
    }

    fn call_of(&self, waker: &Waker) -> Option<CallName> {
        let redriven = || self.claims.get(self.redriven_items.get(&self.future_of(waker))?).cloned();
        self.running_call.clone().or_else(redriven)
    }

    fn future_of(&self, waker: &Waker) -> (usize, usize) {
        (self.running, waker.data().addr())
    }
}

/// A future that completes when the driver resumes the step.
#[derive(Debug)]
pub(super) struct Resumed {
    number: u64,
}

/// Pauses the invocation that is being polled.
pub(super) fn pause(step: &'static str, position: Position) -> Resumed {
    with(|scheduler| {
        let number = scheduler.next_number;
        scheduler.next_number += 1;
        let paused = PausedStep { number, invocation: scheduler.running, step, position };
        scheduler.paused.push((paused, None));
        Resumed { number }
    })
}

impl Resumed {
    /// Returns the number of the paused step.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Future for Resumed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        with(|scheduler| {
            if let Some(item) = scheduler.written_item.take() {
                let future = scheduler.future_of(context.waker());
                scheduler.redriven_items.insert(future, item);
            }
            match scheduler.paused.iter_mut().find(|(paused, _)| paused.number == self.number) {
                Some((_, waker)) => {
                    *waker = Some(context.waker().clone());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        })
    }
}

impl Drop for Resumed {
    fn drop(&mut self) {
        drop(with(|scheduler| scheduler.remove(self.number)));
    }
}

/// An observer that pauses every invocation before and after each of its steps.
#[derive(Debug)]
pub(super) struct PauseEverywhere;

impl Observer for PauseEverywhere {
    fn before(&self, step: &'static str) -> Pause<'_> {
        Box::pin(pause(step, Position::Before))
    }

    fn after(&self, step: &'static str) -> Pause<'_> {
        Box::pin(pause(step, Position::After))
    }
}
