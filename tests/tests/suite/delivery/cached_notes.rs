//! Notes that are cached: the extension sends an agent's note when the call ends, before anyone has logged the call.

use call_log::model::CrmAccount;

use super::{
    identities::{Users, users},
    redrive::item,
    *,
};
use crate::harness::with;

const DAY: i64 = 24 * 3_600_000;
const PENDING: &str = "From auto logging (Pending)";

/// A request or an event before the next one.
#[derive(Clone, Debug)]
enum Step {
    /// The user caches this note.
    Cache(&'static str, &'static str),
    /// The user caches this note, and a header names the extension.
    CacheAt(&'static str, &'static str, &'static str),
    /// The user sends a create with these fields. `note` is absent unless it is among them.
    Create(&'static str, Value),
    /// The user sends an update.
    Update(&'static str, Value),
    /// The CRM fails from now on, or works again.
    Outage(bool),
    /// This time passes, in milliseconds.
    Pass(i64),
}

use Step::*;

fn noted(note: &str) -> Value {
    json!({"note": note})
}

async fn take(test: &TestApp, users: &Users, step: &Step) -> Option<Response> {
    let user = |name: &str| if name == "agent" { &users.agent } else { &users.admin };
    let cache = async |name: &str, headers: &[(&str, &str)], note: &str| {
        let token = test.app.issue_token(user(name), 1);
        let body = update(noted(note));
        send_with_headers(&test.app, "POST", "/callLog/cacheNote", &token, headers, &body).await
    };
    Some(match step {
        Cache(name, note) => cache(name, &[], note).await,
        CacheAt(name, extension, note) => cache(name, &[("rc-extension-id", extension)], note).await,
        Create(name, fields) => {
            let mut body = with(call(SESSION), json!({"note": null}));
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            start(&test.app, user(name), "POST", body).await.unwrap()
        }
        Update(name, fields) => start(&test.app, user(name), "PATCH", update(fields.clone())).await.unwrap(),
        Outage(is_down) => {
            test.crm.outage(is_down.then_some(Fault::Status(503)));
            return None;
        }
        Pass(ms) => {
            test.pass(*ms);
            return None;
        }
    })
}

/// Takes the steps, and lets the redrive deliver what is kept. Expects these texts in the records, in the order in which each
/// shows them.
async fn check_notes(case: &str, steps: &[Step], expected: &[&[&str]]) {
    let test = TestApp::start().await;
    let users = users(&test).await;
    for step in steps {
        let response = take(&test, &users, step).await;
        assert!(response.is_none_or(|response| response.status == 200), "{case}: {step:?}");
    }
    test.redrive_for(20).await;
    let shown = |activity: Value| {
        let note = activity["note"].as_str().unwrap().to_owned();
        let mut texts: Vec<_> = ["apple", "berry", "cherry", PENDING]
            .into_iter()
            .filter_map(|text| Some((note.find(text)?, text)))
            .collect();
        texts.sort_unstable();
        texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>()
    };
    let shown: Vec<_> = test.crm.activities().into_iter().map(shown).collect();
    assert_eq!(shown, expected, "{case}");
    check_nothing_waits(&test, case).await;
}

async fn check_nothing_waits(test: &TestApp, case: &str) {
    let item = item(test).await;
    assert_eq!((item.queue, item.due_at), (Vec::new(), None), "{case}");
}

#[tokio::test]
async fn a_cached_note_is_in_the_log_whichever_sender_logs_the_call() {
    let cached = || Cache("agent", "apple");
    for (case, steps, expected) in [
        ("server-side logging", vec![cached(), Create("admin", noted(PENDING))], vec!["apple"]),
        ("a colleague without a note", vec![cached(), Create("admin", json!({}))], vec!["apple"]),
        ("a colleague with a note", vec![cached(), Create("admin", noted("berry"))], vec!["apple", "berry"]),
        ("the agent without a note", vec![cached(), Create("agent", json!({}))], vec!["apple"]),
        ("the agent with a placeholder", vec![cached(), Create("agent", noted(PENDING))], vec!["apple"]),
        ("the agent with null", vec![cached(), Create("agent", json!({"note": null}))], vec!["apple"]),
        ("the agent with a note", vec![cached(), Create("agent", noted("berry"))], vec!["berry"]),
        ("the agent with an empty note", vec![cached(), Create("agent", noted(""))], vec![]),
        ("the agent with a blank note", vec![cached(), Create("agent", noted(" "))], vec![]),
        (
            "a colleague, then the agent with a note",
            vec![cached(), Create("admin", noted(PENDING)), Create("agent", noted("berry"))],
            vec!["berry"],
        ),
        (
            "a colleague, then the agent without a note",
            vec![cached(), Create("admin", noted(PENDING)), Create("agent", json!({}))],
            vec!["apple"],
        ),
        (
            "the agent, then the agent again",
            vec![cached(), Create("agent", json!({})), Create("agent", json!({}))],
            vec!["apple"],
        ),
    ] {
        check_notes(case, &steps, &[&expected]).await;
    }
}

#[tokio::test]
async fn the_newest_note_of_each_user_counts() {
    let create = || Create("admin", noted(PENDING));
    for (case, steps, expected) in [
        ("two notes", vec![Cache("agent", "apple"), Cache("agent", "berry"), create()], vec!["berry"]),
        (
            "a note that is taken back",
            vec![Cache("agent", "apple"), Cache("agent", ""), create()],
            vec![PENDING],
        ),
        (
            "a note that is taken back and sent again",
            vec![Cache("agent", "apple"), Cache("agent", ""), Cache("agent", "apple"), create()],
            vec!["apple"],
        ),
        (
            "notes of two users",
            vec![Cache("agent", "apple"), Cache("admin", "berry"), Cache("agent", "cherry"), create()],
            vec!["cherry", "berry"],
        ),
        (
            "an update with a note after it",
            vec![Cache("agent", "apple"), Update("agent", noted("berry")), create()],
            vec!["berry"],
        ),
        (
            "an update with a note before it",
            vec![Update("agent", noted("berry")), Cache("agent", "apple"), create()],
            vec!["apple"],
        ),
        (
            "an update without a note",
            vec![Cache("agent", "apple"), Update("agent", json!({"aiNote": "cherry"})), create()],
            vec!["apple", "cherry"],
        ),
    ] {
        check_notes(case, &steps, &[&expected]).await;
    }
}

#[tokio::test]
async fn a_note_for_a_call_that_is_logged_is_an_update() {
    for (case, steps, expected) in [
        ("without a note", vec![Create("agent", json!({})), Cache("agent", "apple")], vec!["apple"]),
        ("with a note", vec![Create("agent", noted("berry")), Cache("agent", "apple")], vec!["apple"]),
        ("an empty one", vec![Create("agent", noted("berry")), Cache("agent", "")], vec!["berry"]),
        (
            "of a colleague",
            vec![Create("admin", noted("berry")), Cache("agent", "apple")],
            vec!["apple", "berry"],
        ),
        (
            "while the CRM is down",
            vec![Create("agent", json!({})), Outage(true), Cache("agent", "apple"), Outage(false)],
            vec!["apple"],
        ),
    ] {
        check_notes(case, &steps, &[&expected]).await;
    }
}

#[tokio::test]
async fn a_create_that_is_kept_takes_a_cached_note_or_replaces_it() {
    let later = |before: &[Step], kept: Step, after: &[Step]| {
        let kept = [Outage(true), kept].into_iter();
        before
            .iter()
            .cloned()
            .chain(kept)
            .chain(after.iter().cloned())
            .chain([Outage(false)])
            .collect::<Vec<_>>()
    };
    let (cached, admin) = ([Cache("agent", "apple")], || Create("admin", noted(PENDING)));
    for (case, steps, expected) in [
        ("cached before", later(&cached, admin(), &[]), vec!["apple"]),
        ("cached after", later(&[], admin(), &cached), vec!["apple"]),
        ("cached twice", later(&cached, admin(), &[Cache("agent", "berry")]), vec!["berry"]),
        ("the agent's own, without a note", later(&[], Create("agent", json!({})), &cached), vec!["apple"]),
        ("the agent's own, with a note", later(&cached, Create("agent", noted("berry")), &[]), vec!["berry"]),
        // The note was typed before the create, and has overtaken nothing but the response.
        (
            "the agent's own, with a note, before",
            later(&[], Create("agent", noted("berry")), &cached),
            vec!["berry"],
        ),
        ("the agent's own, with an empty note", later(&[], Create("agent", noted("")), &cached), vec![]),
        (
            "a colleague's, then the agent's with a note",
            later(&cached, admin(), &[Create("agent", noted("berry"))]),
            vec!["berry"],
        ),
        (
            "a colleague's, then the agent's with an empty note",
            later(&cached, admin(), &[Create("agent", noted(""))]),
            vec![PENDING],
        ),
        (
            "a colleague's, then the agent's without a note",
            later(&cached, admin(), &[Create("agent", json!({}))]),
            vec!["apple"],
        ),
        (
            "a colleague's with a note, then the agent's with a note",
            later(&cached, Create("admin", noted("cherry")), &[Create("agent", noted("berry"))]),
            vec!["berry", "cherry"],
        ),
    ] {
        check_notes(case, &steps, &[&expected]).await;
    }
}

#[tokio::test]
async fn a_cached_note_is_gone_after_a_day_without_a_log() {
    let (cached, create) = (|| Cache("agent", "apple"), || Create("admin", noted(PENDING)));
    for (case, steps, expected) in [
        ("within the day", vec![cached(), Pass(DAY - 1), create()], vec!["apple"]),
        ("after the day", vec![cached(), Pass(DAY), create()], vec![PENDING]),
        (
            "an update stays",
            vec![cached(), Update("agent", json!({"aiNote": "berry"})), Pass(DAY), create()],
            vec![PENDING, "berry"],
        ),
        ("a later one counts", vec![cached(), Pass(DAY), Cache("agent", "cherry"), create()], vec!["cherry"]),
        (
            "the log is kept within the day",
            vec![cached(), Pass(DAY - 1), Outage(true), create(), Pass(DAY), Outage(false)],
            vec!["apple"],
        ),
    ] {
        check_notes(case, &steps, &[&expected]).await;
    }
}

/// DynamoDB deletes an item that has nothing but cached notes after a day, and one with an update after 30 days.
#[tokio::test]
async fn an_item_is_kept_as_long_as_what_waits_in_it() {
    let other = || Update("admin", json!({"aiNote": "berry"}));
    for (steps, days, entries) in [
        (vec![Cache("agent", "apple")], 1, 1),
        (vec![Cache("agent", "apple"), Pass(DAY), Cache("agent", "cherry")], 2, 1),
        (vec![Cache("agent", "apple"), Pass(DAY), Cache("admin", "cherry")], 2, 2),
        (vec![Cache("agent", "apple"), Pass(DAY), other()], 31, 2),
        (vec![other(), Pass(DAY), Cache("agent", "apple"), Cache("agent", "cherry")], 30, 2),
    ] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        let start_s = test.now_ms() / 1_000;
        for step in &steps {
            take(&test, &users, step).await;
        }
        let key = json!({"TableName": "calls", "Key": first_log_key(SESSION)});
        let stored = test.dynamodb.ask("GetItem", &key).await["Item"].take();
        let ttl: i64 = stored["ttl"]["N"].as_str().unwrap().parse().unwrap();
        let count = stored["queue"]["L"].as_array().unwrap().len();
        assert_eq!((ttl - start_s, count), (days * DAY / 1_000, entries), "{steps:?}");
    }
}

#[tokio::test]
async fn a_header_names_the_extension_of_a_cached_note() {
    let of = |hash: &str, note: &str| json!({"hashedExtensionId": hash, "note": note});
    for (case, steps, expected) in [
        (
            "another extension logs the call first",
            vec![
                CacheAt("agent", "ab12", "apple"),
                Create("admin", of("cd34", PENDING)),
                Create("admin", of("ab12", PENDING)),
            ],
            vec![vec![PENDING], vec!["apple"]],
        ),
        (
            "two extensions of one user",
            vec![
                CacheAt("agent", "ab12", "apple"),
                CacheAt("agent", "cd34", "berry"),
                Create("admin", of("ab12", PENDING)),
                Create("admin", of("cd34", PENDING)),
            ],
            vec![vec![PENDING], vec!["berry"]],
        ),
        (
            "the extension's log exists",
            vec![
                Create("admin", of("ab12", "")),
                Create("admin", of("cd34", "")),
                CacheAt("agent", "cd34", "apple"),
            ],
            vec![vec![], vec!["apple"]],
        ),
        (
            "a log without an extension",
            vec![CacheAt("agent", "ab12", "apple"), Create("admin", noted(PENDING))],
            vec![vec!["apple"]],
        ),
        (
            "no extension has the hash of nothing",
            vec![CacheAt("agent", "undefined", "apple"), Create("admin", of("ab12", PENDING))],
            vec![vec!["apple"]],
        ),
        (
            "a further log of the same user, with a note",
            vec![
                CacheAt("agent", "ab12", "apple"),
                Create("admin", of("cd34", PENDING)),
                Create("agent", of("ab12", "berry")),
            ],
            vec![vec![PENDING], vec!["berry"]],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(Vec::as_slice).collect();
        check_notes(case, &steps, &expected).await;
    }
}

#[tokio::test]
async fn a_note_and_a_create_at_the_same_time_make_one_record_with_the_note() {
    for fields in [noted(PENDING), json!({}), noted("berry")] {
        for _ in 0..5 {
            let test = TestApp::start().await;
            let users = users(&test).await;
            let (note, create) = (Cache("agent", "apple"), Create("admin", fields.clone()));
            let (note, create) = tokio::join!(take(&test, &users, &note), take(&test, &users, &create));
            assert_eq!((note.unwrap().status, create.unwrap().status), (200, 200), "{fields}");
            test.redrive_for(3).await;
            let present: &[&str] = if fields == noted("berry") { &["apple", "berry"] } else { &["apple"] };
            check_text(&super::note(&test), present, &["auto logging"]);
            check_nothing_waits(&test, "at the same time").await;
        }
    }
}

#[tokio::test]
async fn notes_at_the_same_time_leave_one_for_each_user() {
    let test = TestApp::start().await;
    let users = users(&test).await;
    let notes = [("agent", "apple"), ("agent", "berry"), ("agent", "cherry"), ("admin", "date")];
    let steps = notes.map(|(user, note)| Cache(user, note));
    let [one, two, three, four] = &steps;
    let answers = tokio::join!(
        take(&test, &users, one),
        take(&test, &users, two),
        take(&test, &users, three),
        take(&test, &users, four)
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!(answer.unwrap().status, 200);
    }
    let mut waiting: Vec<_> =
        item(&test).await.waiting.into_iter().map(|update| update.user.to_string()).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, ["12345-pipedrive", "777-pipedrive"]);
}

#[tokio::test]
async fn a_create_whose_response_was_lost_is_found_with_the_cached_note_in_it() {
    for fields in [noted(PENDING), noted("berry")] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        take(&test, &users, &Cache("agent", "apple")).await;
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        take(&test, &users, &Create("agent", fields.clone())).await;
        // A note that comes too late must not hide the record.
        take(&test, &users, &Cache("agent", "cherry")).await;
        test.pass(SETTLED);
        test.redrive_for(20).await;
        let (present, absent): (&[&str], &[&str]) = match fields == noted("berry") {
            true => (&["berry"], &["apple", "cherry"]),
            false => (&["cherry"], &["apple", "berry"]),
        };
        check_text(&super::note(&test), present, absent);
        check_nothing_waits(&test, "after a lost response").await;
    }
}

#[tokio::test]
async fn what_a_person_wrote_into_the_record_stays() {
    let test = TestApp::start().await;
    let users = users(&test).await;
    take(&test, &users, &Create("agent", noted("berry"))).await;
    let edited = super::note(&test).replace("berry", "berry, and a person's words");
    test.crm.edit_note(5001, &edited);
    take(&test, &users, &Cache("agent", "apple")).await;
    check_text(&super::note(&test), &["apple", "berry, and a person's words"], &[]);
}

#[tokio::test]
async fn the_note_of_a_user_who_moved_stays_in_the_old_company() {
    let test = TestApp::start().await;
    let users = users(&test).await;
    take(&test, &users, &Cache("agent", "apple")).await;
    let account = CrmAccount { id: Some("another company".to_owned()), ..CrmAccount::default() };
    let moved = User { account, ..users.agent.clone() };
    test.app.store.put_user(&moved).await.unwrap();
    let response =
        start(&test.app, &moved, "POST", with(call(SESSION), json!({"note": null}))).await.unwrap();
    check(&response, LOGGED, "the call of the other company");
    check_text(&super::note(&test), &[], &["apple"]);
}
