//! The owner of a record, whom a create may name by that user's own token.

use call_log::{
    delivery::administration::{self, AdministrationChange, Changed},
    model::{CrmAccount, Platform, UserId},
    store::State,
};
use tests::test_app::api_key;

use super::{redrive::item, *};
use crate::harness::with;

/// The caller's id in the CRM, and the agent's.
const CALLER: u64 = tests::pipedrive::USER;
const AGENT: u64 = 777;
/// The texts of the detail `Owner`.
const BAD_TOKEN: &str = "The call log belongs to you. The token of the user who should own it is not valid, or has \
                         expired. That user has to connect Pipedrive again.";
const NOT_MAPPED: &str = "The call log belongs to you. No user of Pipedrive belongs to the extension that took the call. An \
                          administrator can map it on the page User mapping.";
const NOT_CONNECTED_OWNER: &str =
    "The call log belongs to you. The user who should own it is not connected to your company's Pipedrive.";

/// Stores an agent of the caller's company.
async fn agent(test: &TestApp) -> User {
    let credentials = Some(api_key(tests::pipedrive::API_KEY));
    let agent = User { id: UserId::new("777-pipedrive").unwrap(), credentials, ..test.user.clone() };
    test.app.store.put_user(&agent).await.unwrap();
    agent
}

/// Returns the body of a create that asks for the owner with this token.
fn call_for(token: &str) -> Value {
    let form = json!({"isAssignedToUser": true, "adminAssignedUserToken": token});
    with(call(SESSION), json!({"additionalSubmission": form}))
}

/// Sends a create that asks for an owner, and checks the record's owner and the answer's detail.
async fn check_owner(test: &TestApp, body: &Value, owner: u64, detail: Option<&str>, case: &str) {
    let response = test.post(body).await;
    check(&response, LOGGED, case);
    let message = &response.body["returnMessage"];
    let details = message["details"].as_array().into_iter().flatten().find(|part| part["title"] == "Owner");
    assert_eq!(details.map(|part| part["items"][0]["text"].as_str().unwrap()), detail, "{case}: {message}");
    assert_eq!(activity(test)["owner_id"], owner, "{case}");
    let stored = (owner != CALLER).then(|| format!("{owner}-pipedrive"));
    assert_eq!(item(test).await.owner.map(|owner| owner.to_string()), stored, "{case}");
}

#[tokio::test]
async fn a_record_belongs_to_the_user_whom_a_valid_token_names() {
    let test = TestApp::start().await;
    let agent = agent(&test).await;
    let token = test.app.issue_token(&agent, 1);
    check_owner(&test, &call_for(&token), AGENT, None, "an agent of the company").await;
    // The agent owns the only log, so the agent's update without an extension is for it.
    let response = start(&test.app, &agent, "PATCH", update(json!({"aiNote": "Bob asked"}))).await.unwrap();
    check(&response, UPDATED, "the agent's update");
}

#[tokio::test]
async fn a_record_belongs_to_the_caller_if_the_token_is_not_accepted() {
    for (case, detail) in [
        ("forged", BAD_TOKEN),
        ("expired", BAD_TOKEN),
        ("of another CRM", BAD_TOKEN),
        ("issued in another company", BAD_TOKEN),
        ("moved", NOT_CONNECTED_OWNER),
        ("unknown", NOT_CONNECTED_OWNER),
        ("disconnected", NOT_CONNECTED_OWNER),
        ("revoked", NOT_CONNECTED_OWNER),
    ] {
        let test = TestApp::start().await;
        let mut agent = agent(&test).await;
        let elsewhere = || CrmAccount { id: Some("another company".to_owned()), ..CrmAccount::default() };
        // A token that names no company.
        let plain =
            |user: &User| test.app.issue_token(&User { account: CrmAccount::default(), ..user.clone() }, 1);
        let token = match case {
            "forged" => {
                let token = plain(&agent);
                format!("{}AAAA", &token[..token.len() - 4])
            }
            "expired" => {
                let token = plain(&agent);
                test.pass(2 * 86_400_000);
                token
            }
            "of another CRM" => {
                agent.platform = Platform::new("example").unwrap();
                test.app.issue_token(&agent, 1)
            }
            "issued in another company" => {
                test.app.issue_token(&User { account: elsewhere(), ..agent.clone() }, 1)
            }
            "moved" => {
                agent.account = elsewhere();
                plain(&agent)
            }
            "unknown" => {
                agent.id = UserId::new("778-pipedrive").unwrap();
                plain(&agent)
            }
            "revoked" => {
                let token = test.app.issue_token(&agent, 1);
                test.pass(1_000);
                test.app.store.revoke_tokens(&agent.key(), test.now_ms()).await.unwrap();
                token
            }
            _ => {
                agent.credentials = None;
                test.app.issue_token(&agent, 1)
            }
        };
        if ["moved", "disconnected"].contains(&case) {
            test.app.store.put_user(&agent).await.unwrap();
        }
        check_owner(&test, &call_for(&token), CALLER, Some(detail), case).await;
    }
}

#[tokio::test]
async fn a_create_that_waits_is_delivered_for_the_owner_who_is_accepted_then() {
    for connects in [true, false] {
        let test = TestApp::start().await;
        let agent = agent(&test).await;
        let token = test.app.issue_token(&agent, 1);
        test.crm.outage(Some(Fault::Status(503)));
        check(&test.post(&call_for(&token)).await, NOT_ANSWERING, "the create is kept");
        if !connects {
            test.app.store.put_user(&User { credentials: None, ..agent }).await.unwrap();
        }
        test.crm.outage(None);
        test.redrive_for(30).await;
        let owner = if connects { AGENT } else { CALLER };
        assert_eq!((item(&test).await.state, &activity(&test)["owner_id"]), (State::Logged, &json!(owner)));
    }
}

/// The extension of the agent at RingCentral.
const EXTENSION: &str = "62275646002";

/// Returns the body of a create that asks for the owner with this extension, and with this token if it is not empty.
fn call_for_extension(extension: &str, token: &str) -> Value {
    let form = json!({"isAssignedToUser": true, "adminAssignedUserRcId": extension});
    let form = if token.is_empty() { form } else { with(form, json!({"adminAssignedUserToken": token})) };
    with(call(SESSION), json!({"additionalSubmission": form}))
}

/// Stores the extensions of users.
async fn map(test: &TestApp, users: &[(u64, &[&str])]) {
    let tenant = test.user.tenant();
    let state = administration::show(&test.app, &tenant).await.unwrap();
    let row = |(user, extensions): &(u64, &[&str])| {
        (user.to_string(), extensions.iter().map(|extension| (*extension).to_owned()).collect())
    };
    let change = AdministrationChange {
        mapping_version: state.mapping.version,
        mapping: Some(users.iter().map(row).collect()),
        ..AdministrationChange::default()
    };
    let crm = test.app.crm("pipedrive").unwrap();
    let changed = administration::change(&test.app, crm, &tenant, "an administrator", &change).await;
    assert!(matches!(changed, Ok(Changed::Stored(_))), "{changed:?}");
}

#[tokio::test]
async fn a_record_belongs_to_the_user_of_the_extension_if_no_accepted_token_names_another() {
    let mapped: &[(u64, &[&str])] = &[(AGENT, &["9", EXTENSION])];
    let (valid, none) = ("valid", "");
    for (users, token, owner, detail, case) in [
        (mapped, none, AGENT, None, "mapped"),
        (mapped, "x.y.z", AGENT, None, "mapped, and a token that is not valid"),
        (&[(1, &[EXTENSION][..])][..], valid, AGENT, None, "the token takes precedence"),
        (&[][..], none, CALLER, Some(NOT_MAPPED), "nothing is mapped"),
        (&[(AGENT, &["9"][..])][..], none, CALLER, Some(NOT_MAPPED), "another extension"),
        (&[(AGENT, &[][..])][..], none, CALLER, Some(NOT_MAPPED), "the user has none"),
        (
            &[(AGENT, &[EXTENSION][..]), (1, &[EXTENSION][..])][..],
            none,
            CALLER,
            Some(NOT_MAPPED),
            "two users",
        ),
        (&[][..], "x.y.z", CALLER, Some(BAD_TOKEN), "neither"),
    ] {
        let test = TestApp::start().await;
        let agent = agent(&test).await;
        map(&test, users).await;
        let token = if token == valid { test.app.issue_token(&agent, 1) } else { token.to_owned() };
        check_owner(&test, &call_for_extension(EXTENSION, &token), owner, detail, case).await;
    }
}

#[tokio::test]
async fn the_user_of_an_extension_need_not_be_connected_here() {
    let test = TestApp::start().await;
    map(&test, &[(AGENT, &[EXTENSION])]).await;
    check_owner(&test, &call_for_extension(EXTENSION, ""), AGENT, None, "unknown here").await;
    // Without the wish for an owner, the extension says nothing about it.
    let form = json!({"isAssignedToUser": false, "adminAssignedUserRcId": EXTENSION});
    let body = with(call("2"), json!({"additionalSubmission": form}));
    check(&test.post(&body).await, LOGGED, "no wish");
    assert_eq!(test.crm.activities()[1]["owner_id"], CALLER);
}

#[tokio::test]
async fn an_extension_that_was_disconnected_by_its_token_falls_back_to_the_mapping() {
    let test = TestApp::start().await;
    let agent = agent(&test).await;
    map(&test, &[(778, &[EXTENSION])]).await;
    let token = test.app.issue_token(&agent, 1);
    test.app.store.put_user(&User { credentials: None, ..agent }).await.unwrap();
    check_owner(&test, &call_for_extension(EXTENSION, &token), 778, None, "disconnected").await;
}

/// Pipedrive does not know the user: the call is logged, and the answer says what is missing.
#[tokio::test]
async fn an_owner_whom_the_crm_does_not_know_is_left_out() {
    let test = TestApp::start().await;
    map(&test, &[(4_040_404, &[EXTENSION])]).await;
    test.crm.refuse("4040404");
    let response = test.post(&call_for_extension(EXTENSION, "")).await;
    check(&response, LOGGED, "an unknown owner");
    assert_eq!(activity(&test)["owner_id"], CALLER);
    assert_eq!(item(&test).await.owner, None);
    let details = response.body["returnMessage"]["details"].to_string();
    assert!(details.contains("Pipedrive chose the owner of the record."), "{details}");
}

#[tokio::test]
async fn a_create_that_waits_is_delivered_for_the_user_who_has_the_extension_then() {
    let test = TestApp::start().await;
    test.crm.outage(Some(Fault::Status(503)));
    check(&test.post(&call_for_extension(EXTENSION, "")).await, NOT_ANSWERING, "the create is kept");
    map(&test, &[(AGENT, &[EXTENSION])]).await;
    test.crm.outage(None);
    test.redrive_for(30).await;
    assert_eq!((item(&test).await.state, &activity(&test)["owner_id"]), (State::Logged, &json!(AGENT)));
}

/// The mapping changes after the record was made, before its response was seen.
#[tokio::test]
async fn the_record_of_a_lost_response_is_found_whoever_had_the_extension() {
    let owners: [&[(u64, &[&str])]; 3] = [&[], &[(AGENT, &[EXTENSION])], &[(778, &[EXTENSION])]];
    for (before, made_for) in owners.iter().zip([CALLER, AGENT, 778]) {
        for after in owners {
            let test = TestApp::start().await;
            map(&test, before).await;
            test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
            check(&test.post(&call_for_extension(EXTENSION, "")).await, NOT_ANSWERING, "lost");
            map(&test, after).await;
            test.redrive_for(30).await;
            let case = format!("{before:?} {after:?}");
            assert_eq!(activity(&test)["owner_id"], made_for, "{case}");
            assert_eq!(item(&test).await.state, State::Logged, "{case}");
        }
    }
}

/// The mapping is read beside the claim; that it decided is stored before the record is sent.
#[tokio::test]
async fn a_mapping_costs_one_read_and_one_write() {
    let test = TestApp::start().await;
    map(&test, &[(AGENT, &[EXTENSION])]).await;
    let (app, dynamodb) = test.proxied_app().await;
    for (body, operations) in [(call("1"), 3), (call_for_extension(EXTENSION, ""), 5)] {
        let before = dynamodb.count(DYNAMODB);
        check(&test.send(&app, "POST", &body).await, LOGGED, "create");
        assert_eq!(dynamodb.count(DYNAMODB) - before, operations, "{body}");
    }
}

/// The owner may be accepted for one attempt and not for the next one.
#[tokio::test]
async fn the_record_of_a_lost_response_is_found_whoever_owns_it() {
    for (case, then_connected) in [("still the agent", true), ("the caller by now", false)] {
        let test = TestApp::start().await;
        let agent = agent(&test).await;
        let token = test.app.issue_token(&agent, 1);
        test.crm.next(Route::CreateActivity, Fault::DropBeforeAnswer);
        check(&test.post(&call_for(&token)).await, NOT_ANSWERING, case);
        assert_eq!(activity(&test)["owner_id"], AGENT, "{case}");
        if !then_connected {
            test.app.store.put_user(&User { credentials: None, ..agent }).await.unwrap();
        }
        test.redrive_for(30).await;
        let item = item(&test).await;
        assert_eq!((item.state, &activity(&test)["owner_id"]), (State::Logged, &json!(AGENT)), "{case}");
    }
}

/// A user who owns one of several logs means that one.
#[tokio::test]
async fn an_update_without_an_extension_is_for_the_log_that_its_user_owns() {
    let test = TestApp::start().await;
    let agent = agent(&test).await;
    let token = test.app.issue_token(&agent, 1);
    let of = |body: Value, extension: &str| with(body, json!({"hashedExtensionId": extension}));
    check(&test.post(&of(call(SESSION), "A")).await, LOGGED, "the caller's log");
    check(&test.post(&of(call_for(&token), "B")).await, LOGGED, "the agent's log");
    let owners: Vec<_> = test.crm.activities().iter().map(|activity| activity["owner_id"].clone()).collect();
    assert_eq!(owners, [json!(CALLER), json!(AGENT)]);
    let response = start(&test.app, &agent, "PATCH", update(json!({"aiNote": "Bob asked"}))).await.unwrap();
    check(&response, UPDATED, "the agent's update");
    let has_update = |activity: &Value| activity["note"].as_str().unwrap().contains("Bob asked");
    assert_eq!(test.crm.activities().iter().map(has_update).collect::<Vec<_>>(), [false, true]);
}
