//! Erasure of a person. The verdict is the raw items of the table, in which the person's id must not stand anywhere, and that a
//! colleague's logs go on.

use call_log::{
    adapters::oauth::AuthorizationCode,
    login::{AllowedTenants, Login, Proof},
    model::{BreakerKey, CallLogId, Deadline, Secret, TenantKey, TenantSettings, UserMapping},
    store::{Administration, BreakerState, Erased, FlowReport, Versioned},
};
use tests::pipedrive::ACCESS_TOKEN;

use super::{
    identities::{Request, records, send_one, users},
    *,
};

/// The counts of an erasure: what was removed, changed, in use, and unreadable.
type Counts = (usize, usize, usize, usize);

fn counts(erased: &Erased) -> Counts {
    (erased.removed, erased.changed, erased.in_use, erased.unreadable)
}

/// Returns the raw items of the table that contain this text in a key or an attribute that is not encrypted.
async fn items_with(test: &TestApp, text: &str) -> Vec<Value> {
    let items = test.dynamodb.ask("Scan", &json!({"TableName": "calls"})).await;
    let items = items["Items"].as_array().unwrap().clone();
    items.into_iter().filter(|item| item.to_string().contains(text)).collect()
}

async fn erase(test: &TestApp, user: &User, is_dry_run: bool) -> Erased {
    test.app.store.erase_user(&user.key(), is_dry_run, test.now_ms()).await.unwrap()
}

/// The mapping of a company's users names the person by the CRM's id.
#[tokio::test]
async fn a_person_is_erased_from_the_mapping_of_users() {
    for is_removed_before in [false, true] {
        let test = TestApp::start().await;
        let tenant = test.user.tenant();
        let other = TenantKey { account: "42".to_owned(), ..tenant.clone() };
        let mapped: UserMapping =
            serde_json::from_value(json!({"12345": {"e": ["9"]}, "777": {"e": ["8"]}})).unwrap();
        for tenant in [&tenant, &other] {
            let next = Versioned::default().next(mapped.clone(), "an administrator");
            assert!(test.app.store.put_administration(tenant, None, Some(&next)).await.unwrap());
        }
        if is_removed_before {
            test.app.store.remove_user(&test.user.key()).await.unwrap();
        }
        // Without the user it is not known which company it was.
        let expected = if is_removed_before { (0, 2) } else { (1, 1) };
        assert_eq!(erase(&test, &test.user, true).await.changed, expected.1, "a dry run");
        let erased = erase(&test, &test.user, false).await;
        assert_eq!((erased.removed, erased.changed, erased.unreadable), (expected.0, expected.1, 0));
        let left = async |tenant| {
            let mapping = test.app.store.user_mapping(tenant).await.unwrap().content;
            mapping.0.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(left(&tenant).await, ["777"]);
        assert_eq!(left(&other).await.len(), if is_removed_before { 1 } else { 2 });
        // A repetition no longer knows the company.
        erase(&test, &test.user, false).await;
        assert_eq!(left(&other).await, ["777"]);
    }
}

#[tokio::test]
async fn nothing_of_a_person_stays_and_the_logs_of_colleagues_go_on() {
    const LOG: Request = ("POST", "agent", "h", "apple");
    const LOG_OF_COLLEAGUE: Request = ("POST", "admin", "H", "berry");
    const UPDATE: Request = ("PATCH", "admin", "H", "cherry");
    for (case, requests, removed, changed, shown) in [
        ("a log", vec![LOG], 2, 0, vec![vec!["apple"], vec![]]),
        ("only the user", vec![], 1, 0, vec![vec![]]),
        (
            "the first log, beside a colleague's",
            vec![LOG, LOG_OF_COLLEAGUE],
            2,
            0,
            vec![vec!["apple"], vec!["berry", "cherry"]],
        ),
        (
            "a further log, beside a colleague's",
            vec![LOG_OF_COLLEAGUE, LOG],
            2,
            1,
            vec![vec!["berry", "cherry"], vec!["apple"]],
        ),
        ("an update that waits", vec![("PATCH", "agent", "h", "apple")], 1, 1, vec![vec![]]),
        (
            "a note in a colleague's log",
            vec![LOG_OF_COLLEAGUE, ("POST", "agent", "H", "apple")],
            1,
            1,
            vec![vec!["apple", "berry", "cherry"]],
        ),
    ] {
        let test = TestApp::start().await;
        let users = users(&test).await;
        for request in &requests {
            send_one(&test, &users, *request).await;
        }
        test.pass(LEASE);
        let counted = (removed, changed, 0, 0);
        let before = items_with(&test, "").await;
        let dry = erase(&test, &users.agent, true).await;
        assert_eq!(counts(&dry), counted, "{case}, dry");
        assert_eq!(items_with(&test, "").await, before, "{case}, dry");
        assert_eq!(erase(&test, &users.agent, false).await, dry, "{case}");
        let id = users.agent.id.as_str();
        assert_eq!(items_with(&test, id).await, Vec::<Value>::new(), "{case}");
        assert_eq!(erase(&test, &users.agent, false).await, Erased::default(), "{case}, again");

        send_one(&test, &users, UPDATE).await;
        test.redrive_for(3).await;
        let texts = records(&test, &["apple", "berry", "cherry"]);
        let shown: Vec<_> = shown.into_iter().take(texts.len()).collect();
        assert_eq!(texts, shown, "{case}");
    }
}

#[tokio::test]
async fn the_contacts_that_a_person_looked_up_are_erased() {
    let test = TestApp::start().await;
    let token = test.app.issue_token(&test.user, 1);
    let path = "/contact?phoneNumber=%2B12135550111";
    send_from_extension(&test.app, "GET", path, &token, &Value::Null).await;
    assert_eq!(counts(&erase(&test, &test.user, false).await), (2, 0, 0, 0));
    assert_eq!(items_with(&test, test.user.id.as_str()).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_an_invocation_is_using_stays_until_its_lease_has_ended() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Delay(Duration::from_millis(800)));
    let create = start(&test.app, &test.user, "POST", call(SESSION));
    wait_for_requests(&test, Route::CreateActivity, 1).await;
    assert_eq!(counts(&erase(&test, &test.user, false).await), (1, 0, 1, 0));
    check(&create.await.unwrap(), LOGGED, "the create goes on");
    test.pass(LEASE);
    assert_eq!(counts(&erase(&test, &test.user, false).await), (1, 0, 0, 0));
    assert_eq!(items_with(&test, "").await, Vec::<Value>::new());
}

/// The kinds of items that the documentation of the store lists, as the parts of their keys. A part in angle brackets is any.
fn documented_kinds() -> Vec<Vec<String>> {
    let source = include_str!("../../../../shared/src/store/mod.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let kinds = rows.map(|row| {
        let mut cells = row.split('`');
        parts(&format!("{} {}", cells.next().unwrap(), cells.nth(1).unwrap()))
    });
    // The first row has the headings.
    kinds.skip(1).collect()
}

fn parts(key: &str) -> Vec<String> {
    key.split(['#', ' ']).map(str::to_owned).collect()
}

/// Returns the keys of items.
fn keys_of(items: &[Value]) -> Vec<String> {
    let key =
        |item: &Value| format!("{} {}", item["pk"]["S"].as_str().unwrap(), item["sk"]["S"].as_str().unwrap());
    items.iter().map(key).collect()
}

/// Makes an item of each kind that a user's work leaves. The ids of the user's calls begin with `prefix`.
async fn work(test: &TestApp, app: &App, user: &User, prefix: &str) {
    let token = app.issue_token(user, 1);
    let send = async |method: &str, path: &str, body: Value| {
        send_from_extension(app, method, path, &token, &body).await
    };
    let log = send("POST", "/callLog", call(&format!("{prefix}1"))).await;
    check(&log, LOGGED, "a log");
    let mut with_credential = call(&format!("{prefix}2"));
    with_credential["authHeader"] = json!(format!("Bearer {ACCESS_TOKEN}"));
    check(&send("POST", "/callLog", with_credential).await, LOGGED, "a log with the caller's own credential");
    let note = json!({"sessionId": format!("{prefix}3"), "note": "a cached note"});
    let queued = json!({"sessionId": format!("{prefix}4"), "aiNote": "a queued update"});
    let contact = json!({
        "phoneNumber": format!("+1213555{prefix}"), "newContactName": format!("Person {prefix}"),
        "newContactType": "",
    });
    let settings = json!({"userSettings": {"a switch of the extension": {"value": true}}});
    for (method, path, body) in [
        ("POST", "/callLog/cacheNote", note),
        ("PATCH", "/callLog", queued),
        ("GET", "/contact?phoneNumber=%2B12135550111", Value::Null),
        ("POST", "/contact", contact),
        ("POST", "/user/settings", settings),
    ] {
        let response = send(method, path, body).await;
        assert_eq!(response.status, 200, "{method} {path}: {response:?}");
    }
    let (store, now_ms) = (&app.store, test.now_ms());
    store.set_breaker(&BreakerKey::User(user.key()), BreakerState::default(), now_ms).await.unwrap();
    let report = FlowReport { message: "Connected.".to_owned(), connected: None };
    store.report_flow(&format!("ticket-{prefix}"), &report, Some(&user.key()), now_ms).await.unwrap();
    store.claim_code(&format!("code-{prefix}"), "a request", now_ms).await.unwrap();
    store.set_user_of_code(&format!("code-{prefix}"), &user.key()).await.unwrap();
    let session = SessionId::new(format!("{prefix}2")).unwrap();
    let own = CallKey { tenant: user.tenant(), session, header_user: Some(user.id.clone()) }.log(0);
    let record = CallLogId::new(format!("9{prefix}")).unwrap();
    assert!(store.own_record(&user.tenant(), &record, &own, now_ms).await.unwrap());
}

/// The items that no person's work makes.
const OF_NO_PERSON: [&str; 6] = ["BREAKER", "TENANT", "HOST", "SETTINGS", "ADMIN", "MAPPING"];

#[tokio::test]
async fn every_kind_of_item_is_erased_of_one_person_and_stays_of_another() {
    let test = TestApp::start().await;
    let users = users(&test).await;
    work(&test, &test.app, &users.agent, "4567").await;
    work(&test, &test.app, &users.admin, "8910").await;
    let store = &test.app.store;
    let tenant = users.agent.tenant();
    store.allow_tenant(&tenant, true).await.unwrap();
    store.set_account_of_host(&users.agent.platform, "acme.example", "1").await.unwrap();
    let decided = Versioned::default().next(Administration::default(), "an administrator");
    let mapped = Versioned::default().next(UserMapping::default(), "an administrator");
    let settings = Some((&decided, TenantSettings::default()));
    assert!(store.put_administration(&tenant, settings, Some(&mapped)).await.unwrap());
    let breaker = BreakerKey::Tenant(tenant);
    store.set_breaker(&breaker, BreakerState::default(), test.now_ms()).await.unwrap();
    test.pass(LEASE);

    let before = items_with(&test, "").await;
    for kind in documented_kinds() {
        let is_of_kind = |key: &String| {
            let key = parts(key);
            let is_part = |(of_kind, part): (&String, &String)| of_kind.starts_with('<') || of_kind == part;
            key.len() == kind.len() && kind.iter().zip(&key).all(is_part)
        };
        assert!(
            keys_of(&before).iter().any(is_of_kind),
            "this test makes no item {kind:?}: make one for each user"
        );
    }
    // Both users have made the same, so half of the items are each one's.
    let (agent, admin) = (users.agent.id.as_str(), users.admin.id.as_str());
    let is_of_no_person = |key: &&String| key.starts_with("T#") || key.starts_with("N#");
    let shared: Vec<_> = keys_of(&before)
        .into_iter()
        .filter(|key| is_of_no_person(&key) && OF_NO_PERSON.iter().any(|sort| key.ends_with(sort)))
        .collect();
    let elsewhere = keys_of(&items_with(&test, "888-pipedrive").await);
    let own = (before.len() - shared.len() - elsewhere.len()) / 2;

    let dry = erase(&test, &users.agent, true).await;
    assert_eq!(items_with(&test, "").await, before, "dry");
    let erased = erase(&test, &users.agent, false).await;
    assert_eq!(erased, dry);
    assert_eq!(erased.removed + erased.changed, own, "{:?}\n{:#?}", erased.kinds, keys_of(&before));
    let kinds: Vec<_> = erased.kinds.keys().copied().collect();
    let expected =
        ["breaker", "call log", "contact created", "contacts found", "login", "record", "settings", "user"];
    assert_eq!(kinds, expected);
    assert_eq!(keys_of(&items_with(&test, agent).await), Vec::<String>::new(), "of the person");

    let after = items_with(&test, "").await;
    let count_of_admin = before.iter().filter(|item| item.to_string().contains(admin)).count();
    assert_eq!(items_with(&test, admin).await.len(), count_of_admin, "of the colleague");
    let lost: Vec<_> = before.iter().filter(|item| !after.contains(item)).cloned().collect();
    assert_eq!(lost.len(), own, "only the person's items are gone: {:#?}", keys_of(&lost));

    // What waited is not handed on to a colleague.
    let records = test.crm.activities().len();
    test.redrive_for(5).await;
    let texts: Vec<_> = test.crm.activities().iter().map(ToString::to_string).collect();
    assert_eq!((texts.len(), texts.concat().contains("a queued update")), (records, false));
}

#[tokio::test]
async fn the_codes_of_a_persons_logins_are_erased_and_tokens_of_before_do_not_count_again() {
    let test = TestApp::start().await;
    let client = [("PIPEDRIVE_CLIENT_ID", "our-id"), ("PIPEDRIVE_CLIENT_SECRET", "our-secret")];
    let app = test.app_with(&client).await.unwrap();
    let connect = async |code: &str| {
        test.crm.accept_code(code);
        let code = AuthorizationCode {
            code: Secret::new(code),
            redirect_uri: "https://calls.example.com/pipedrive-redirect".to_owned(),
            verifier: None,
        };
        let crm = app.crm("pipedrive").unwrap();
        let deadline = Deadline(test.now_ms() + INVOCATION_MS);
        let login = Login { services: &app, crm, allowed: &AllowedTenants::All, deadline };
        login.connect(Proof::Code(code)).await.unwrap()
    };
    let token = app.issue_token(&test.user, 1);
    let shown =
        async || send_from_extension(&app, "GET", "/callLog?sessionIds=1", &token, &Value::Null).await;
    connect("code-1").await;
    assert_eq!(shown().await.status, 200, "a login leaves the tokens of an existing user");
    let erased = erase(&test, &test.user, false).await;
    assert_eq!(erased.kinds, [("login", 1), ("user", 1)].into());
    assert_eq!(items_with(&test, test.user.id.as_str()).await, Vec::<Value>::new());

    test.pass(1_000);
    let connected = connect("code-2").await;
    assert_eq!(shown().await.status, 401, "the token of before");
    let token = app.issue_valid_token(&connected.stored, 1);
    let response = send_from_extension(&app, "GET", "/callLog?sessionIds=1", &token, &Value::Null).await;
    assert_eq!(response.status, 200, "{response:?}");
}
