//! A call that is logged, again and again and at once.

use super::*;
use crate::harness::with;

#[tokio::test]
async fn the_same_call_again_is_told_its_id() {
    let world = logged().await;
    let requests = world.crm.requests().len();
    for app in [&world.app, &world.another_app().await] {
        let again = world.send(app, "POST", &call(SESSION)).await;
        check(&again, ALREADY, "again");
        assert_eq!(again.log_id(), Some("5001"));
    }
    assert_eq!(world.crm.requests().len(), requests, "the CRM is not asked");
    activity(&world);
}

#[tokio::test]
async fn twenty_at_once_make_one() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, SLOW);
    let apps = [world.app.clone(), world.another_app().await, world.another_app().await];
    let sent: Vec<_> =
        apps.iter().cycle().take(20).map(|app| start(app, &world.user, "POST", call(SESSION))).collect();
    let mut logged = 0;
    for answer in sent {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, &answer.body["successful"]), (200, &json!(true)), "{}", answer.body);
        let is_known = [None, Some("5001")].contains(&answer.log_id());
        assert!(
            is_known && (answer.log_id().is_some() || answer.message() == BEING_LOGGED),
            "{}",
            answer.body
        );
        logged += usize::from(answer.message() == LOGGED);
    }
    assert_eq!((logged, attempts(&world)), (1, (1, 0)));
    activity(&world);
}

#[tokio::test]
async fn those_who_wait_for_one_that_fails_are_not_told_that_it_is_logged() {
    let world = TestApp::start().await;
    for _ in 0..20 {
        world.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: None });
    }
    let sent: Vec<_> = (0..12).map(|_| start(&world.app, &world.user, "POST", call(SESSION))).collect();
    for answer in sent {
        let answer = answer.await.unwrap();
        assert_eq!(answer.body["successful"], false, "{}", answer.body);
    }
    assert_eq!(world.crm.activities().len(), 0);
}

#[tokio::test]
async fn a_repeated_request_on_the_wire_is_not_ours_to_see_but_its_answer_is() {
    let world = TestApp::start().await;
    world.crm.next(Route::CreateActivity, Fault::Repeat);
    let answer = world.post(&call(SESSION)).await;
    check(&answer, LOGGED, "the second answer is the one that came");
    assert_eq!(answer.log_id(), Some("5002"));
    assert_eq!(world.post(&call(SESSION)).await.log_id(), Some("5002"), "and it stays");
}

#[tokio::test]
async fn refused_data_can_be_corrected() {
    let world = TestApp::start().await;
    let mut wrong = call(SESSION);
    wrong["contactId"] = json!(999_999);
    check(&world.post(&wrong).await, REFUSED, "no such contact");
    check(&world.post(&wrong).await, REFUSED, "still none");
    check(&world.post(&call(SESSION)).await, LOGGED, "corrected");
    assert_eq!(attempts(&world), (1, 0), "what is refused needs no search");
}

#[tokio::test]
async fn a_call_without_a_contact_is_not_claimed() {
    let world = TestApp::start().await;
    let mut nobody = call(SESSION);
    for field in ["contactId", "contactType", "contactName"] {
        nobody.as_object_mut().unwrap().remove(field);
    }
    check(&world.post(&nobody).await, "Contact not found for number +12135550111", "nobody");
    assert_eq!(world.app.store.call(&session_key(&world)).await.unwrap(), None);
}

/// The session is all that names a call: what else RingCentral numbers it by may be missing, or be another's.
#[tokio::test]
async fn a_call_needs_no_id_but_its_session() {
    for fields in [
        json!({"id": null, "telephonySessionId": null}),
        json!({"id": null}),
        json!({"telephonySessionId": null}),
        json!({"id": "another", "telephonySessionId": "s-another"}),
    ] {
        let world = TestApp::start().await;
        let body = with(call(SESSION), json!({"logInfo": fields}));
        check(&world.post(&body).await, LOGGED, &fields.to_string());
        check(&world.post(&call(SESSION)).await, "Call already logged", &fields.to_string());
        let update = update(json!({"telephonySessionId": "s-other", "aiNote": "Bob asked"}));
        check(&world.patch(&update).await, UPDATED, &fields.to_string());
        assert!(note(&world).contains("Bob asked"), "{fields}");
    }
}

#[tokio::test]
async fn a_call_without_a_subject_says_who_called_whom() {
    let world = TestApp::start().await;
    let (bob, number) = (json!({"phoneNumber": "+1213", "name": "BOB"}), json!({"phoneNumber": "+1213"}));
    let inbound = |name: Value, from: &Value| (name, json!({"direction": "Inbound", "from": from, "to": {}}));
    let outbound = |name: Value, to: &Value| (name, json!({"direction": "Outbound", "from": {}, "to": to}));
    let quote = json!({"direction": "Inbound", "customSubject": "Quote $&"});
    for (index, ((name, fields), subject)) in [
        (inbound(json!("Bob Client"), &bob), "Inbound Call from Bob Client"),
        (outbound(json!("Bob Client"), &bob), "Outbound Call to Bob Client"),
        (inbound(json!(null), &bob), "Inbound Call from BOB"),
        (outbound(json!(""), &bob), "Outbound Call to BOB"),
        (inbound(json!(null), &number), "Inbound Call from +1213"),
        (outbound(json!(null), &number), "Outbound Call to +1213"),
        (inbound(json!(null), &json!({})), "Inbound Call from unknown"),
        (outbound(json!(null), &json!(null)), "Outbound Call to unknown"),
        ((json!("Bob Client"), quote), "Quote $&"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = call(SESSION);
        body["logInfo"] = fields;
        body["logInfo"]["sessionId"] = json!(format!("session-{index}"));
        body["contactName"] = name;
        check(&world.post(&body).await, LOGGED, subject);
        assert_eq!(world.crm.activities()[index]["subject"], subject);
    }
}
