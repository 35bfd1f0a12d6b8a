//! Looks, long after everything has landed, for a second log of a call that an attempt without an answer may have
//! made, and removes it: never one that a person has changed.

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::Map;

use crate::{
    adapters::{CallLog, NewCallLog},
    delivery::{
        create::CLOCK_SKEW_MINUTES,
        grant::{Failure, Grant},
    },
    model::{CallDetails, CallKey, CallLogId, Contact, Direction, Zone},
    note::{self, Content},
    store::{CallItem, RecoveryCriteria},
    telemetry::{self, Metric},
};

/// Removes what is certainly ours, is not the log that the item names, and is as it was made.
pub(crate) async fn remove_duplicates(
    grant: &mut Grant<'_>,
    call: &CallKey,
    item: &CallItem,
    kept: &CallLogId,
) -> Result<(), Failure> {
    // First of all the log itself: if a person has deleted it, no other may be taken for a duplicate of it.
    let current = grant.read_record(kept).await?;
    let first_at = item.first_at.unwrap_or(DateTime::UNIX_EPOCH);
    let since = first_at - chrono::TimeDelta::minutes(CLOCK_SKEW_MINUTES);
    let mut found = BTreeSet::new();
    for sought in &item.recovery_criteria {
        let log = searched(grant, call, item, sought, &current);
        found.extend(grant.find_records(&log, since).await?);
    }
    for duplicate in found.into_iter().filter(|found| found != kept) {
        telemetry::count(Metric::DuplicateFound);
        telemetry::set_field("log_id", kept.as_str().to_owned());
        if grant.delete_record(&duplicate).await? {
            telemetry::count(Metric::Deduped);
            tracing::warn!("a second log of the call had landed late; it is removed");
        } else {
            tracing::warn!("a second log of the call was changed by a person; it stays");
        }
    }
    Ok(())
}

/// The log as the attempt that had no answer would have made it.
fn searched(
    grant: &Grant<'_>,
    call: &CallKey,
    item: &CallItem,
    sought: &RecoveryCriteria,
    current: &CallLog,
) -> NewCallLog {
    let user = &grant.user().user;
    let zone = sought.zone.or(user.zone).unwrap_or(Zone::UTC);
    let facts =
        CallDetails { session: Some(call.session.clone()), start: sought.start, ..CallDetails::default() };
    NewCallLog {
        subject: current.subject.clone().unwrap_or_default(),
        body: note::compose(grant.crm().format(), &Content::new(&facts, &user.settings, zone)),
        contact: Contact { id: sought.contact.clone(), kind: None, name: None, phone_number: None },
        direction: sought.direction.unwrap_or(Direction::Outbound),
        start: sought.start,
        duration: item.written.duration,
        result: None,
        additional: Map::new(),
    }
}
