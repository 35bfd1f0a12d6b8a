//! The conformance suite of the adapters: every case runs against every adapter and the fake of its CRM.
//!
//! A case never asks which CRM it is testing. A CRM that lacks a feature says why ([`FakeCrm::lacks`]); the cases that
//! need the feature are then skipped, and the reason is printed. `every_crm_without_a_feature_says_why` prints a
//! table of all CRMs.
//!
//! [`FakeCrm::lacks`]: tests::fake_crm::FakeCrm::lacks

mod connected;
mod faults;
mod pipedrive;
mod presentation;
mod protocol;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{self, Write as _},
    slice,
    time::Duration,
};

use call_log::{
    adapters::{
        CallFacts, CallLog, CallLogChange, Capabilities, Effect, Error, ErrorKind, NewCallLog, NewContact,
        REGISTRY, Recovery,
    },
    model::{CallDuration, CallLogId, User},
};
use tests::fake_crm::{FAKES, Feature};

use self::connected::{Connected, START};

/// Runs a case against each adapter, with a new fake of its CRM.
async fn each(case: impl AsyncFn(&Connected)) {
    for start in FAKES {
        case(&Connected::new(start())).await;
    }
}

/// Runs a case against each adapter whose CRM has a feature, and prints the reason for each other adapter.
async fn each_with(feature: Feature, case: impl AsyncFn(&Connected)) {
    each(async |connected| match connected.fake.lacks(feature) {
        None => case(connected).await,
        Some(reason) => print(&format!("skipped for {}: {feature:?}: {reason}\n", connected.name())),
    })
    .await;
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
    let fakes: Vec<_> = FAKES.iter().map(|start| start().adapter().platform()).collect();
    let platforms: BTreeSet<_> = fakes.iter().copied().collect();
    assert_eq!(platforms.len(), fakes.len(), "two fakes of one CRM: {fakes:?}");
    for crm in REGISTRY {
        let platform = crm.platform();
        assert!(platforms.contains(platform), "add a fake of {platform} to FAKES in tests/src/fake_crm.rs");
    }
}

#[test]
fn every_crm_without_a_feature_says_why() {
    let mut table = format!(
        "\n{:<12}{:<10}{:<18}{:<17}{:<7}not tested, because\n",
        "CRM", "format", "recovery", "compare-and-set", "OAuth"
    );
    for start in FAKES {
        let fake = start();
        let crm = fake.adapter();
        let platform = crm.platform();
        let Capabilities { format, recovery, compare_and_set, .. } = crm.capabilities();
        let mut gaps = Vec::new();
        for feature in Feature::ALL {
            if let Some(reason) = fake.lacks(feature) {
                assert!(!reason.trim().is_empty(), "{platform}: say why it lacks {feature:?}");
                gaps.push(format!("{feature:?}: {reason}"));
            }
        }
        let yes_or_no = |is_so| if is_so { "yes" } else { "no" };
        writeln!(
            table,
            "{platform:<12}{:<10}{:<18}{:<17}{:<7}{}",
            format!("{format:?}"),
            format!("{recovery:?}"),
            compare_and_set.to_string(),
            yes_or_no(crm.oauth(&connected::user(crm)).is_some()),
            if gaps.is_empty() { "-".to_owned() } else { gaps.join("; ") },
        )
        .unwrap();
        assert_eq!(
            fake.lacks(Feature::FindRecords).is_some(),
            recovery == [Recovery::None],
            "{platform}: an adapter finds records if and only if its recovery needs that"
        );
    }
    print(&table);
}

#[tokio::test]
async fn an_adapter_without_a_feature_finds_and_deletes_nothing() {
    each(async |connected| {
        let log = connected.log(START);
        let id = connected.create(&log).await;
        let before = connected.proxy().exchanges().len();
        if connected.fake.lacks(Feature::FindRecords).is_some() {
            assert_eq!(connected.find(&log).await, [], "{}", connected.name());
        }
        if connected.fake.lacks(Feature::DeleteRecord).is_some() {
            let is_gone = connected.crm.delete_record(&connected.access(), &id).await.unwrap();
            assert!(!is_gone, "{}", connected.name());
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
        for text in [
            connected.log(START).body,
            "🙂 مرحبا \u{202e}שלום 山田 & <i> \"'\\ \u{1}".to_owned(),
            "x".repeat(100_000),
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
    each(async |connected| {
        connected.create(&connected.log(START)).await;
        let exchanges = connected.proxy().exchanges();
        let writes = exchanges.iter().filter(|exchange| exchange.method != "GET").count();
        assert_eq!((writes, exchanges.last().unwrap().method.as_str()), (1, "POST"), "{}", connected.name());
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_the_fields_that_it_contains_and_no_others() {
    each(async |connected| {
        let id = connected.create(&connected.log(START)).await;
        let mut expected = connected.read(&id).await;
        let updates = || connected.proxy().count(connected.routes.update);
        for (new_subject, new_body, duration) in [
            (None, Some("only the body 🙂"), None),
            (Some("only the subject"), None, None),
            (None, None, Some(CallDuration::Seconds(3_599))),
            (Some("both"), Some("of them"), None),
        ] {
            let facts = CallFacts { duration, ..CallFacts::default() };
            let mut fields = connected.crm.fields(&facts);
            fields.retain(|_, text| !text.is_empty());
            let change = CallLogChange {
                subject: new_subject.map(str::to_owned),
                body: new_body.map(str::to_owned),
                fields,
                version: expected.version.clone(),
            };
            let before = updates();
            connected.crm.update_record(&connected.access(), &id, &change).await.unwrap();
            assert_eq!(updates() - before, 1, "{}: {change:?} is one request", connected.name());
            let read = connected.read(&id).await;
            expected = CallLog {
                subject: change.subject.or(expected.subject),
                body: change.body.unwrap_or(expected.body),
                fields: expected.fields.into_iter().chain(change.fields).collect(),
                version: read.version.clone(),
            };
            assert_eq!(read, expected, "{}", connected.name());
        }
        let before = updates();
        let nothing = CallLogChange::default();
        connected.crm.update_record(&connected.access(), &id, &nothing).await.unwrap();
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
        let log = NewCallLog { contact: connected.contact("999999"), ..connected.log(START) };
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
        let [created, changed] = [connected.create(&log).await, connected.create(&log).await];
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
async fn a_search_finds_the_record_of_a_log_and_none_that_resembles_it() {
    let dated: fn(&Connected, &str) -> NewCallLog = Connected::log;
    for make in [dated, Connected::undated] {
        each_with(Feature::FindRecords, async |connected| {
            let log = make(connected, START);
            assert_eq!(connected.find(&log).await, [], "{}: nothing was created", connected.name());
            let id = connected.create(&log).await;
            connected.create(&make(connected, "2025-03-12T15:46:25Z")).await;
            let other = connected.contact(&connected.fake.contacts()[1]);
            connected.create(&NewCallLog { contact: other, ..log.clone() }).await;
            let duration = Some(CallDuration::Seconds(600));
            let facts = CallFacts { duration, ..log.facts.clone() };
            connected.create(&NewCallLog { facts, ..connected.undated(START) }).await;
            connected.create(&NewCallLog { subject: "Other".to_owned(), ..connected.undated(START) }).await;
            // A second later, in the same minute.
            let next = connected.log("2025-03-12T15:45:26Z");
            connected.create(&NewCallLog { subject: "Other".to_owned(), ..next }).await;
            assert_eq!(connected.find(&log).await, slice::from_ref(&id), "{}", connected.name());
            let twin = connected.create(&log).await;
            assert_eq!(connected.find(&log).await, [id, twin], "{}: oldest first", connected.name());
            let later = connected.clock.now() + Duration::from_secs(300);
            let found = connected.crm.find_records(&connected.access(), &log, later).await.unwrap();
            assert_eq!(found, [], "{}: created before `since`", connected.name());
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_id_distinguishes_calls_of_the_same_second() {
    each_with(Feature::FindRecords, async |connected| {
        let [one, other] = ["4503991004", "4503991005"].map(|id| connected.with_session(START, id));
        let ids = [connected.create(&one).await, connected.create(&other).await];
        assert_eq!(
            [connected.find(&one).await, connected.find(&other).await],
            ids.map(|id| vec![id]),
            "{}",
            connected.name()
        );
    })
    .await;
}

#[tokio::test]
async fn a_created_contact_is_found_by_its_number() {
    each(async |connected| {
        let number = "+81355501777";
        let find = async |number| connected.crm.find_contacts(&connected.access(), number).await.unwrap();
        assert_eq!(find(number).await, [], "{}", connected.name());
        let new =
            NewContact { name: "山田 太郎".to_owned(), phone_number: number.to_owned(), kind: None };
        let created = connected.crm.create_contact(&connected.access(), &new).await.unwrap();
        assert_eq!(created.name.as_deref(), Some("山田 太郎"), "{}", connected.name());
        assert_eq!(find(number).await, slice::from_ref(&created), "{}", connected.name());
        connected.create(&NewCallLog { contact: created, ..connected.log(START) }).await;
        assert_eq!(find("").await, [], "{}", connected.name());
    })
    .await;
}

#[test]
fn a_credential_goes_only_to_hosts_of_the_crm() {
    const HOSTILE: [&str; 9] = [
        "",
        " ",
        ".",
        "evil.example",
        "127.0.0.1",
        "[::1]",
        "user@evil.example",
        "evil.example/path",
        "evil.example\n",
    ];
    for start in FAKES {
        let fake = start();
        let crm = fake.adapter();
        let platform = crm.platform();
        let own = fake.own_hosts();
        let base_url = |host: Option<&str>| {
            crm.base_url(&User { hostname: host.map(str::to_owned), ..connected::user(crm) })
        };
        assert!(!own.is_empty(), "{platform} has hosts");
        for (host, url) in own {
            assert_eq!(base_url(*host).as_deref(), Some(*url), "{platform} {host:?}");
        }
        let foreign = fake.foreign_hosts();
        // An adapter that ignores the user's host sends everything to one URL. Any other accepts only its own hosts.
        let only_url = if foreign.is_empty() { Some(own[0].1) } else { None };
        for host in foreign.iter().chain(&HOSTILE) {
            assert_eq!(base_url(Some(host)).as_deref(), only_url, "{platform} {host:?}");
        }
        let is_own = own.iter().any(|(host, _)| host.is_none());
        assert!(is_own || base_url(None).is_none(), "{platform}: a user without a host");
    }
}
