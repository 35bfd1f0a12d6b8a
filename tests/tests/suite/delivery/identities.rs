//! Which record a request reaches: by its session, its extension, its user and its tenant. The verdict is the CRM's records,
//! in each of which the texts of the requests that reached it can be read.

use call_log::model::{CrmAccount, UserId};
use tests::test_app::api_key;

use super::*;

/// RingCentral's id of an extension, which server-side logging sends.
const EXTENSION_ID: &str = "62264425";
const SEVERAL: &str = "More than one log belongs to this call.";

/// The users of a test: two of one tenant, and one of another.
pub(super) struct Users {
    pub(super) agent: User,
    pub(super) admin: User,
    elsewhere: User,
}

/// A request: `POST` or `PATCH`, the user, the extension as letters, and the text by which it is recognised.
pub(super) type Request = (&'static str, &'static str, &'static str, &'static str);

pub(super) async fn users(test: &TestApp) -> Users {
    let user = |id: &str, account: &CrmAccount| User {
        id: UserId::new(id).unwrap(),
        account: account.clone(),
        credentials: Some(api_key(tests::pipedrive::API_KEY)),
        ..test.user.clone()
    };
    let other_account = CrmAccount { id: Some("another company".to_owned()), ..CrmAccount::default() };
    let users = Users {
        agent: test.user.clone(),
        admin: user("777-pipedrive", &test.user.account),
        elsewhere: user("888-pipedrive", &other_account),
    };
    for user in [&users.admin, &users.elsewhere] {
        test.app.store.put_user(user).await.unwrap();
    }
    users
}

/// Adds the extension to a body: `n` is a number, `h` a hash, `i` the id with this hash; upper case: of another extension.
fn with_extension(test: &TestApp, mut body: Value, extension: &str) -> Value {
    let hash = |id: &str| test.app.hash_key().hash(id);
    for letter in extension.chars() {
        let (field, value) = match letter {
            'n' => ("extensionNumber", "101".to_owned()),
            'N' => ("extensionNumber", "102".to_owned()),
            'h' => ("hashedExtensionId", hash(EXTENSION_ID)),
            'H' => ("hashedExtensionId", hash("1")),
            'i' => ("rcExtensionId", EXTENSION_ID.to_owned()),
            'u' => ("hashedExtensionId", hash("undefined")),
            other => panic!("{other} is no extension"),
        };
        body[field] = json!(value);
    }
    body
}

/// Sends a request, and returns its response.
pub(super) async fn send_one(
    test: &TestApp,
    users: &Users,
    (method, user, extension, text): Request,
) -> Response {
    let user = match user {
        "agent" => &users.agent,
        "admin" => &users.admin,
        "elsewhere" => &users.elsewhere,
        other => panic!("{other} is no user"),
    };
    let body = match method {
        "POST" => {
            let mut body = call(SESSION);
            body["note"] = json!(text);
            body
        }
        _ => update(json!({"aiNote": text})),
    };
    start(&test.app, user, method, with_extension(test, body, extension)).await.unwrap()
}

/// Returns those of these texts that each record shows, the oldest record first.
pub(super) fn records(test: &TestApp, texts: &[&'static str]) -> Vec<Vec<&'static str>> {
    let shown = |activity: Value| {
        let note = activity["note"].as_str().unwrap().to_owned();
        texts.iter().copied().filter(|text| note.contains(text)).collect()
    };
    test.crm.activities().into_iter().map(shown).collect()
}

/// Sends the requests one after another. Expects the last message, and these texts in the records.
async fn check_sequence(case: &str, requests: &[Request], message: &str, expected: &[&[&'static str]]) {
    let test = TestApp::start().await;
    let users = users(&test).await;
    let mut last = String::new();
    for request in requests {
        last = send_one(&test, &users, *request).await.message().to_owned();
    }
    let mut texts: Vec<_> = requests.iter().map(|(.., text)| *text).collect();
    texts.dedup();
    assert_eq!(
        (last.as_str(), records(&test, &texts)),
        (message, expected.iter().map(|one| one.to_vec()).collect()),
        "{case}"
    );
}

#[tokio::test]
async fn requests_of_several_senders_reach_the_record_of_their_call() {
    let pending = "From auto logging (Pending)";
    for (case, requests, message, expected) in [
        (
            "server-side logging, then the agent's extension",
            vec![("POST", "admin", "i", pending), ("POST", "agent", "h", "apple")],
            ALREADY_LOGGED,
            vec![vec!["apple"]],
        ),
        (
            "the agent edits the note of a call that server-side logging logged",
            vec![("POST", "admin", "i", "apple"), ("PATCH", "agent", "h", "berry")],
            UPDATED,
            vec![vec!["apple", "berry"]],
        ),
        (
            "two extensions of one session",
            vec![
                ("POST", "admin", "i", "apple"),
                ("POST", "admin", "H", "berry"),
                ("PATCH", "admin", "H", "cherry"),
            ],
            UPDATED,
            vec![vec!["apple"], vec!["berry", "cherry"]],
        ),
        (
            "the id of an extension, then its hash",
            vec![("POST", "agent", "i", "apple"), ("PATCH", "agent", "h", "berry")],
            UPDATED,
            vec![vec!["apple", "berry"]],
        ),
        (
            "an extension, where the only log has none",
            vec![("POST", "agent", "", "apple"), ("POST", "agent", "h", "apple")],
            ALREADY_LOGGED,
            vec![vec!["apple"]],
        ),
        (
            "number and hash, where the log is known by its number",
            vec![
                ("POST", "agent", "n", "apple"),
                ("PATCH", "agent", "hn", "berry"),
                ("PATCH", "agent", "h", "cherry"),
            ],
            UPDATED,
            vec![vec!["apple", "cherry"]],
        ),
        (
            "the hash of nothing is no extension",
            vec![("POST", "agent", "H", "apple"), ("PATCH", "agent", "u", "berry")],
            UPDATED,
            vec![vec!["apple", "berry"]],
        ),
        (
            "another tenant",
            vec![("POST", "agent", "h", "apple"), ("PATCH", "elsewhere", "h", "berry")],
            QUEUED_UNTIL_LOGGED,
            vec![vec!["apple"]],
        ),
        (
            "a call of another tenant with the same session",
            vec![("POST", "agent", "h", "apple"), ("POST", "elsewhere", "h", "berry")],
            LOGGED,
            vec![vec!["apple"], vec!["berry"]],
        ),
        (
            "two people's notes",
            vec![("POST", "admin", "h", "apple"), ("POST", "agent", "h", "berry")],
            ALREADY_LOGGED,
            vec![vec!["apple", "berry"]],
        ),
        (
            "no extension, where the user made one of several logs",
            vec![
                ("POST", "admin", "H", "apple"),
                ("POST", "agent", "h", "berry"),
                ("PATCH", "agent", "", "cherry"),
            ],
            UPDATED,
            vec![vec!["apple"], vec!["berry", "cherry"]],
        ),
        (
            "no extension, and several logs of the same user",
            vec![
                ("POST", "agent", "H", "apple"),
                ("POST", "agent", "h", "berry"),
                ("PATCH", "agent", "", "cherry"),
            ],
            SEVERAL,
            vec![vec!["apple"], vec!["berry"]],
        ),
        (
            "an update that came before its call, and one of another extension",
            vec![
                ("PATCH", "agent", "h", "apple"),
                ("PATCH", "agent", "H", "berry"),
                ("POST", "admin", "i", "cherry"),
                ("POST", "admin", "H", "date fruit"),
            ],
            LOGGED,
            vec![vec!["apple", "cherry"], vec!["berry", "date fruit"]],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(Vec::as_slice).collect();
        check_sequence(case, &requests, message, &expected).await;
    }
}

/// The rule as a table: `=` is the same log, `x` another one. Rows: what the log knows; columns: what the request names.
const RULE: [(&str, [(&str, char); 4]); 4] = [
    ("", [("", '='), ("n", '='), ("h", '='), ("hn", '=')]),
    ("n", [("", '='), ("n", '='), ("h", 'x'), ("hn", '=')]),
    ("h", [("", '='), ("n", 'x'), ("h", '='), ("hn", '=')]),
    ("hn", [("", '='), ("n", '='), ("h", '='), ("hn", '=')]),
];

#[tokio::test]
async fn every_pair_of_identities_is_matched_as_the_rule_says() {
    for user in ["agent", "admin"] {
        for (log, requests) in RULE {
            for (request, same) in requests {
                let case = format!("{log:?} then {request:?} by {user}");
                let first = ("POST", "agent", log, "apple");
                let (is_same, message) =
                    (same == '=', if same == '=' { UPDATED } else { QUEUED_UNTIL_LOGGED });
                let updated: &[&'static str] = if is_same { &["apple", "berry"] } else { &["apple"] };
                check_sequence(&case, &[first, ("PATCH", user, request, "berry")], message, &[updated]).await;

                let (message, both) = if is_same { (ALREADY_LOGGED, 1) } else { (LOGGED, 2) };
                let test = TestApp::start().await;
                let users = users(&test).await;
                send_one(&test, &users, first).await;
                let response = send_one(&test, &users, ("POST", user, request, "berry")).await;
                assert_eq!((response.message(), test.crm.activities().len()), (message, both), "{case}");
                let shown = records(&test, &["apple", "berry"]).concat();
                let is_kept =
                    shown.contains(&"berry") && (shown.contains(&"apple") || user == "agent" && is_same);
                assert!(is_kept, "{case}: {shown:?}");
            }
        }
    }
}

#[tokio::test]
async fn simultaneous_creates_that_know_different_parts_of_an_identity_make_one_record() {
    for [one, other] in [["n", "hn"], ["h", "hn"], ["i", "h"], ["", "hn"]] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        let (first, second) = tokio::join!(
            send_one(&test, &users, ("POST", "agent", one, "apple")),
            send_one(&test, &users, ("POST", "admin", other, "berry"))
        );
        test.redrive_for(3).await;
        let messages = [first.message(), second.message()];
        assert_eq!(test.crm.activities().len(), 1, "{one:?} {other:?}: {messages:?}");
        assert_eq!(
            records(&test, &["apple", "berry"]),
            [["apple", "berry"]],
            "{one:?} {other:?}: {messages:?}"
        );
    }
}

/// A search shows only the user's own records, so the record of a lost create is sought with its sender's credential.
#[tokio::test]
async fn a_create_whose_response_was_lost_is_recovered_with_the_credential_that_sent_it() {
    for (sends_again, redrives) in [("agent", 0), ("admin", 0), ("admin", 3)] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        test.crm.next(Route::ListActivities, Fault::Status(500));
        send_one(&test, &users, ("POST", "agent", "h", "apple")).await;
        test.pass(GRACE);
        test.redrive_for(redrives).await;
        send_one(&test, &users, ("POST", sends_again, "i", "berry")).await;
        test.redrive_for(20).await;
        assert_eq!(test.crm.activities().len(), 1, "{sends_again} {redrives}");
    }
}

#[tokio::test]
async fn the_old_token_of_a_user_who_moved_reaches_nothing() {
    let test = TestApp::start().await;
    let users = users(&test).await;
    send_one(&test, &users, ("POST", "agent", "h", "apple")).await;
    let old_token = test.app.issue_token(&users.agent, 1);
    let moved = User { account: users.elsewhere.account.clone(), ..users.agent.clone() };
    test.app.store.put_user(&moved).await.unwrap();
    let before = test.crm.activities();
    for (method, body) in
        [("POST", call("another")), ("POST", call(SESSION)), ("PATCH", update(json!({"aiNote": "berry"})))]
    {
        let response =
            send(&test.app, method, &old_token, body.to_string().into_bytes(), INVOCATION_MS).await;
        assert_eq!((response.status, response.message()), (401, SESSION_ENDED), "{method}");
    }
    let session = SessionId::new("another").unwrap();
    let call = CallKey { tenant: users.agent.tenant(), session, header_user: None };
    assert_eq!(test.app.store.logs_of_call(&call).await.unwrap(), []);
    test.redrive_for(3).await;
    assert_eq!(test.crm.activities(), before);
    // The user's next token is of the new company, where the session is another call.
    let response = start(&test.app, &moved, "POST", tests::test_app::call(SESSION)).await.unwrap();
    assert_eq!((response.message(), test.crm.activities().len()), (LOGGED, 2));
}
