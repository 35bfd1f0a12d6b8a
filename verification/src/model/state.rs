//! One state of the whole: the item, who is at it, what is in the CRM, what is on its way, and what may still go wrong.

use std::ops::Range;

use call_log::store::State;

/// A set of facts: which of the updates' facts are meant.
pub type CallDetails = u8;
pub const NOTHING: CallDetails = 0;

/// No log.
pub const NONE: u8 = 3;
/// How many logs a CRM can come to hold here.
pub const LOGS: usize = 3;
/// How many requests can be on their way that nobody waits for.
pub const STRAYS: usize = 3;
/// Three creates, two updates, two redrives.
pub const SLOTS: usize = 7;
pub const CREATES: Range<usize> = 0..3;
pub const UPDATES: Range<usize> = 3..5;
pub const REDRIVES: Range<usize> = 5..7;

/// Whom the call was with: the log is made for it, and looked for by it.
pub type Contact = u8;
/// A set of contacts: a bit each.
pub type Contacts = u8;

/// Until when nobody else may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lease {
    /// `busy` is over.
    #[default]
    Free,
    /// The owner's deadline is to come.
    Held,
    /// The grace is running: the deadline has passed, or the owner let go without an answer.
    Grace,
}

/// Whether, and when, a redrive takes it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    #[default]
    Never,
    /// As soon as `busy` and the back-off are over.
    Soon,
    /// When the audit is.
    AtAudit,
}

/// A call log's item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// `None`: there is no item.
    pub state: Option<State>,
    pub lease: Lease,
    /// An attempt may have landed unseen.
    pub ambiguous: bool,
    pub log: u8,
    /// Every fact that ever came: the counter `wantv`, for each update brings another fact.
    pub noted: CallDetails,
    /// Those that wait to be written.
    pub waiting: CallDetails,
    /// Those that are said to be in the CRM.
    pub done: CallDetails,
    pub due: Due,
    pub audit: bool,
    /// What a request brought is kept.
    pub payload: bool,
    /// Whom that names.
    pub contact: Contact,
    /// By whom the attempts that may have landed are looked for.
    pub sought: Contacts,
    /// Not an attribute: an alarm has told people that it is no longer tried.
    pub given_up: bool,
}

/// What an invocation is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum At {
    /// Its first request to the table.
    Start,
    Enqueue,
    /// An update waits for the owner to write what it noted.
    Look,
    Park,
    List,
    PostCheck,
    PostSend,
    PostWait,
    ListAgain,
    Finish,
    Keep,
    Get,
    PatchCheck,
    PatchSend,
    PatchWait,
    GetAgain,
    AuditGet,
    AuditList,
    DeleteCheck,
    DeleteSend,
    DeleteWait,
    /// To let go: nothing was changed.
    Failed,
    /// To let go: nobody knows.
    Unanswered,
    /// To let go for good: the CRM refused the data.
    Refused,
    /// To let go for good: the log is no longer there.
    Gone,
    /// Nothing more.
    #[default]
    Done,
}

pub const PLACES: [At; 26] = [
    At::Start,
    At::Enqueue,
    At::Look,
    At::Park,
    At::List,
    At::PostCheck,
    At::PostSend,
    At::PostWait,
    At::ListAgain,
    At::Finish,
    At::Keep,
    At::Get,
    At::PatchCheck,
    At::PatchSend,
    At::PatchWait,
    At::GetAgain,
    At::AuditGet,
    At::AuditList,
    At::DeleteCheck,
    At::DeleteSend,
    At::DeleteWait,
    At::Failed,
    At::Unanswered,
    At::Refused,
    At::Gone,
    At::Done,
];

/// An invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worker {
    pub at: At,
    /// The item's owner is this one.
    pub owns: bool,
    /// Its deadline has passed.
    pub is_late: bool,
    /// The item's `pamb`: an attempt before this one may have landed unseen.
    pub was_ambiguous: bool,
    /// What was noted when it last saw the item.
    pub seen: CallDetails,
    /// What it is to write.
    pub facts: CallDetails,
    /// What it read in the log.
    pub read: CallDetails,
    pub log: u8,
    /// What it waits for has happened in the CRM.
    pub has_landed: bool,
    pub has_audited: bool,
    /// Logs that it is to delete: a bit each.
    pub doubles: u8,
    /// Whom its log is for.
    pub contact: Contact,
}

/// A log in the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// Never made.
    #[default]
    Unmade,
    Live(CallDetails),
    Deleted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    #[default]
    Post,
    Patch,
    Delete,
}

/// A write that is on its way to the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub method: Method,
    pub log: u8,
    pub body: CallDetails,
    /// What the log was when it was read: the version of a compare-and-set.
    pub read: CallDetails,
    pub contact: Contact,
}

/// What may still go wrong, each so many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    pub crashes: u8,
    /// A living owner sleeps until its lease has run out.
    pub pauses: u8,
    /// A write lands later than the grace.
    pub late: u8,
    /// A list does not show what there is.
    pub stale: u8,
    /// A person deletes the log.
    pub deletions: u8,
}

/// A state of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct World {
    pub item: Item,
    pub workers: [Worker; SLOTS],
    pub logs: [Log; LOGS],
    /// Whom each log is for.
    pub contacts: [Contact; LOGS],
    /// Writes that nobody waits for any more.
    pub strays: [Option<Message>; STRAYS],
    pub mishaps: Mishaps,
    /// What a caller was told would be logged.
    pub promised_create: bool,
    pub promised: CallDetails,
    /// A log or a stray more than there is room for.
    pub overflow: bool,
}

impl World {
    pub fn live(&self) -> impl Iterator<Item = (u8, CallDetails)> {
        self.logs.iter().zip(0..).filter_map(|(log, at)| match log {
            Log::Live(body) => Some((at, *body)),
            Log::Unmade | Log::Deleted => None,
        })
    }

    /// The logs that are found for one of these.
    pub fn live_for(&self, contacts: Contacts) -> impl Iterator<Item = u8> {
        let is_for = move |log: &u8| contacts & (1 << self.contacts[usize::from(*log)]) != 0;
        self.live().map(|(log, _)| log).filter(is_for)
    }

    pub fn body(&self, log: u8) -> Option<CallDetails> {
        match self.logs.get(usize::from(log)) {
            Some(Log::Live(body)) => Some(*body),
            _ => None,
        }
    }

    /// What a worker has on its way.
    pub fn in_flight(&self, slot: usize) -> Option<Message> {
        let worker = &self.workers[slot];
        let method = match worker.at {
            At::PostWait => Method::Post,
            At::PatchWait => Method::Patch,
            At::DeleteWait => Method::Delete,
            _ => return None,
        };
        let (log, body, read) = match method {
            Method::Post => (NONE, worker.facts, NOTHING),
            Method::Patch => (worker.log, worker.read | worker.facts, worker.read),
            Method::Delete => (worker.double(), NOTHING, NOTHING),
        };
        (!worker.has_landed).then_some(Message { method, log, body, read, contact: worker.contact })
    }

    /// The writes that may still land: those on their way, and those about to be sent.
    pub fn pending(&self) -> impl Iterator<Item = Method> {
        let strays = self.strays.iter().flatten().map(|message| message.method);
        let waited_for = (0..SLOTS).filter_map(|slot| self.in_flight(slot)).map(|message| message.method);
        let about_to = self.workers.iter().filter_map(|worker| match worker.at {
            At::PostSend => Some(Method::Post),
            At::PatchSend => Some(Method::Patch),
            At::DeleteSend => Some(Method::Delete),
            _ => None,
        });
        strays.chain(waited_for).chain(about_to)
    }

    /// POSTs and PATCHes on their way at this moment.
    pub fn writes_under_way(&self) -> usize {
        let strays = self.strays.iter().flatten().copied();
        let all = strays.chain((0..SLOTS).filter_map(|slot| self.in_flight(slot)));
        all.filter(|message| message.method != Method::Delete).count()
    }

    /// What the worker has on its way is nobody's from now on.
    pub fn abandon(&mut self, slot: usize) {
        let Some(message) = self.in_flight(slot) else { return };
        match self.strays.iter_mut().find(|stray| stray.is_none()) {
            Some(stray) => *stray = Some(message),
            None => self.overflow = true,
        }
    }

    /// The worker has nothing more to do: a request ends, a redrive looks for what is due next.
    pub fn end(&mut self, slot: usize) {
        let at = if REDRIVES.contains(&slot) { At::Start } else { At::Done };
        self.workers[slot] = Worker { at, log: NONE, ..Worker::default() };
    }

    /// Nobody owns the item.
    pub fn disown(&mut self) {
        for worker in &mut self.workers {
            worker.owns = false;
        }
    }

    /// One of all states that differ only in which of two like invocations is which.
    pub fn canonical(mut self) -> World {
        for worker in &mut self.workers {
            worker.forget();
        }
        self.workers[CREATES].sort_unstable();
        self.workers[REDRIVES].sort_unstable();
        self.strays.sort_unstable();
        self
    }
}

impl Worker {
    /// What no later step asks for does not make two states of one.
    fn forget(&mut self) {
        let makes = [At::Start, At::List, At::PostCheck, At::PostSend, At::PostWait, At::ListAgain];
        if !makes.contains(&self.at) {
            self.contact = 0;
        }
        if !matches!(self.at, At::PatchCheck | At::PatchSend | At::PatchWait) {
            self.read = NOTHING;
        }
        if matches!(self.at, At::Failed | At::Unanswered | At::Refused | At::Gone) {
            self.log = NONE;
            self.doubles = 0;
            self.is_late = false;
        }
        if matches!(self.at, At::Failed | At::Unanswered | At::Gone) {
            self.facts = NOTHING;
        }
    }

    /// The log that it deletes next.
    pub fn double(&self) -> u8 {
        self.doubles.trailing_zeros().min(u32::from(NONE)) as u8
    }
}
