//! Where the steps of all invocations stop, until the driver lets one go on.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use call_log::delivery::sync_point::{Observer, Pause};

/// Where in a step an invocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The step has not begun.
    Before,
    /// A request that may change the CRM is under way.
    Under,
    /// The step has ended, and its outcome has not been looked at.
    After,
}

/// An invocation that stands at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub number: u64,
    /// Which invocation, in the order in which they were started.
    pub task: usize,
    pub step: &'static str,
    pub place: Place,
}

#[derive(Debug, Default)]
struct Board {
    /// The invocation that runs now.
    task: usize,
    next: u64,
    waiting: Vec<(Ticket, Option<Waker>)>,
}

thread_local! {
    static BOARD: RefCell<Board> = RefCell::default();
}

fn with<T>(look: impl FnOnce(&mut Board) -> T) -> T {
    BOARD.with_borrow_mut(look)
}

/// Says which invocation runs from now on.
pub fn enter(task: usize) {
    with(|board| board.task = task);
}

/// The invocation that runs now.
pub fn task() -> usize {
    with(|board| board.task)
}

/// Whoever waits, in the order in which they came.
pub fn waiting() -> Vec<Ticket> {
    with(|board| board.waiting.iter().map(|(ticket, _)| *ticket).collect())
}

/// Lets one go on.
pub fn let_go(ticket: Ticket) {
    with(|board| board.remove(ticket.number)).into_iter().for_each(Waker::wake);
}

/// Takes away whatever an earlier schedule left.
pub fn clear() {
    with(|board| *board = Board::default());
}

impl Board {
    /// Takes a ticket away; whom to wake.
    fn remove(&mut self, number: u64) -> Option<Waker> {
        let at = self.waiting.iter().position(|(ticket, _)| ticket.number == number)?;
        self.waiting.remove(at).1
    }
}

/// Waits until the driver lets it go on.
#[derive(Debug)]
pub struct Stop(u64);

/// Stops the invocation that runs now.
pub fn stop(step: &'static str, place: Place) -> Stop {
    with(|board| {
        let number = board.next;
        board.next += 1;
        board.waiting.push((Ticket { number, task: board.task, step, place }, None));
        Stop(number)
    })
}

impl Stop {
    /// The number of its ticket.
    pub fn number(&self) -> u64 {
        self.0
    }
}

impl Future for Stop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        with(|board| match board.waiting.iter_mut().find(|(ticket, _)| ticket.number == self.0) {
            Some((_, waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        drop(with(|board| board.remove(self.0)));
    }
}

/// Stops every invocation before and after each of its steps.
#[derive(Debug)]
pub struct Stops;

impl Observer for Stops {
    fn before(&self, step: &'static str) -> Pause<'_> {
        Box::pin(stop(step, Place::Before))
    }

    fn after(&self, step: &'static str) -> Pause<'_> {
        Box::pin(stop(step, Place::After))
    }
}
