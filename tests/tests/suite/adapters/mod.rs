//! Every registered adapter, run through the same cases against its own CRM: Pipedrive's stand-in, the Example CRM
//! itself.

mod fake_crm;
mod faults;
mod pipedrive;

use std::{slice, time::Duration};

use call_log::{
    adapters::{CallLog, CallLogChange, Effect, ErrorKind, NewCallLog, NewContact, REGISTRY, find},
    model::{CallDuration, CallLogId},
    note::Format,
};

use self::fake_crm::{FakeCrm, START};

/// Runs a case against each adapter, with a CRM of its own.
async fn each(case: impl AsyncFn(&FakeCrm)) {
    for crm in REGISTRY {
        case(&FakeCrm::of(*crm)).await;
    }
}

/// A change of the body alone.
fn body(text: &str) -> CallLogChange {
    CallLogChange { body: Some(text.to_owned()), ..CallLogChange::default() }
}

#[tokio::test]
async fn what_is_created_is_what_is_read() {
    each(async |stand| {
        for text in [
            stand.log(START).body,
            "🙂 مرحبا \u{202e}שלום 山田 & <i> \"'\\ \u{1}".to_owned(),
            "x".repeat(100_000),
        ] {
            let log = NewCallLog { body: text, ..stand.log(START) };
            let id = stand.create(&log).await;
            let read = stand.read(&id).await;
            assert_eq!(
                (read.subject.as_deref(), &read.body),
                (Some(log.subject.as_str()), &log.body),
                "{}",
                stand.name()
            );
            assert_eq!(read.version.is_some(), stand.crm.compare_and_set(), "{}", stand.name());
        }
    })
    .await;
}

#[tokio::test]
async fn a_create_writes_once_and_last() {
    each(async |stand| {
        stand.create(&stand.log(START)).await;
        let exchanges = stand.proxy().exchanges();
        let writes = exchanges.iter().filter(|exchange| exchange.method != "GET").count();
        assert_eq!((writes, exchanges.last().unwrap().method.as_str()), (1, "POST"), "{}", stand.name());
    })
    .await;
}

#[tokio::test]
async fn a_change_changes_what_it_names_and_nothing_else() {
    each(async |stand| {
        let id = stand.create(&stand.log(START)).await;
        let mut expected = stand.read(&id).await;
        for (new_subject, new_body, duration) in [
            (None, Some("only the body 🙂"), None),
            (Some("only the subject"), None, None),
            (None, None, Some(CallDuration::Seconds(3_599))),
            (Some("both"), Some("of them"), None),
        ] {
            let change = CallLogChange {
                subject: new_subject.map(str::to_owned),
                body: new_body.map(str::to_owned),
                duration,
                version: expected.version.clone(),
            };
            stand.crm.update_log(&stand.access(), &id, &change).await.unwrap();
            let read = stand.read(&id).await;
            expected = CallLog {
                subject: change.subject.or(expected.subject),
                body: change.body.unwrap_or(expected.body),
                version: read.version.clone(),
            };
            assert_eq!(read, expected, "{}", stand.name());
        }
        let before = stand.proxy().count(stand.routes.update);
        let nothing = CallLogChange { duration: Some(CallDuration::Pending), ..CallLogChange::default() };
        stand.crm.update_log(&stand.access(), &id, &nothing).await.unwrap();
        assert_eq!(stand.proxy().count(stand.routes.update), before, "{}: nothing to say", stand.name());
    })
    .await;
}

#[tokio::test]
async fn a_condition_keeps_an_edit_that_came_between() {
    each(async |stand| {
        let id = stand.create(&stand.log(START)).await;
        let version = stand.read(&id).await.version;
        stand.crm.update_log(&stand.access(), &id, &body("an edit")).await.unwrap();
        let late = CallLogChange { version, ..body("from before the edit") };
        let outcome = stand.crm.update_log(&stand.access(), &id, &late).await;
        if stand.crm.compare_and_set() {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind, error.effect), (ErrorKind::Conflict, Effect::None), "{}", stand.name());
            assert_eq!(stand.read(&id).await.body, "an edit", "{}", stand.name());
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_that_is_not_there_is_not_found() {
    each(async |stand| {
        for id in
            ["999999", "no such id", "../contacts/c-1", "5001?x=1"].map(|id| CallLogId::new(id).unwrap())
        {
            let read = stand.crm.read_log(&stand.access(), &id).await.unwrap_err();
            let update = stand.crm.update_log(&stand.access(), &id, &body("x")).await.unwrap_err();
            for error in [read, update] {
                assert_eq!(
                    (error.kind, error.effect),
                    (ErrorKind::NotFound, Effect::None),
                    "{} {id}",
                    stand.name()
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_contact_that_is_not_there_is_a_refusal() {
    each(async |stand| {
        let log = NewCallLog { contact: stand.contact("999999"), ..stand.log(START) };
        let error = stand.crm.create_log(&stand.access(), &log).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Rejected { .. }), "{}: {error:?}", stand.name());
        assert_eq!(error.effect, Effect::None, "{}", stand.name());
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_the_log_and_none_of_its_neighbours() {
    let dated: fn(&FakeCrm, &str) -> NewCallLog = FakeCrm::log;
    for make in [dated, FakeCrm::undated] {
        each(async |stand| {
            let log = make(stand, START);
            assert_eq!(stand.find(&log).await, [], "{}: nothing is made yet", stand.name());
            let id = stand.create(&log).await;
            stand.create(&make(stand, "2025-03-12T15:46:25Z")).await;
            stand.create(&NewCallLog { contact: stand.contact(&stand.contacts[1]), ..log.clone() }).await;
            let duration = Some(CallDuration::Seconds(600));
            stand.create(&NewCallLog { duration, ..stand.undated(START) }).await;
            stand.create(&NewCallLog { subject: "Other".to_owned(), ..stand.undated(START) }).await;
            // A second later, in the same minute.
            let next = stand.log("2025-03-12T15:45:26Z");
            stand.create(&NewCallLog { subject: "Other".to_owned(), ..next }).await;
            assert_eq!(stand.find(&log).await, slice::from_ref(&id), "{}", stand.name());
            let twin = stand.create(&log).await;
            assert_eq!(stand.find(&log).await, [id, twin], "{}: the oldest first", stand.name());
            let later = stand.clock.now() + Duration::from_secs(300);
            let found = stand.crm.find_logs(&stand.access(), &log, later).await.unwrap();
            assert_eq!(found, [], "{}: made before", stand.name());
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_id_tells_calls_of_one_second_apart() {
    each(async |stand| {
        let session = |id: &str| match stand.crm.format() {
            Format::Html => {
                stand.log(START).body.replace("<ul>", &format!("<ul><li><b>Session Id</b>: {id}</li>"))
            }
            _ => format!("- Session Id: {id}\n{}", stand.log(START).body),
        };
        let [one, other] =
            ["4503991004", "4503991005"].map(|id| NewCallLog { body: session(id), ..stand.log(START) });
        let ids = [stand.create(&one).await, stand.create(&other).await];
        assert_eq!(
            [stand.find(&one).await, stand.find(&other).await],
            ids.map(|id| vec![id]),
            "{}",
            stand.name()
        );
    })
    .await;
}

#[tokio::test]
async fn a_contact_that_is_created_is_found_by_its_number() {
    each(async |stand| {
        let number = "+81355501777";
        assert_eq!(stand.crm.find_contact(&stand.access(), number).await.unwrap(), [], "{}", stand.name());
        let new =
            NewContact { name: "山田 太郎".to_owned(), phone_number: number.to_owned(), kind: None };
        let made = stand.crm.create_contact(&stand.access(), &new).await.unwrap();
        assert_eq!(made.name.as_deref(), Some("山田 太郎"), "{}", stand.name());
        let found = stand.crm.find_contact(&stand.access(), number).await.unwrap();
        assert_eq!(found, slice::from_ref(&made), "{}", stand.name());
        stand.create(&NewCallLog { contact: made, ..stand.log(START) }).await;
        assert_eq!(stand.crm.find_contact(&stand.access(), "").await.unwrap(), [], "{}", stand.name());
    })
    .await;
}

#[test]
fn a_credential_goes_to_hosts_of_the_crm_alone() {
    for (platform, accepted, refused) in [
        ("example", vec![None, Some("example.com")], vec![]),
        (
            "pipedrive",
            vec![Some("acme.pipedrive.com"), Some("a-1.pipedrive.com")],
            vec![
                None,
                Some(""),
                Some("pipedrive.com"),
                Some(".pipedrive.com"),
                Some("a.b.pipedrive.com"),
                Some("ACME.pipedrive.com"),
                Some("acme.pipedrive.com."),
                Some("acme.pipedrive.com:443"),
                Some("user@acme.pipedrive.com"),
                Some("evil.com/.pipedrive.com"),
                Some("evil.com#.pipedrive.com"),
                Some("acme.pipedrive.com.evil.com"),
                Some("acmé.pipedrive.com"),
                Some("acme.pipedrive.com\n"),
            ],
        ),
    ] {
        let crm = find(platform).unwrap();
        for (hosts, accepts) in [(accepted, true), (refused, false)] {
            for host in hosts {
                assert_eq!(crm.base_url(host).is_some(), accepts, "{platform} {host:?}");
            }
        }
    }
    let long = format!("{}.pipedrive.com", "a".repeat(64));
    assert_eq!(find("pipedrive").unwrap().base_url(Some(&long)), None);
    // The Example CRM is on this machine, whatever a user's host is said to be.
    assert_eq!(
        find("example").unwrap().base_url(Some("example.com")).as_deref(),
        Some("http://127.0.0.1:3000")
    );
}
