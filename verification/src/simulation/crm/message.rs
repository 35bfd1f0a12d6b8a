//! The requests on their way to the fake CRM, and the responses on their way back.

use bytes::Bytes;
use call_log::{
    adapters::{CallLogChange, Error, NewCallLog},
    model::{CallLogId, Deadline},
};
use http::Response;

use super::{GRACE_MS, Sender, with};
use crate::simulation::{
    requests::Detail,
    scheduler::{self, Position},
    senders::Account,
};

/// A request that may change the CRM.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Create(Box<NewCallLog>),
    Change(CallLogId, CallLogChange),
    /// Adds a time entry with this duration or corrects the one that exists, or closes the record.
    Complete(CallLogId, Completion),
    Remove(CallLogId),
    /// A request of an adapter that speaks HTTP, with the record that it changes.
    Http(Write, Option<CallLogId>, http::Request<Bytes>),
}

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Create,
    Change,
    Complete,
    Remove,
}

/// The response to a request: the id of the record, or a response of HTTP.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Record(CallLogId),
    Http(Response<Bytes>),
}

/// The completion of a record.
#[derive(Clone, Debug)]
pub(super) enum Completion {
    /// Adds a time entry with this duration in seconds.
    AddEntry(String),
    /// Corrects the first time entry.
    CorrectEntry(String),
    /// Closes the record.
    Close,
}

impl Request {
    /// Returns the purpose of the request, and the record that exists already.
    pub(super) fn target(&self) -> (Write, Option<&CallLogId>) {
        match self {
            Request::Create(_) => (Write::Create, None),
            Request::Change(id, _) => (Write::Change, Some(id)),
            Request::Complete(id, _) => (Write::Complete, Some(id)),
            Request::Remove(id) => (Write::Remove, Some(id)),
            Request::Http(write, id, _) => (*write, id.as_ref()),
        }
    }

    pub(super) fn creates(&self) -> bool {
        self.target().0 == Write::Create
    }

    /// Returns the record that the request completes.
    pub(super) fn completes(&self) -> Option<&CallLogId> {
        let (write, id) = self.target();
        id.filter(|_| write == Write::Complete)
    }

    /// Returns `true` if the request writes this detail into a record.
    pub(super) fn writes(&self, detail: Detail) -> bool {
        if let Request::Http(_, _, request) = self {
            let text = detail.text();
            return request.body().windows(text.len()).any(|window| window == text.as_bytes());
        }
        let (subject, body) = match self {
            Request::Create(log) => (Some(&log.subject), Some(&log.body)),
            Request::Change(_, change) => (change.subject.as_ref(), change.body.as_ref()),
            Request::Complete(..) | Request::Remove(_) | Request::Http(..) => (None, None),
        };
        subject.into_iter().chain(body).any(|text| text.contains(&detail.text()))
    }
}

/// A request on its way to the CRM, or the response on its way back.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) sender: Sender,
    /// The request lands before this time or never, in milliseconds since 1970.
    pub(super) lands_before: i64,
    pub(super) request: Request,
    /// The response; `None` if the request has not landed.
    pub(super) response: Option<Result<Reply, Error>>,
    pub(super) abandoned: Option<Abandoned>,
}

/// A request whose sender has stopped waiting for the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abandoned {
    /// When it lands, in milliseconds since 1970; `None` if never.
    pub(super) lands_at: Option<i64>,
}

impl Message {
    pub(super) fn new(sender: Sender, lands_before: i64, request: Request) -> Message {
        Message { sender, lands_before, request, response: None, abandoned: None }
    }

    /// Returns when the request lands although its sender has stopped waiting, in milliseconds since 1970.
    pub(super) fn lands_at(&self) -> Option<i64> {
        self.abandoned.and_then(|abandoned| abandoned.lands_at)
    }

    /// Returns `true` if two requests may change the same record, or create two records of one call.
    pub(super) fn may_collide(&self, other: &Message) -> bool {
        match (self.request.target(), other.request.target()) {
            ((Write::Create, _), (Write::Create, _)) => self.sender.call == other.sender.call,
            ((_, Some(one)), (_, Some(id))) => one == id && self.sender.account == other.sender.account,
            _ => false,
        }
    }
}

/// Sends a request that may change the CRM, and waits for the response. `deadline`: the end of the sender's invocation.
pub(super) async fn deliver(
    step: &'static str,
    account: Account,
    deadline: Deadline,
    request: Request,
) -> Result<Reply, Error> {
    let call = scheduler::acting_call().await;
    let resumed = scheduler::pause(step, Position::InFlight);
    let paused_step = resumed.number();
    let sender = Sender { invocation: scheduler::running(), paused_step, account, call };
    with(|crm| crm.receive(Message::new(sender, deadline.0 + GRACE_MS, request)));
    resumed.await;
    with(|crm| crm.response_to(paused_step))
}
