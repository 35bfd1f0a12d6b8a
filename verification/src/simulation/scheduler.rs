//! The scheduler: pauses every invocation at each of its steps until the driver resumes it.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use call_log::delivery::sync_point::{Observer, Pause};

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
    next_number: u64,
    paused: Vec<(PausedStep, Option<Waker>)>,
}

thread_local! {
    static SCHEDULER: RefCell<Scheduler> = RefCell::default();
}

fn with<T>(use_scheduler: impl FnOnce(&mut Scheduler) -> T) -> T {
    SCHEDULER.with_borrow_mut(use_scheduler)
}

/// Sets the invocation that is about to be polled.
pub(super) fn set_running(invocation: usize) {
    with(|scheduler| scheduler.running = invocation);
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
        with(|scheduler| match scheduler.paused.iter_mut().find(|(paused, _)| paused.number == self.number) {
            Some((_, waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
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
