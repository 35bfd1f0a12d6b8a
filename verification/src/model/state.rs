//! One state of the model: the item, the invocations, the CRM, the writes on their way to it, and the faults that may
//! still happen.

use std::ops::Range;

use call_log::store::State;

/// A set of call details: one bit for the detail of each update.
pub type Details = u8;
/// The empty set of call details.
pub const NO_DETAILS: Details = 0;

/// The number of a CRM record that is not known.
pub const NO_RECORD: u8 = 3;
/// The most records that the CRM of the model can hold.
pub const RECORDS: usize = 3;
/// The most writes that can be on their way after their sender has stopped waiting.
pub const ABANDONED: usize = 3;
/// The most invocations: three creates, two updates, two redrives.
pub const SLOTS: usize = 7;
/// The slots of the creates.
pub const CREATES: Range<usize> = 0..3;
/// The slots of the updates.
pub const UPDATES: Range<usize> = 3..5;
/// The slots of the redrives.
pub const REDRIVES: Range<usize> = 5..7;

/// The contact that a record is created for and found by.
pub type Contact = u8;
/// A set of contacts: one bit each.
pub type Contacts = u8;

/// The lease on the item, as a claim sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lease {
    /// The lease has expired or was released: the item can be claimed.
    #[default]
    Free,
    /// The deadline of the lease holder has not passed.
    Held,
    /// The deadline has passed, or the lease holder released the lease without a response, and the grace is running.
    Grace,
}

/// When a redrive takes the item up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The item is not in the index of due items.
    #[default]
    Never,
    /// As soon as the lease and the back-off are over.
    Soon,
    /// When the duplicate sweep is due.
    AtSweep,
}

/// The item of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// The state in the table of transitions; `None` if there is no item.
    pub state: Option<State>,
    /// The lease.
    pub lease: Lease,
    /// An attempt may have created a record without a response.
    pub outcome_unknown: bool,
    /// The record that the item names.
    pub record: u8,
    /// Every detail that was ever queued. It stands for the counter `queued_version`, because each update brings a
    /// detail of its own.
    pub queued_version: Details,
    /// The details that wait to be written.
    pub queued_details: Details,
    /// The details that the item says are in the record.
    pub applied_version: Details,
    /// When a redrive takes the item up.
    pub due: Due,
    /// A duplicate sweep is to follow.
    pub needs_sweep: bool,
    /// The record still has to be completed.
    pub finish_pending: bool,
    /// The payload of a create request is kept.
    pub has_payload: bool,
    /// The contact in that payload.
    pub payload_contact: Contact,
    /// The contacts by which the attempts with an unknown outcome are searched.
    pub recovery_contacts: Contacts,
    /// An alarm has reported that delivery is no longer tried. This is not an attribute of the real item.
    pub given_up: bool,
}

/// The next step of an invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Sends its first request to the table.
    Start,
    /// Queues its detail for the lease holder.
    Enqueue,
    /// Waits for the lease holder to write the queued detail.
    AwaitHolder,
    /// Queues its detail where no item exists.
    EnqueueFirst,
    /// Searches for the record of an earlier attempt.
    Find,
    /// Checks its deadline before the POST.
    CheckPost,
    /// Sends the POST.
    SendPost,
    /// Waits for the response to the POST.
    AwaitPost,
    /// Finishes.
    Finish,
    /// Stores the record's id and keeps the lease.
    Keep,
    /// Reads the record.
    Read,
    /// Checks its deadline before the PATCH.
    CheckPatch,
    /// Sends the PATCH.
    SendPatch,
    /// Waits for the response to the PATCH.
    AwaitPatch,
    /// Reads the record after a PATCH without a response.
    ReadAfterPatch,
    /// Checks its deadline before the completion of the record.
    CheckCompletion,
    /// Sends the completion, unless the CRM shows that the record is complete.
    SendCompletion,
    /// Waits for the response to the completion.
    AwaitCompletion,
    /// Reads the record that the item names, for the duplicate sweep.
    SweepRead,
    /// Searches for duplicates.
    SweepFind,
    /// Checks its deadline before the DELETE.
    CheckDelete,
    /// Sends the DELETE of a duplicate.
    SendDelete,
    /// Waits for the response to the DELETE.
    AwaitDelete,
    /// Releases the item: nothing was changed.
    Failed,
    /// Releases the item: the outcome is unknown.
    OutcomeUnknown,
    /// Releases the item: the CRM rejected the data.
    Rejected,
    /// Releases the item: a person has deleted the record.
    Deleted,
    /// Has ended.
    #[default]
    Done,
}

/// Every phase, in the order of its number.
pub const PHASES: [Phase; 28] = [
    Phase::Start,
    Phase::Enqueue,
    Phase::AwaitHolder,
    Phase::EnqueueFirst,
    Phase::Find,
    Phase::CheckPost,
    Phase::SendPost,
    Phase::AwaitPost,
    Phase::Finish,
    Phase::Keep,
    Phase::Read,
    Phase::CheckPatch,
    Phase::SendPatch,
    Phase::AwaitPatch,
    Phase::ReadAfterPatch,
    Phase::CheckCompletion,
    Phase::SendCompletion,
    Phase::AwaitCompletion,
    Phase::SweepRead,
    Phase::SweepFind,
    Phase::CheckDelete,
    Phase::SendDelete,
    Phase::AwaitDelete,
    Phase::Failed,
    Phase::OutcomeUnknown,
    Phase::Rejected,
    Phase::Deleted,
    Phase::Done,
];

/// An invocation of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invocation {
    /// Its next step.
    pub phase: Phase,
    /// The item names it as the lease holder.
    pub holds_lease: bool,
    /// Its deadline has passed.
    pub is_late: bool,
    /// An attempt before this one has an unknown outcome.
    pub previous_outcome_unknown: bool,
    /// The item's `queued_version` when it last saw the item.
    pub seen_version: Details,
    /// The details that it has to write.
    pub details: Details,
    /// The details that it read in the record.
    pub read: Details,
    /// The record that it works on.
    pub record: u8,
    /// The write whose response it waits for has reached the CRM.
    pub has_landed: bool,
    /// It has completed the duplicate sweep.
    pub has_swept: bool,
    /// It has completed the record since it last changed it.
    pub has_completed: bool,
    /// The records that it has to delete: one bit each.
    pub duplicates: u8,
    /// The contact of its create.
    pub contact: Contact,
}

/// A record in the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrmRecord {
    /// It was never created.
    #[default]
    Absent,
    /// It exists and has these details.
    Live(Details),
    /// It was deleted.
    Deleted,
}

/// The method of a write to the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Creates a record.
    #[default]
    Post,
    /// Changes a record.
    Patch,
    /// Deletes a record.
    Delete,
    /// Completes a record: adds a time entry, or closes it.
    Complete,
}

/// A write on its way to the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrmWrite {
    /// The method.
    pub method: Method,
    /// The record that it changes or deletes.
    pub record: u8,
    /// The details in its body.
    pub body: Details,
    /// The details of the record when it was read. They stand for the version of a compare-and-set.
    pub read: Details,
    /// The contact of a new record.
    pub contact: Contact,
}

/// The number of times that each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// An invocation crashes.
    pub crashes: u8,
    /// A lease holder pauses until its lease has expired.
    pub pauses: u8,
    /// A write lands after the grace.
    pub late_writes: u8,
    /// A list does not show an existing record.
    pub stale_lists: u8,
    /// A person deletes the record.
    pub deletions: u8,
}

/// A state of the whole model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelState {
    /// The call's item.
    pub item: Item,
    /// The invocations, by slot.
    pub invocations: [Invocation; SLOTS],
    /// The records of the CRM.
    pub records: [CrmRecord; RECORDS],
    /// The contact of each record.
    pub record_contacts: [Contact; RECORDS],
    /// The number of times that each record was completed since it was last opened.
    pub completions: [u8; RECORDS],
    /// Writes on their way whose sender has stopped waiting.
    pub abandoned: [Option<CrmWrite>; ABANDONED],
    /// The faults that may still happen.
    pub faults: Faults,
    /// A caller was promised that the call will be logged.
    pub promised_create: bool,
    /// The details that callers were promised will be in the record.
    pub promised: Details,
    /// There is one record or abandoned write more than the model can hold.
    pub overflow: bool,
}

impl ModelState {
    /// Returns the records that exist, with their details.
    pub fn live(&self) -> impl Iterator<Item = (u8, Details)> {
        self.records.iter().zip(0..).filter_map(|(record, number)| match record {
            CrmRecord::Live(body) => Some((number, *body)),
            CrmRecord::Absent | CrmRecord::Deleted => None,
        })
    }

    /// Returns the records that exist for one of these contacts.
    pub fn live_for(&self, contacts: Contacts) -> impl Iterator<Item = u8> {
        let is_for = move |record: &u8| contacts & (1 << self.record_contacts[usize::from(*record)]) != 0;
        self.live().map(|(record, _)| record).filter(is_for)
    }

    /// Returns the details of a record, if it exists.
    pub fn body(&self, record: u8) -> Option<Details> {
        match self.records.get(usize::from(record)) {
            Some(CrmRecord::Live(body)) => Some(*body),
            _ => None,
        }
    }

    /// Returns `true` if a record is completed.
    pub fn is_complete(&self, record: u8) -> bool {
        self.completions.get(usize::from(record)).is_some_and(|completions| *completions > 0)
    }

    /// Returns the write that an invocation has on its way.
    pub fn in_flight(&self, slot: usize) -> Option<CrmWrite> {
        let invocation = &self.invocations[slot];
        let method = match invocation.phase {
            Phase::AwaitPost => Method::Post,
            Phase::AwaitPatch => Method::Patch,
            Phase::AwaitDelete => Method::Delete,
            Phase::AwaitCompletion => Method::Complete,
            _ => return None,
        };
        let (record, body, read) = match method {
            Method::Post => (NO_RECORD, invocation.details, NO_DETAILS),
            Method::Patch => (invocation.record, invocation.read | invocation.details, invocation.read),
            Method::Delete => (invocation.next_duplicate(), NO_DETAILS, NO_DETAILS),
            Method::Complete => (invocation.record, NO_DETAILS, NO_DETAILS),
        };
        let contact = invocation.contact;
        (!invocation.has_landed).then_some(CrmWrite { method, record, body, read, contact })
    }

    /// Returns the writes that may still land: those on their way and those about to be sent.
    pub fn pending(&self) -> impl Iterator<Item = Method> {
        let abandoned = self.abandoned.iter().flatten().map(|write| write.method);
        let awaited = (0..SLOTS).filter_map(|slot| self.in_flight(slot)).map(|write| write.method);
        let about_to = self.invocations.iter().filter_map(|invocation| match invocation.phase {
            Phase::SendPost => Some(Method::Post),
            Phase::SendPatch => Some(Method::Patch),
            Phase::SendDelete => Some(Method::Delete),
            Phase::SendCompletion => Some(Method::Complete),
            _ => None,
        });
        abandoned.chain(awaited).chain(about_to)
    }

    /// Returns how many POSTs, PATCHes and completions are on their way.
    pub fn writes_in_flight(&self) -> usize {
        let abandoned = self.abandoned.iter().flatten().copied();
        let all = abandoned.chain((0..SLOTS).filter_map(|slot| self.in_flight(slot)));
        all.filter(|write| write.method != Method::Delete).count()
    }

    /// Leaves the write of an invocation on its way without a sender that waits for it.
    pub(super) fn abandon(&mut self, slot: usize) {
        let Some(write) = self.in_flight(slot) else { return };
        match self.abandoned.iter_mut().find(|abandoned| abandoned.is_none()) {
            Some(free) => *free = Some(write),
            None => self.overflow = true,
        }
    }

    /// Ends the work of an invocation: a request ends, a redrive looks for the next item that is due.
    pub(super) fn end(&mut self, slot: usize) {
        let phase = if REDRIVES.contains(&slot) { Phase::Start } else { Phase::Done };
        self.invocations[slot] = Invocation { phase, record: NO_RECORD, ..Invocation::default() };
    }

    /// Removes the lease holder from the item.
    pub(super) fn remove_holder(&mut self) {
        for invocation in &mut self.invocations {
            invocation.holds_lease = false;
        }
    }

    /// Returns the representative of all states that differ only in which of two interchangeable invocations is which.
    pub fn canonical(mut self) -> ModelState {
        for invocation in &mut self.invocations {
            invocation.forget_unused();
        }
        self.invocations[CREATES].sort_unstable();
        self.invocations[REDRIVES].sort_unstable();
        self.abandoned.sort_unstable();
        self
    }
}

impl Invocation {
    /// Resets what no later step reads, so that it does not split one state into two.
    fn forget_unused(&mut self) {
        let creating = [Phase::Start, Phase::Find, Phase::CheckPost, Phase::SendPost, Phase::AwaitPost];
        if !creating.contains(&self.phase) {
            self.contact = 0;
        }
        if !matches!(self.phase, Phase::CheckPatch | Phase::SendPatch | Phase::AwaitPatch) {
            self.read = NO_DETAILS;
        }
        if matches!(self.phase, Phase::Failed | Phase::OutcomeUnknown | Phase::Rejected | Phase::Deleted) {
            self.record = NO_RECORD;
            self.duplicates = 0;
            self.is_late = false;
            self.has_completed = false;
        }
        if matches!(self.phase, Phase::Failed | Phase::OutcomeUnknown | Phase::Deleted) {
            self.details = NO_DETAILS;
        }
    }

    /// Returns the duplicate that it deletes next.
    pub(super) fn next_duplicate(&self) -> u8 {
        self.duplicates.trailing_zeros().min(u32::from(NO_RECORD)) as u8
    }
}
