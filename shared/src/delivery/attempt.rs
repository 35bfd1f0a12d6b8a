//! An attempt at a call: the claim on it, and the grant to call the CRM. Creates, updates and redrives have this shape.
//!
//! The lease is given back here and nowhere else: by [`Claim::finish`] after success, or by [`Claim::release`].

use futures_util::{
    FutureExt,
    future::{lazy, ready},
};

use crate::{
    adapters::{CallFacts, Crm},
    delivery::{failure::Failure, grant::Grant, owner::Ownership, services::Services},
    model::{CallLogId, Deadline, Secret, Zone},
    store::{self, CallItem, Finish, LastWritten, Lease, Release, StoredUser, Undo},
    telemetry,
};

/// A call whose lease this invocation holds.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) services: &'a Services,
    pub(crate) crm: &'static dyn Crm,
    pub(crate) lease: Lease<'a>,
    /// The item as it was when this invocation last wrote it.
    pub(crate) item: CallItem,
    /// The time when the invocation must have responded.
    pub(crate) deadline: Deadline,
    /// `true` if the redrive has claimed the call; `false` if a request has.
    pub(crate) is_redrive: bool,
    /// The item before the claim of a request to create.
    pub(crate) undo: Option<Undo>,
}

/// A claimed call and the grant to call the CRM for it. [`create`](super::create), [`write`](super::write) and
/// [`sweep`](super::sweep) implement its parts.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) claim: Claim<'a>,
    pub(crate) grant: Grant<'a>,
    /// The time zone of the note.
    pub(crate) zone: Zone,
    /// The facts of the call that this invocation knows, for the step that completes the record.
    pub(crate) facts: CallFacts,
    /// The decision who owns the record of a create.
    pub(crate) ownership: Ownership,
}

impl<'a> Claim<'a> {
    /// Returns the claim on an item that was just claimed.
    pub(crate) fn new(
        services: &'a Services,
        crm: &'static dyn Crm,
        lease: Lease<'a>,
        item: CallItem,
        deadline: Deadline,
    ) -> Claim<'a> {
        telemetry::attempt(item.fence);
        Claim { services, crm, lease, item, deadline, is_redrive: false, undo: None }
    }

    /// Obtains the grant to call the CRM for this user. A failure leaves the lease as it is.
    pub(crate) async fn grant(
        &self,
        user: StoredUser,
        authorization: Option<Secret>,
    ) -> Result<Grant<'a>, Failure> {
        Grant::obtain(self.services, self.crm, user, authorization, self.deadline, self.lease.holder).await
    }

    /// Returns the attempt with this grant. Its zone is the requested one, else the user's.
    pub(crate) fn attempt(self, grant: Grant<'a>, zone: Option<Zone>) -> Attempt<'a> {
        let zone = grant.zone(zone);
        Attempt { claim: self, grant, zone, facts: CallFacts::default(), ownership: Ownership::default() }
    }

    /// Stores the id and the content of the CRM record, and gives the lease back. If updates were queued meanwhile, the
    /// lease is kept and the item with these updates is returned.
    pub(crate) async fn finish(
        &self,
        step: &'static str,
        record: &CallLogId,
        written: &LastWritten,
    ) -> Result<Finish, store::Error> {
        let finish = self.services.store.finish(&self.lease, record, &self.item, written);
        self.services.sync_points.reach(step, self.name_record(finish)).await
    }

    /// Stores the id and the content of the CRM record, and keeps the lease, because the record lacks details.
    pub(crate) async fn keep(
        &self,
        step: &'static str,
        record: &CallLogId,
        written: &LastWritten,
    ) -> Result<Finish, store::Error> {
        let keep = self.services.store.keep(&self.lease, record, &self.item, written);
        self.services.sync_points.reach(step, self.name_record(keep)).await
    }

    /// Returns a write of the record's id that does nothing if the lease is over when it begins, and the id was never stored:
    /// another log may have recovered the record as its own since. The next lease holder looks for the record.
    fn name_record<'w>(
        &'w self,
        write: impl Future<Output = Result<Finish, store::Error>> + 'w,
    ) -> impl Future<Output = Result<Finish, store::Error>> + 'w {
        let is_first_name = self.item.indexed_in.is_some() && self.item.log_id.is_none();
        let is_late = move || is_first_name && self.services.clock.now_ms() >= self.lease.until_ms;
        lazy(move |_| is_late()).then(|is_late| match is_late {
            true => ready(Ok(Finish::Lost)).left_future(),
            false => write.right_future(),
        })
    }

    /// Gives the lease back without success.
    pub(crate) async fn release(&self, step: &'static str, release: Release<'_>) -> Result<(), store::Error> {
        let release = self.services.store.release(&self.lease, &self.item, release);
        self.services.sync_points.reach(step, release).await
    }
}
