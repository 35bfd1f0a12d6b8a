//! The lease on a call: its holder's name, its end, and how another invocation waits for it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    delivery::services::Services,
    model::{CallDetails, CallDuration, CallKey, Deadline},
    note::{Section, is_placeholder},
    store::{self, CallItem, Lease},
    telemetry::{self, Metric},
};

/// The time in which a request may still reach the CRM after its sender stopped waiting, in milliseconds.
/// `docs/exactly-once.md` says what rests on it.
pub(crate) const GRACE_MS: i64 = 30_000;

/// The pauses between reads of the item while another invocation holds the lease: about three seconds in all.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(600),
    Duration::from_millis(800),
    Duration::from_millis(850),
];

/// Returns a name for this invocation that no other has: 128 random bits.
pub(crate) fn new_holder() -> String {
    let mut bytes = [0; 16];
    // Without randomness, two invocations could take each other's lease for their own.
    getrandom::fill(&mut bytes).expect("the system has randomness");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Returns a lease until no request of an invocation with this deadline can reach the CRM any more.
pub(crate) fn new<'a>(key: &'a CallKey, holder: &'a str, now_ms: i64, deadline: Deadline) -> Lease<'a> {
    Lease { key, holder, now_ms, until_ms: deadline.0 + GRACE_MS }
}

/// Reads the item again until `is_settled` holds, the lease expires, or about three seconds are over. Returns the item as
/// it was last read.
pub(crate) async fn wait_until(
    services: &Services,
    key: &CallKey,
    mut item: CallItem,
    deadline: Deadline,
    is_settled: impl Fn(&CallItem) -> bool,
) -> Result<CallItem, store::Error> {
    for pause in PAUSES {
        let is_expired = item.lease_expires_at <= services.clock.now_ms();
        if is_settled(&item) || is_expired || deadline.remaining(&services.clock) < pause * 2 {
            break;
        }
        services.sync_points.reach("wait.pause", tokio::time::sleep(pause)).await;
        match services.sync_points.reach("wait.look", services.store.call(key)).await? {
            Some(now) => item = now,
            None => break,
        }
    }
    Ok(item)
}

/// Counts and logs that this invocation lost its lease. The next lease holder finds what this one did.
pub(crate) fn lost(what: &str) {
    telemetry::count(Metric::LeaseLost);
    tracing::warn!("{what}");
}

/// The older facts, with each newer one in its place, unless that is only a placeholder.
pub(crate) fn overlay(older: CallDetails, newer: &CallDetails) -> CallDetails {
    let newer = newer.clone();
    let text = |section, newer: Option<String>, older: Option<String>| {
        newer.filter(|value| older.is_none() || !is_placeholder(section, value)).or(older)
    };
    let duration = newer.duration.filter(|time| older.duration.is_none() || *time != CallDuration::Pending);
    CallDetails {
        session: newer.session.or(older.session),
        direction: newer.direction.or(older.direction),
        from: newer.from.or(older.from),
        to: newer.to.or(older.to),
        contact_number: newer.contact_number.or(older.contact_number),
        note: text(Section::AgentNote, newer.note, older.note),
        subject: newer.subject.or(older.subject),
        start: newer.start.or(older.start),
        duration: duration.or(older.duration),
        result: newer.result.or(older.result),
        recording: text(Section::Recording, newer.recording, older.recording),
        voicemail: text(Section::Voicemail, newer.voicemail, older.voicemail),
        ai_note: newer.ai_note.or(older.ai_note),
        transcript: newer.transcript.or(older.transcript),
        ace_score: newer.ace_score.or(older.ace_score),
        ace_link: newer.ace_link.or(older.ace_link),
        ace_transcript: newer.ace_transcript.or(older.ace_transcript),
        ace_summary: newer.ace_summary.or(older.ace_summary),
        ace_bulleted_summary: newer.ace_bulleted_summary.or(older.ace_bulleted_summary),
        legs: if newer.legs.is_empty() { older.legs } else { newer.legs },
    }
}

/// The facts one by one; what names the call goes with each.
pub(crate) fn each_alone(facts: &CallDetails) -> Vec<CallDetails> {
    let Ok(Value::Object(fields)) = serde_json::to_value(facts) else { return Vec::new() };
    let told = fields.into_iter().filter(|(name, fact)| {
        name != "session" && !fact.is_null() && fact.as_array().is_none_or(|list| !list.is_empty())
    });
    let alone = told.filter_map(|(name, fact)| {
        let fact = serde_json::from_value(Value::Object(Map::from_iter([(name, fact)]))).ok()?;
        Some(CallDetails { session: facts.session.clone(), ..fact })
    });
    alone.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SessionId;

    #[test]
    fn facts_alone_are_all_the_facts() {
        let facts = CallDetails {
            session: SessionId::new("1"),
            note: Some("Wants a quote".to_owned()),
            duration: Some(CallDuration::Pending),
            ai_note: Some("Bob asked".to_owned()),
            ..CallDetails::default()
        };
        let alone = each_alone(&facts);
        assert_eq!(alone.len(), 3, "{alone:?}");
        assert_eq!(alone.iter().fold(CallDetails::default(), overlay), facts);
        assert_eq!(each_alone(&CallDetails::default()), []);
    }
}
