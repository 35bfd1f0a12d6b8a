//! Creates: repeated, simultaneous, and with unusual data.

use super::*;
use crate::harness::with;

#[tokio::test]
async fn a_repeated_create_returns_the_id_of_the_first_record() {
    let test = logged().await;
    let requests = test.crm.requests().len();
    for app in [&test.app, &test.another_app().await] {
        let again = test.send(app, "POST", &call(SESSION)).await;
        check(&again, ALREADY_LOGGED, "the repeated create");
        assert_eq!(again.log_id(), Some("5001"));
    }
    assert_eq!(test.crm.requests().len(), requests, "the CRM gets no request");
    activity(&test);
}

#[tokio::test]
async fn twenty_simultaneous_creates_make_one_record() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, SLOW);
    let apps = [test.app.clone(), test.another_app().await, test.another_app().await];
    let sent: Vec<_> =
        apps.iter().cycle().take(20).map(|app| start(app, &test.user, "POST", call(SESSION))).collect();
    let mut logged = 0;
    for response in sent {
        let response = response.await.unwrap();
        assert_eq!((response.status, &response.body["successful"]), (200, &json!(true)), "{}", response.body);
        let is_known = [None, Some("5001")].contains(&response.log_id());
        assert!(
            is_known && (response.log_id().is_some() || response.message() == BEING_LOGGED),
            "{}",
            response.body
        );
        logged += usize::from(response.message() == LOGGED);
    }
    assert_eq!((logged, attempts(&test)), (1, (1, 0)));
    activity(&test);
}

#[tokio::test]
async fn creates_that_wait_for_a_failing_create_do_not_report_success() {
    let test = TestApp::start().await;
    for _ in 0..20 {
        test.crm.next(Route::CreateActivity, Fault::RateLimited { retry_after: None });
    }
    let sent: Vec<_> = (0..12).map(|_| start(&test.app, &test.user, "POST", call(SESSION))).collect();
    for response in sent {
        let response = response.await.unwrap();
        assert_eq!(response.body["successful"], false, "{}", response.body);
    }
    assert_eq!(test.crm.activities().len(), 0);
}

#[tokio::test]
async fn if_the_network_repeats_a_create_the_id_in_the_received_response_is_kept() {
    let test = TestApp::start().await;
    test.crm.next(Route::CreateActivity, Fault::Repeat);
    let response = test.post(&call(SESSION)).await;
    check(&response, LOGGED, "the response to the second request was received");
    assert_eq!(response.log_id(), Some("5002"));
    assert_eq!(test.post(&call(SESSION)).await.log_id(), Some("5002"), "a retry returns the same id");
}

#[tokio::test]
async fn a_rejected_create_can_be_corrected_and_sent_again() {
    let test = TestApp::start().await;
    test.crm.refuse("xxx");
    let wrong = with(call(SESSION), json!({"note": "xxx"}));
    check(&test.post(&wrong).await, REJECTED, "a note that Pipedrive refuses");
    check(&test.post(&wrong).await, REJECTED, "again");
    let rejected = attempts(&test).0;
    check(&test.post(&call(SESSION)).await, LOGGED, "corrected");
    assert_eq!(attempts(&test), (rejected + 1, 0), "a rejected attempt needs no search");
}

#[tokio::test]
async fn a_call_of_a_number_that_no_contact_has_leaves_nothing() {
    let test = TestApp::start().await;
    let mut body = with(call(SESSION), json!({"logInfo": {"from": {"phoneNumber": "+12135550199"}}}));
    for field in ["contactId", "contactType", "contactName"] {
        body.as_object_mut().unwrap().remove(field);
    }
    check(&test.post(&body).await, "Contact not found for number +12135550199", "no contact");
    let item = test.app.store.call(&session_key(&test)).await.unwrap().unwrap();
    assert!(!item.is_log() && item.payload.is_none() && item.queue.is_empty(), "{item:?}");
    assert_eq!(test.redrive_for(5).await.iter().map(|report| report.due).sum::<usize>(), 0);
}

/// RingCentral's other ids of a call may be missing or belong to another call.
#[tokio::test]
async fn a_call_is_identified_by_its_session_id_alone() {
    for fields in [
        json!({"id": null, "telephonySessionId": null}),
        json!({"id": null}),
        json!({"telephonySessionId": null}),
        json!({"id": "another", "telephonySessionId": "s-another"}),
    ] {
        let test = TestApp::start().await;
        let body = with(call(SESSION), json!({"logInfo": fields}));
        check(&test.post(&body).await, LOGGED, &fields.to_string());
        check(&test.post(&call(SESSION)).await, ALREADY_LOGGED, &fields.to_string());
        let update = update(json!({"telephonySessionId": "s-other", "aiNote": "Bob asked"}));
        check(&test.patch(&update).await, UPDATED, &fields.to_string());
        assert!(note(&test).contains("Bob asked"), "{fields}");
    }
}

#[tokio::test]
async fn the_default_subject_says_who_called_whom() {
    let test = TestApp::start().await;
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
        check(&test.post(&body).await, LOGGED, subject);
        assert_eq!(test.crm.activities()[index]["subject"], subject);
    }
}
