//! Corrections of a call's facts, with every adapter: a queue call is first reported as outbound and stopped, later as
//! inbound and accepted with an earlier start.

use std::time::Duration;

use call_log::{
    adapters::{CallFacts, CallLog, CallLogChange},
    model::{CallDetails, CallDuration, CallLogId, Contact, Direction, Settings, Zone},
    note,
};
use serde_json::{Value, json};
use tests::proxy::Fault;

use super::{each, protocol::Running};

/// The start of the call, and of the snapshot of it, which began later.
const STARTS: [&str; 2] = ["2025-03-12T15:45:25Z", "2025-03-12T15:47:10Z"];
const BOB: &str = "+12135550111";
const OWN: &str = "+16505550100";

/// The facts of the call that a snapshot of it has.
fn snapshot() -> Value {
    json!({
        "sessionId": "1", "direction": "Outbound", "result": "Stopped", "startTime": STARTS[1], "duration": "pending",
        "from": {"phoneNumber": BOB, "name": "WIRELESS CALLER"}, "to": {"phoneNumber": OWN, "name": "Support"},
    })
}

/// The facts of the call at its end.
fn end(seconds: u64) -> Value {
    json!({
        "sessionId": "1", "direction": "Inbound", "result": "Accepted", "startTime": STARTS[0], "duration": seconds,
        "from": {"phoneNumber": BOB, "name": "WIRELESS CALLER"}, "to": {"phoneNumber": OWN, "name": "Ada Agent"},
    })
}

/// Returns the facts that a record of this call shows.
fn facts(direction: Direction, start: &str, duration: CallDuration, result: &str) -> CallFacts {
    CallFacts {
        direction: Some(direction),
        start: start.parse().ok(),
        duration: Some(duration),
        result: Some(result.to_owned()),
        from: Some(BOB.to_owned()),
        to: Some(OWN.to_owned()),
        recording: None,
    }
}

fn facts_at_end(seconds: u64) -> CallFacts {
    facts(Direction::Inbound, STARTS[0], CallDuration::Seconds(seconds), "Accepted")
}

impl Running<'_> {
    /// The create of the snapshot, for the contact Bob Client.
    fn create_of(&self, facts: Value) -> Value {
        let Contact { id, kind, .. } = &self.connected.fake.contacts()[0];
        let kind = kind.as_deref().unwrap_or("contact");
        json!({"logInfo": facts, "contactId": id.as_str(), "contactType": kind, "contactName": "Bob Client"})
    }

    /// Logs the snapshot and returns its record.
    async fn log_snapshot(&self) -> CallLogId {
        let created = self.request("POST", &self.create_of(snapshot())).await;
        CallLogId::new(created.log_id().unwrap_or_else(|| panic!("{created:?}"))).unwrap()
    }

    async fn correct(&self, facts: &Value) {
        let updated = self.request("PATCH", facts).await;
        assert_eq!(updated.message(), "Call log updated.", "{}: {updated:?}", self.connected.name());
    }

    /// A person changes a record.
    async fn change(&self, id: &CallLogId, change: CallLogChange) {
        self.connected.crm.update_record(&self.connected.access(), id, &change).await.unwrap();
    }

    fn changes(&self) -> usize {
        self.connected.proxy().count(self.connected.routes.update)
    }

    /// Returns the record of the call, which exists once.
    async fn record(&self) -> CallLog {
        let name = self.connected.name();
        let again = self.request("POST", &self.create_of(end(65))).await;
        assert_eq!(again.message(), "Call already logged", "{name}: {again:?}");
        assert_eq!(self.connected.fake.record_count(), 1, "{name}");
        self.read(&CallLogId::new(again.log_id().unwrap()).unwrap()).await
    }

    /// Asserts that a record shows the call as it was at its end.
    fn check_end(&self, record: &CallLog, seconds: u64, case: &str) {
        let name = self.connected.name();
        assert_eq!(record.fields, self.connected.crm.fields(&facts_at_end(seconds)), "{name} {case}");
        assert_eq!(record.subject.as_deref(), Some("Inbound Call from Bob Client"), "{name} {case}");
        let details = CallDetails {
            direction: Some(Direction::Inbound),
            contact_number: Some(BOB.to_owned()),
            start: STARTS[0].parse().ok(),
            duration: Some(CallDuration::Seconds(seconds)),
            result: Some("Accepted".to_owned()),
            ..CallDetails::default()
        };
        let format = self.connected.crm.capabilities().format;
        let content = note::Content::new(&details, &Settings::default(), Zone::UTC);
        assert_eq!(record.body, note::compose(format, &content), "{name} {case}");
    }
}

#[tokio::test]
async fn a_correction_reaches_the_fields_the_subject_and_the_note_whenever_it_arrives() {
    each(async |connected| {
        for case in
            ["before the create", "during the create", "after the create", "in parts", "twice", "later again"]
        {
            let connected = &connected.restarted();
            let running = Running::start(connected).await;
            let mut seconds = 65;
            match case {
                "before the create" => {
                    running.request("PATCH", &end(65)).await;
                    running.log_snapshot().await;
                }
                "during the create" => {
                    connected.proxy().next(connected.routes.create, Fault::Delay(Duration::from_millis(500)));
                    let create = running.log_snapshot();
                    let correction = async {
                        while connected.proxy().count(connected.routes.create) == 0 {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        running.request("PATCH", &end(65)).await
                    };
                    tokio::join!(create, correction);
                }
                "in parts" => {
                    running.log_snapshot().await;
                    let facts = end(65);
                    for names in [&["direction", "from", "to"][..], &["startTime"], &["duration", "result"]] {
                        let mut part = json!({"sessionId": "1"});
                        names.iter().for_each(|name| part[*name] = facts[*name].clone());
                        running.correct(&part).await;
                    }
                }
                _ => {
                    running.log_snapshot().await;
                    running.correct(&end(65)).await;
                }
            }
            if case == "twice" {
                let before = running.changes();
                running.correct(&end(65)).await;
                assert_eq!(running.changes(), before, "{}: nothing is new", connected.name());
            }
            if case == "later again" {
                seconds = 130;
                running.correct(&json!({"sessionId": "1", "duration": seconds})).await;
            }
            running.check_end(&running.record().await, seconds, case);
        }
    })
    .await;
}

#[tokio::test]
async fn a_correction_is_complete_although_responses_were_lost() {
    each(async |connected| {
        let routes = connected.routes;
        for (case, target, is_create) in [("create", routes.create, true), ("change", routes.update, false)] {
            for fault in [Fault::DropBeforeAnswer, Fault::DropBeforeEffect] {
                let connected = &connected.restarted();
                let mut running = Running::start(connected).await;
                if is_create {
                    connected.proxy().next(target, fault.clone());
                    connected.proxy().next(routes.find, Fault::Status(503));
                    running.request("POST", &running.create_of(snapshot())).await;
                } else {
                    running.log_snapshot().await;
                    connected.proxy().next(target, fault.clone());
                }
                running.request("PATCH", &end(65)).await;
                running.restart().await;
                running.redrive_for(5).await;
                let case = format!("{case} {fault:?}");
                running.check_end(&running.record().await, 65, &case);
                // What was written then is ours.
                running.correct(&json!({"sessionId": "1", "duration": 130})).await;
                running.check_end(&running.record().await, 130, &case);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_correction_leaves_what_a_person_has_changed() {
    each(async |connected| {
        let crm = connected.crm;
        let edited = crm.fields(&facts(
            Direction::Inbound,
            "2025-03-13T09:30:00Z",
            CallDuration::Seconds(600),
            "Voicemail",
        ));
        let with_value = edited.iter().filter(|(_, text)| !text.is_empty());
        let names = with_value.map(|(name, _)| Some(*name)).chain([None]);
        for edited_field in names {
            let connected = &connected.restarted();
            let running = Running::start(connected).await;
            let id = running.log_snapshot().await;
            let mut expected = crm.fields(&facts_at_end(65));
            let mut change = CallLogChange::default();
            match edited_field {
                Some(name) => {
                    change.fields.insert(name, edited[name].clone());
                    expected.insert(name, edited[name].clone());
                }
                None => change.subject = Some("Bob, urgent".to_owned()),
            }
            running.change(&id, change).await;
            // Twice, because the first one must not make a person's value ours.
            running.correct(&end(60)).await;
            running.correct(&end(65)).await;
            let record = running.read(&id).await;
            let case = format!("{} {edited_field:?}", connected.name());
            assert_eq!(record.fields, expected, "{case}");
            let subject = if edited_field.is_none() { "Bob, urgent" } else { "Inbound Call from Bob Client" };
            assert_eq!(record.subject.as_deref(), Some(subject), "{case}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_subject_of_the_caller_is_never_replaced_by_a_generated_one() {
    each(async |connected| {
        for (create, update, expected) in [
            (Some("Outbound Call to Bob Client"), None, "Outbound Call to Bob Client"),
            (Some("Quote"), Some("Quote for Bob"), "Quote for Bob"),
            (None, Some("Quote"), "Quote"),
        ] {
            let connected = &connected.restarted();
            let running = Running::start(connected).await;
            let (mut first, mut second) = (running.create_of(snapshot()), json!({"sessionId": "1"}));
            first["logInfo"]["customSubject"] = json!(create);
            second["subject"] = json!(update);
            running.request("POST", &first).await;
            running.correct(&second).await;
            running.correct(&end(65)).await;
            running.correct(&json!({"sessionId": "1", "contactName": "Robert"})).await;
            let subject = running.record().await.subject;
            assert_eq!(subject.as_deref(), Some(expected), "{}", connected.name());
        }
    })
    .await;
}

#[tokio::test]
async fn a_generated_subject_follows_the_name_of_the_contact() {
    each(async |connected| {
        let running = Running::start(connected).await;
        let id = running.log_snapshot().await;
        for (correction, expected) in [
            (json!({"contactName": "Robert"}), "Outbound Call to Robert"),
            (json!({"direction": "Inbound"}), "Inbound Call from Robert"),
            (json!({"from": {"name": "WIRELESS CALLER"}}), "Inbound Call from Robert"),
            (json!({"contactInfo": {"name": "Bob Client"}, "note": "Hi"}), "Inbound Call from Bob Client"),
        ] {
            let mut update = json!({"sessionId": "1"});
            update.as_object_mut().unwrap().extend(correction.as_object().unwrap().clone());
            running.correct(&update).await;
            let record = running.read(&id).await;
            assert_eq!(record.subject.as_deref(), Some(expected), "{} {correction}", connected.name());
        }
    })
    .await;
}
