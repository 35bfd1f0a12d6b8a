//! Writes details into a CRM record: reads it, merges, changes what differs, and gives the lease back.
//!
//! A record is never changed without having been read, so a person's edit is merged and not overwritten. If the CRM
//! rejects a change, each detail is written on its own, so that one bad detail does not keep the others out.

use std::collections::BTreeMap;

use crate::{
    adapters::{self, CallFacts, CallLog, CallLogChange, CompareAndSet, Effect, Error, ErrorKind, Fields},
    delivery::{
        attempt::{Attempt, Claim},
        authors::{Merging, merge_all},
        failure::Failure,
        form,
        grant::Grant,
        lease, subject,
    },
    model::{CallDetails, CallLogId, RecordPart, Zone},
    note::{Content, Section, fingerprint},
    store::{self, AuthoredNote, Event, Finish, LastWritten, Release},
    telemetry::{self, Metric},
};

/// The number of times that one lease holder writes, if more updates are queued each time.
const MAX_ROUNDS: usize = 5;
/// The number of times that one change is repeated, if the record changes between reading and changing it.
const MAX_REPETITIONS: usize = 3;

/// The result of writing. The lease was given back or has expired.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The record has the details.
    Updated {
        log: CallLogId,
        body: String,
        /// The sections that the body does not show in full.
        shortened: Vec<Section>,
    },
    /// The record was deleted in the CRM.
    Deleted,
    /// The record lacks details.
    Failed {
        failure: Failure,
        /// The redrive will try again.
        is_deferred: bool,
    },
}

impl Outcome {
    /// Returns the sections that the record does not show in full, and why the CRM rejected details.
    pub(crate) fn remainder(self) -> (Vec<Section>, Option<Failure>) {
        match self {
            Outcome::Updated { shortened, .. } => (shortened, None),
            Outcome::Failed { failure, .. } if failure.is_rejection() => (Vec::new(), Some(failure)),
            Outcome::Deleted | Outcome::Failed { .. } => (Vec::new(), None),
        }
    }
}

impl Claim<'_> {
    /// Gives the lease back after a failure. Queued details stay queued, unless the CRM rejected them.
    pub(crate) async fn fail_write(&self, failure: Failure) -> Result<Outcome, store::Error> {
        let failed = self.fail("update.release", failure).await?;
        Ok(match failed.event {
            Event::Deleted => Outcome::Deleted,
            _ => Outcome::Failed { failure: failed.failure, is_deferred: failed.is_deferred },
        })
    }
}

impl Attempt<'_> {
    /// Writes these details and all queued ones into the record, again and again until no more are queued.
    pub(crate) async fn write(mut self, details: CallDetails) -> Result<Outcome, store::Error> {
        let Some(log) = self.claim.item.log_id.clone() else {
            let problem = "the item is logged and has no record id".to_owned();
            return Err(store::Error::Unreadable("call".to_owned(), problem));
        };
        let mut brought = Some(details);
        let mut details = brought.clone().unwrap_or_default().overlay(&self.claim.item.queued_details());
        let mut updated = None;
        let mut round = 0;
        loop {
            round += 1;
            self.learn(&details);
            let (written, reopens) = {
                let reopens = self.claim.item.finish_pending;
                let (claim, grant) = (&self.claim, &mut self.grant);
                let notes = claim.item.notes(brought.as_ref());
                let mut writer = Writer { claim, grant, record: &log, zone: self.zone, reopens, notes };
                (writer.write(&claim.item.written, &details).await, writer.reopens)
            };
            self.claim.item.finish_pending = reopens;
            // A change that the CRM rejects may have reopened the record.
            let is_written = written.as_ref().map_or_else(Failure::is_rejection, |_| true);
            let unfinished = match is_written && self.needs_finish() {
                true => self.finish_record(&log).await.err(),
                false => None,
            };
            let (plan, rejection) = match (written, unfinished) {
                (Ok(written), None) => written,
                (Ok((plan, _)), Some(failure)) => {
                    if let Finish::MoreQueued(item) =
                        self.claim.keep("update.keep", &log, &plan.written).await?
                    {
                        self.claim.item = *item;
                    }
                    self.claim.fail_write(failure).await?;
                    telemetry::count(Metric::Updated);
                    return Ok(Outcome::Updated { log, body: plan.body, shortened: plan.shortened });
                }
                (Err(failure), unfinished) => {
                    let outcome = self.fail_missing(unfinished.unwrap_or(failure)).await?;
                    // After the first round, the record has what this caller sent. Only updates of other callers failed,
                    // and these callers wait for the item to change.
                    return Ok(updated.filter(|_| !matches!(outcome, Outcome::Deleted)).unwrap_or(outcome));
                }
            };
            if rejection.is_some() && !self.claim.item.left_out.contains(&RecordPart::Details) {
                self.claim.item.left_out.push(RecordPart::Details);
            }
            let finish = self.claim.finish("update.finish", &log, &plan.written).await?;
            let outcome = Outcome::Updated { log: log.clone(), body: plan.body, shortened: plan.shortened };
            match finish {
                Finish::Released => {
                    telemetry::count(Metric::Updated);
                    return Ok(match rejection {
                        Some(failure) => Outcome::Failed { failure, is_deferred: false },
                        None => outcome,
                    });
                }
                Finish::Lost => {
                    lease::lost("the lease expired before the update was recorded as written");
                    return Ok(outcome);
                }
                Finish::MoreQueued(item) => self.claim.item = *item,
            }
            if round == MAX_ROUNDS {
                self.leave().await?;
                return Ok(outcome);
            }
            brought = None;
            let session = Some(self.claim.lease.key.call.session.clone());
            details = CallDetails { session, ..self.claim.item.queued_details() };
            updated = Some(outcome);
        }
    }

    /// Gives the lease back although more updates are queued, so that this caller does not wait for all the others.
    async fn leave(&self) -> Result<(), store::Error> {
        let release = Release {
            due_ms: Some(self.claim.services.clock.now_ms()),
            ..Release::new(Event::Failed, "more updates are queued")
        };
        self.claim.release("update.leave", release).await
    }
}

/// Writes into one record.
struct Writer<'a, 'g> {
    claim: &'a Claim<'g>,
    grant: &'a mut Grant<'g>,
    record: &'a CallLogId,
    zone: Zone,
    /// The record has to be completed after the changes. The table says so too.
    reopens: bool,
    /// The notes that the details consist of, the last one of which is among the details.
    notes: Vec<AuthoredNote>,
}

impl Writer<'_, '_> {
    /// Writes the details, except those that the CRM rejects. Returns the change that led to the record's present state,
    /// and the last rejection. Fails if the CRM rejects all of them.
    async fn write(
        &mut self,
        before: &LastWritten,
        details: &CallDetails,
    ) -> Result<(Plan, Option<Failure>), Failure> {
        let rejection = match self.change(before, details).await {
            Ok(plan) => return Ok((plan, None)),
            Err(failure) if failure.is_rejection() => failure,
            Err(failure) => return Err(failure),
        };
        let single = self.split(details);
        if single.len() < 2 {
            return Err(rejection);
        }
        // Only a try shows which of the details the CRM rejects.
        let (mut latest, mut last_rejection): (Option<Plan>, _) = (None, None);
        for (detail, notes) in single {
            let before = latest.as_ref().map_or(before, |plan| &plan.written);
            self.notes = notes;
            match self.change(before, &detail).await {
                Ok(plan) => latest = Some(plan),
                Err(failure) if failure.is_rejection() => last_rejection = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        match latest {
            Some(plan) => Ok((plan, last_rejection)),
            None => Err(last_rejection.unwrap_or(rejection)),
        }
    }

    /// Splits the details so that each can be written on its own. A note of several people becomes one part for each person's note;
    /// every part comes with the notes that it contains.
    fn split(&self, details: &CallDetails) -> Vec<(CallDetails, Vec<AuthoredNote>)> {
        let one = |detail: CallDetails| {
            if detail.firm_note().is_none() || self.notes.is_empty() {
                return vec![(detail, Vec::new())];
            }
            let of = |note: &AuthoredNote| {
                (CallDetails { note: Some(note.text.clone()), ..detail.clone() }, vec![note.clone()])
            };
            self.notes.iter().map(of).collect()
        };
        details.split().into_iter().flat_map(one).collect()
    }

    /// Reads the record, merges the details, and changes what differs.
    async fn change(&mut self, before: &LastWritten, details: &CallDetails) -> Result<Plan, Failure> {
        for _ in 0..=MAX_REPETITIONS {
            let read_at_ms = self.grant.now_ms();
            let current = self.grant.read_record(self.record).await?;
            let tenant = &self.claim.lease.key.call.tenant;
            self.claim.services.cleaning.learn(self.claim.crm, tenant, &current, before);
            let plan = self.plan(&current, before, details);
            if plan.change.is_empty() {
                return Ok(plan);
            }
            let is_exact = self.grant.crm().capabilities().compare_and_set == CompareAndSet::Exact;
            if self.is_marked_now().await? && !is_exact {
                // A person may have changed the record meanwhile.
                continue;
            }
            let changed = self.grant.update_record(self.record, &plan.change).await;
            if !is_exact {
                telemetry::record(Metric::EditWindow, self.grant.now_ms() - read_at_ms);
            }
            match changed {
                Ok(()) => return Ok(plan),
                Err(failure) if failure.kind() == Some(&ErrorKind::Conflict) => {}
                Err(failure) if failure.effect() == Effect::Unknown => {
                    telemetry::count(Metric::Ambiguous);
                    return self.confirm(before, details).await.ok_or(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Error::new(ErrorKind::Conflict, Effect::None, "the record kept changing").into())
    }

    /// Stores that the record has to be completed after the change, if the CRM needs that and the table does not say so yet.
    /// Returns `true` if it did.
    async fn is_marked_now(&mut self) -> Result<bool, Failure> {
        if self.reopens || self.claim.crm.capabilities().finish != adapters::Finish::AfterEachChange {
            return Ok(false);
        }
        let services = self.claim.services;
        let mark = services.store.mark_finish_pending(&self.claim.lease);
        self.reopens = services.sync_points.reach("update.mark", mark).await?;
        if !self.reopens {
            lease::lost("the lease expired before the record was changed");
            return Err(Failure::unavailable("another invocation has the lease"));
        }
        Ok(true)
    }

    /// Reads the record after a change without a response. Returns `None` unless the record shows the change: if it does
    /// not, the change may still arrive.
    async fn confirm(&mut self, before: &LastWritten, details: &CallDetails) -> Option<Plan> {
        let current = self.grant.read_record(self.record).await.ok()?;
        let plan = self.plan(&current, before, details);
        plan.is_done().then_some(plan)
    }

    /// Merges the details with the record as the CRM has it.
    fn plan(&self, current: &CallLog, before: &LastWritten, details: &CallDetails) -> Plan {
        let crm = self.grant.crm();
        let notes = if details.firm_note().is_some() { &*self.notes } else { &[] };
        let settings = &self.grant.user().user.settings;
        let Merging { merged, note_user } =
            merge_all(crm, &current.body, before, (details, notes), |details| {
                Content::new(details, settings, self.zone)
            });
        let (limits, shortened) = (crm.capabilities().limits, merged.shortened());

        let theirs = current.subject.as_deref().unwrap_or_default();
        let (subject, base_subject) = subject::correct(theirs, before, details, &limits);
        let (fields, base_fields) = correct(&crm.fields(&CallFacts::of(details)), &current.fields, before);
        let mut written =
            LastWritten { sections: merged.base, subject: base_subject, fields: base_fields, note_user };
        form::settle(&mut written, &details.choices);
        let replaced = form::replaced(&details.choices, &current.choices, before);
        let change = CallLogChange {
            body: (merged.body != current.body).then(|| merged.body.clone()),
            subject,
            fields,
            choices: form::differing(&details.choices, &current.choices, &replaced),
            replaced,
            version: current.version.clone(),
        };
        Plan { change, body: merged.body, written, shortened }
    }
}

/// Returns the CRM's own fields to change, and the fingerprints of what we have written then. A field is ours if it equals
/// what we wrote last or, in a record that was found, what any attempt may have sent. A field that a person has changed
/// stays. So does a field that the CRM did not return, and one of which we do not know what we wrote, unless it is empty.
fn correct(ours: &Fields, theirs: &Fields, before: &LastWritten) -> (Fields, BTreeMap<String, String>) {
    let (mut changes, mut base) = (Fields::new(), before.fields.clone());
    subject::settle(&mut base);
    for (name, ours) in ours.iter().filter(|(_, ours)| !ours.is_empty()) {
        let Some(theirs) = theirs.get(name) else { continue };
        let is_ours = before.is_field(name, &fingerprint(theirs)).unwrap_or(theirs.is_empty());
        if theirs != ours && is_ours {
            changes.insert(name, ours.clone());
        }
        if theirs == ours || is_ours {
            base.insert((*name).to_owned(), fingerprint(ours));
        }
    }
    (changes, base)
}

/// A change of a record, and the record after it.
struct Plan {
    change: CallLogChange,
    body: String,
    written: LastWritten,
    /// The sections that the body does not show in full.
    shortened: Vec<Section>,
}

impl Plan {
    /// Returns `true` if there is nothing to change: the CRM has made the change whose response was lost.
    fn is_done(&self) -> bool {
        self.change.is_empty()
    }
}
