//! The conformance suite of the adapters: every case runs against every adapter and the fake of its CRM.
//!
//! A case never asks which CRM it is testing. A case that needs a feature is skipped for an adapter that does not declare
//! it ([`Connected::lacks`]), and the reason is printed. [`table`] prints a table of all CRMs.
//!
//! - this file: creating, reading, changing, finding and deleting records, and contacts;
//! - [`features`]: what only some CRMs have;
//! - [`faults`]: faults of the CRM and of the network;
//! - [`confinement`]: credentials and personal data stay where they belong;
//! - [`protocol`]: the whole app with each adapter;
//! - [`corrections`]: the whole app with each adapter, and calls whose facts are corrected;
//! - [`template`]: the steps of `docs/add-a-crm.md`;
//! - [`documents`]: the requests of adapters, compared with the documents of the CRMs;
//! - a file for each CRM, with the cases of that CRM only.

mod confinement;
mod connected;
mod contrary;
mod corrections;
mod documents;
mod faults;
mod features;
mod hubspot;
mod pipedrive;
mod presentation;
mod protocol;
mod table;
mod template;

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    slice,
    time::Duration,
};

use call_log::{
    adapters::{
        CallFacts, CallLog, CallLogChange, Capabilities, Effect, Error, ErrorKind, NewCallLog, NewContact,
        REGISTRY, Recovery,
    },
    model::{CallDuration, CallLogId, Direction},
};
use serde_json::{Map, json};
use tests::fake_crm::FAKES;

use self::connected::{Connected, Feature, START};

/// The longest body that is tried with a CRM without a limit, in characters.
const LONG_BODY: usize = 100_000;

/// Runs a case against each adapter, with a new fake of its CRM.
async fn each(case: impl AsyncFn(&Connected)) {
    for start in FAKES {
        case(&Connected::new(start())).await;
    }
}

/// Runs a case against each adapter that declares a feature, and prints the reason for each other adapter.
async fn each_with(feature: Feature, case: impl AsyncFn(&Connected)) {
    each(async |connected| match connected.lacks(feature) {
        None => case(connected).await,
        Some(reason) => print_skipped(connected, feature, reason),
    })
    .await;
}

/// Runs a case against each adapter in each way in which it finds the records of lost attempts.
async fn each_recovery(case: impl AsyncFn(&Connected)) {
    for start in FAKES {
        let connected = Connected::new(start());
        if let Some(reason) = connected.lacks(Feature::FindRecords) {
            print_skipped(&connected, Feature::FindRecords, reason);
            continue;
        }
        for recovery in connected.crm.capabilities().recovery {
            case(&Connected::with(start(), *recovery)).await;
        }
    }
}

fn print_skipped(connected: &Connected, feature: Feature, reason: &str) {
    print(&format!("skipped for {}: {feature:?}: {reason}\n", connected.name()));
}

/// Prints to the terminal also if the test passes, which `println!` does not.
fn print(text: &str) {
    io::stderr().write_all(text.as_bytes()).unwrap();
}

/// A change of the body alone.
fn body(text: &str) -> CallLogChange {
    CallLogChange { body: Some(text.to_owned()), ..CallLogChange::default() }
}

fn kind_and_effect(error: Error) -> (ErrorKind, Effect) {
    (error.kind, error.effect)
}

#[test]
fn every_adapter_of_the_registry_has_one_fake() {
    let platforms: BTreeSet<_> = FAKES.iter().map(|start| start().adapter().platform()).collect();
    assert_eq!(platforms.len(), FAKES.len(), "two fakes of one CRM: {platforms:?}");
    for crm in REGISTRY {
        let platform = crm.platform();
        assert!(platforms.contains(platform), "add a fake of {platform} to FAKES in tests/src/fake_crm.rs");
    }
}

#[test]
fn the_ways_to_find_a_record_are_distinct_and_none_is_the_only_one() {
    each_capabilities(|name, capabilities| {
        let ways = capabilities.recovery;
        let names: BTreeSet<_> = ways.iter().map(|way| way.name()).collect();
        assert!(!ways.is_empty() && names.len() == ways.len(), "{name}: {ways:?}");
        assert!(!ways.contains(&Recovery::None) || ways.len() == 1, "{name}: {ways:?}");
    });
}

fn each_capabilities(check: impl Fn(&str, Capabilities)) {
    for start in FAKES {
        let crm = start().adapter();
        check(crm.platform(), crm.capabilities());
    }
}

#[tokio::test]
async fn an_adapter_without_a_feature_finds_deletes_and_completes_nothing() {
    each(async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        let before = connected.proxy().exchanges().len();
        if connected.lacks(Feature::FindRecords).is_some() {
            assert_eq!(connected.find(&log).await, [], "{}", connected.name());
        }
        if connected.lacks(Feature::DeleteRecord).is_some() {
            let is_gone = connected.crm.delete_record(&connected.access(), &id).await.unwrap();
            assert!(!is_gone, "{}", connected.name());
        }
        if connected.lacks(Feature::Finish).is_some() {
            connected.crm.finish_record(&connected.access(), &id, &log.facts).await.unwrap();
        }
        let requests = connected.proxy().exchanges().split_off(before);
        assert!(requests.iter().all(|request| request.method == "GET"), "{}", connected.name());
        assert_eq!(connected.read(&id).await.body, log.body, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_created_record_is_read_as_it_was_sent() {
    each(async |connected| {
        let longest = connected.crm.capabilities().limits.max_body.unwrap_or(LONG_BODY);
        for text in [
            connected.log(START).body,
            "🙂 مرحبا \u{202e}שלום 山田 & <i> \"'\\ \u{1}".to_owned(),
            "x".repeat(longest),
        ] {
            let log = NewCallLog { body: text, ..connected.log(START) };
            let id = connected.create(&log).await;
            let read = connected.read(&id).await;
            assert_eq!(
                (read.subject.as_deref(), &read.body),
                (Some(log.subject.as_str()), &log.body),
                "{}",
                connected.name()
            );
            assert_eq!(read.version.is_some(), connected.versions(), "{}", connected.name());
        }
    })
    .await;
}

#[tokio::test]
async fn a_create_writes_once_and_last() {
    each_recovery(async |connected| {
        connected.create(&connected.log(START)).await;
        let exchanges = connected.proxy().exchanges();
        let writes = exchanges.iter().filter(|exchange| exchange.method != "GET").count();
        let last = exchanges.last().unwrap();
        assert!(
            writes == 1 && connected.routes.create.matches(last),
            "{}: {writes} writes, the last request is {} {}",
            connected.name(),
            last.method,
            last.path
        );
        assert_eq!(connected.fake.record_count(), 1, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_created_record_shows_the_fields_of_its_call() {
    each(async |connected| {
        let log = connected.log(START);
        let all = log.facts.clone();
        let pending = Some(CallDuration::Pending);
        for facts in [
            CallFacts { direction: Some(Direction::Outbound), ..all.clone() },
            CallFacts { duration: pending, result: None, ..all.clone() },
            CallFacts { start: None, ..all.clone() },
            all,
        ] {
            let sent = NewCallLog { facts: facts.clone(), tag: connected.new_tag(), ..log.clone() };
            let id = connected.create(&sent).await;
            let shown = connected.read(&id).await.fields;
            let first_attempt = Some(sent.first_attempt).filter(|_| connected.crm.requires_start());
            let facts = CallFacts { start: facts.start.or(first_attempt), ..facts };
            assert_eq!(shown, connected.crm.fields(&facts), "{} {facts:?}", connected.name());
        }
    })
    .await;
}

/// An update often brings one fact alone. It must not change a field that needs another one too.
#[test]
fn a_field_has_a_value_once_all_its_facts_are_known() {
    let all = CallFacts {
        direction: Some(Direction::Outbound),
        start: START.parse().ok(),
        duration: Some(CallDuration::Seconds(65)),
        result: Some("Missed".to_owned()),
        from: Some("+16505550100".to_owned()),
        to: Some("+12135550111".to_owned()),
        recording: Some("https://media.example/7.mp3".to_owned()),
    };
    for start in FAKES {
        let crm = start().adapter();
        let whole = crm.fields(&all);
        assert!(whole.values().all(|text| !text.is_empty()), "{}: {whole:?}", crm.platform());
        assert!(!whole.contains_key("subject"), "{}: the subject is no field", crm.platform());
        for known in 0..128_u8 {
            let is_known = |bit: u8| known & 1 << bit != 0;
            let facts = CallFacts {
                direction: all.direction.filter(|_| is_known(0)),
                start: all.start.filter(|_| is_known(1)),
                duration: all.duration.filter(|_| is_known(2)),
                result: all.result.clone().filter(|_| is_known(3)),
                from: all.from.clone().filter(|_| is_known(4)),
                to: all.to.clone().filter(|_| is_known(5)),
                recording: all.recording.clone().filter(|_| is_known(6)),
            };
            for (name, text) in crm.fields(&facts).into_iter().filter(|(_, text)| !text.is_empty()) {
                assert_eq!(whole.get(name), Some(&text), "{}: {name} for {facts:?}", crm.platform());
            }
        }
    }
}

#[tokio::test]
async fn an_update_changes_the_fields_that_it_contains_and_no_others() {
    each(async |connected| {
        let id = connected.create(&connected.log(START)).await;
        let mut expected = connected.read(&id).await;
        let updates = || connected.proxy().count(connected.routes.update);
        let facts = CallFacts {
            direction: Some(Direction::Outbound),
            start: "2025-03-11T09:05:00Z".parse().ok(),
            duration: Some(CallDuration::Seconds(3_599)),
            result: Some("Missed".to_owned()),
            from: Some("+16505550199".to_owned()),
            to: Some("+12135550111".to_owned()),
            recording: Some("https://media.example/7.mp3".to_owned()),
        };
        for (new_subject, new_body, facts) in [
            (None, Some("only the body 🙂"), CallFacts::default()),
            (Some("only the subject"), None, CallFacts::default()),
            (None, None, facts),
            (Some("both"), Some("of them, and choices"), CallFacts::default()),
        ] {
            let chosen = |_| connected.crm.chosen(json!({"deals": 412}).as_object().unwrap());
            let mut fields = connected.crm.fields(&facts);
            fields.retain(|_, text| !text.is_empty());
            let change = CallLogChange {
                subject: new_subject.map(str::to_owned),
                body: new_body.map(str::to_owned),
                fields,
                choices: new_subject.map(chosen).unwrap_or_default(),
                replaced: Map::new(),
                version: expected.version.clone(),
            };
            let (before, requests) = (updates(), usize::from(!change.is_empty()));
            connected.crm.update_record(&connected.access(), &id, &change).await.unwrap();
            assert_eq!(updates() - before, requests, "{}: {change:?} is one request", connected.name());
            let read = connected.read(&id).await;
            expected = CallLog {
                subject: change.subject.or(expected.subject),
                body: change.body.unwrap_or(expected.body),
                fields: expected.fields.into_iter().chain(change.fields).collect(),
                choices: expected.choices.into_iter().chain(change.choices).collect(),
                ..read.clone()
            };
            assert_eq!(read, expected, "{}", connected.name());
        }
        let before = updates();
        connected.crm.update_record(&connected.access(), &id, &CallLogChange::default()).await.unwrap();
        assert_eq!(updates(), before, "{}: nothing to change", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_late_update_conflicts_if_the_crm_compares_versions_and_otherwise_wins() {
    const CONDITIONS: [&str; 4] = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    each(async |connected| {
        let id = connected.create(&connected.log(START)).await;
        let version = connected.read(&id).await.version;
        // A version may be a time in whole seconds.
        connected.fake.advance(Duration::from_secs(1));
        connected.crm.update_record(&connected.access(), &id, &body("an edit")).await.unwrap();
        let late = CallLogChange { version, ..body("from before the edit") };
        let outcome = connected.crm.update_record(&connected.access(), &id, &late).await;
        let request = connected.proxy().exchanges().pop().unwrap();
        let is_conditional = CONDITIONS.iter().any(|name| request.header(name).is_some());
        let shown = connected.read(&id).await.body;
        if connected.versions() {
            let error = outcome.unwrap_err();
            assert_eq!(kind_and_effect(error), (ErrorKind::Conflict, Effect::None), "{}", connected.name());
            assert_eq!(shown, "an edit", "{}", connected.name());
        } else {
            assert_eq!(outcome, Ok(()), "{}", connected.name());
            assert!(!is_conditional, "{}: {:?}", connected.name(), request.headers);
            assert_eq!(shown, "from before the edit", "{}: the last write wins", connected.name());
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_record_id_is_not_found() {
    each(async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        // In a path or URL, the last four would mean the record that exists.
        for other in ["999999", "no such id", "{id}?x=1", "{id}#x", "x/../{id}", "./{id}"] {
            let other = other.replace("{id}", id.as_str());
            let id = CallLogId::new(other.as_str()).unwrap();
            let read = connected.crm.read_record(&connected.access(), &id).await;
            let update = connected.crm.update_record(&connected.access(), &id, &body("x")).await;
            for outcome in [read.map(drop), update] {
                let expected = Err((ErrorKind::NotFound, Effect::None));
                assert_eq!(outcome.map_err(kind_and_effect), expected, "{} {id}", connected.name());
            }
        }
        assert_eq!(connected.read(&id).await.body, log.body, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_log_of_an_unknown_contact_is_rejected() {
    each(async |connected| {
        let log = NewCallLog { contact: Some(connected.contact("999999")), ..connected.log(START) };
        let error = connected.crm.create_record(&connected.access(), &log).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Rejected { .. }), "{}: {error:?}", connected.name());
        assert_eq!(error.effect, Effect::None, "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_record_is_deleted_unless_it_was_changed() {
    each_with(Feature::DeleteRecord, async |connected| {
        let log = connected.log(START);
        let [created, changed] =
            [connected.create(&log).await, connected.create(&connected.log(START)).await];
        // Times of creation and change may have whole seconds.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        connected.crm.update_record(&connected.access(), &changed, &body("an edit")).await.unwrap();
        let delete = async |id| connected.crm.delete_record(&connected.access(), id).await.unwrap();
        assert!(delete(&created).await, "{}: not changed", connected.name());
        let error = connected.crm.read_record(&connected.access(), &created).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{}", connected.name());
        assert!(delete(&created).await, "{}: already gone", connected.name());
        assert!(!delete(&changed).await, "{}: changed", connected.name());
        assert_eq!(connected.read(&changed).await.body, "an edit", "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_search_by_tag_finds_the_record_of_a_log_and_none_that_resembles_it() {
    each_recovery(async |connected| {
        let log = connected.log(START);
        assert_eq!(connected.find(&log).await, [], "{}: nothing was created", connected.name());
        let id = connected.create(&log).await;
        let twin = connected.create(&NewCallLog { tag: connected.new_tag(), ..log.clone() }).await;
        let expected = if connected.recovery.is_by_tag() { vec![id] } else { vec![id, twin] };
        assert_eq!(connected.find(&log).await, expected, "{}: oldest first", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_search_by_content_finds_records_with_the_contact_and_start_of_a_log() {
    each_recovery(async |connected| {
        if connected.recovery.is_by_tag() {
            return;
        }
        let log = connected.log(START);
        let id = connected.create(&log).await;
        connected.create(&connected.log("2025-03-12T15:46:25Z")).await;
        let contact = connected.fake.contacts()[1].clone();
        connected.create(&NewCallLog { contact: Some(contact), ..log.clone() }).await;
        let undated = NewCallLog { facts: CallFacts { start: None, ..log.facts.clone() }, ..log.clone() };
        let undated_id = connected.create(&undated).await;
        // Delivery compares texts and the duration, because people change them.
        let facts = CallFacts { duration: Some(CallDuration::Seconds(600)), ..log.facts.clone() };
        let edited =
            NewCallLog { facts, subject: "Other".to_owned(), body: "Other".to_owned(), ..log.clone() };
        let edited_id = connected.create(&edited).await;
        assert_eq!(connected.find(&log).await, [id.clone(), edited_id], "{}", connected.name());
        // A search without a start may show records with any.
        assert!(connected.find(&undated).await.contains(&undated_id), "{}", connected.name());
        let later = connected.clock.now() + Duration::from_secs(300);
        let found = connected.crm.find_records(&connected.access(), &log, later).await.unwrap();
        assert_eq!(found, [], "{}: created before `since`", connected.name());
        let record = connected.read(&id).await;
        let age = connected.clock.now() - record.created_at.expect("the time of the creation");
        assert!(age.num_seconds().abs() <= 60, "{}: {age}", connected.name());
        assert_ne!(record.is_changed, Some(true), "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn a_created_contact_is_found_by_its_number() {
    each(async |connected| {
        let number = "+81355501777";
        let find = async |number| {
            connected.fake.advance(connected.crm.capabilities().search_lag());
            connected.crm.find_contacts(&connected.access(), number).await.unwrap()
        };
        assert_eq!(find(number).await, [], "{}", connected.name());
        let new =
            NewContact { name: "山田 太郎".to_owned(), phone_number: number.to_owned(), kind: None };
        let created = connected.crm.create_contact(&connected.access(), &new).await.unwrap();
        assert_eq!(created.name.as_deref(), Some("山田 太郎"), "{}", connected.name());
        assert_eq!(find(number).await, slice::from_ref(&created), "{}", connected.name());
        connected.create(&NewCallLog { contact: Some(created), ..connected.log(START) }).await;
        assert_eq!(find("").await, [], "{}", connected.name());
    })
    .await;
}
