//! Failures of the CRM, its token endpoint, and the table.

use super::*;

/// Sends creates and updates while the CRM has each kind of fault.
pub(super) async fn let_the_crm_fail(harness: &mut Harness) {
    let faults = [
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(500),
        Fault::Refusal(400, own_echo()),
        Fault::Refusal(422, own_echo()),
        Fault::Refusal(403, echo()),
        Fault::Refusal(404, own_echo()),
        Fault::Refusal(500, echo()),
        Fault::Refusal(200, echo()),
        Fault::Refusal(302, echo()),
        Fault::RateLimited { retry_after: Some(1) },
        Fault::Blocked,
        Fault::Html,
        Fault::Truncated,
        Fault::NoId,
        Fault::DropBeforeEffect,
        Fault::DropBeforeAnswer,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let session = format!("fails-{number}");
        for route in [Route::CreateActivity, Route::GetPerson] {
            harness.crm.next(route, fault.clone());
            harness.send(KEYED, "POST", &create(&format!("{session}-{route:?}"))).await;
        }
        harness.send(OWNER, "POST", &with_header(create(&session))).await;
        harness.send(OWNER, "POST", &create(&session)).await;
        for route in [Route::GetActivity, Route::UpdateActivity] {
            harness.crm.next(route, fault.clone());
            let later = with(update(&session), json!({"note": format!("canary-later {number} {route:?}")}));
            harness.send(OWNER, "PATCH", &later).await;
        }
        harness.send(OWNER, "PATCH", &with_header(update(&session))).await;
    }
}

/// Lets the CRM quote the credential of the request in its reason, which must not be shown then.
pub(super) async fn let_the_crm_quote_credentials(harness: &mut Harness) {
    for (id, body, credential) in [
        (KEYED, create("quotes-1"), API_KEY),
        (OWNER, create("quotes-2"), ACCESS_TOKEN),
        (
            OWNER,
            with(create("quotes-3"), json!({"authHeader": format!("Bearer {ACCESS_TOKEN}")})),
            ACCESS_TOKEN,
        ),
    ] {
        let words = format!("Something is wrong with {credential}, with {NOTE}");
        let quote = json!({"success": false, "error": words}).to_string();
        harness.crm.always(Route::CreateActivity, Fault::Refusal(422, Box::leak(quote.into_boxed_str())));
        let response = harness.send(id, "POST", &body).await;
        harness.crm.forget_faults();
        assert_eq!(response.message(), REJECTED);
        let reason = &response.body["returnMessage"]["details"][0]["items"][0]["text"];
        assert_eq!(reason, "The CRM gave a reason that quotes your credentials.", "{response:?}");
    }
}

/// Sends a create and an update with an expired grant while the token endpoint has each kind of fault.
pub(super) async fn let_renewals_fail(harness: &mut Harness) {
    for (number, fault) in [
        Fault::Refusal(400, echo()),
        Fault::Refusal(401, echo()),
        Fault::Refusal(500, echo()),
        Fault::Refusal(200, echo()),
        Fault::Html,
        Fault::DropBeforeEffect,
        Fault::Refusal(400, r#"{"error": "invalid_grant", "error_description": "pipedrive-refresh-0"}"#),
    ]
    .into_iter()
    .enumerate()
    {
        harness.put(OWNER, harness.grant(1)).await;
        for _ in 0..2 {
            harness.crm.next(Route::Token, fault.clone());
        }
        harness.send(OWNER, "POST", &create(&format!("renews-{number}"))).await;
        harness.send(OWNER, "PATCH", &update(&format!("renews-{number}"))).await;
    }
    harness.put(OWNER, harness.grant(3600)).await;
}

/// Sends creates and updates while the table has each kind of fault.
pub(super) async fn let_the_table_fail(harness: &mut Harness) {
    for (number, fault) in [
        Fault::Refusal(400, echo()),
        Fault::Refusal(400, r#"{"__type": "x#ValidationException", "message": "canary-note +12135559911"}"#),
        Fault::Refusal(500, echo()),
        Fault::Status(503),
        Fault::Html,
        Fault::Truncated,
        Fault::DropBeforeAnswer,
    ]
    .into_iter()
    .enumerate()
    {
        for (id, method, body) in [
            (KEYED, "POST", create(&format!("table-{number}"))),
            (OWNER, "PATCH", update(&format!("table-{number}"))),
            (OWNER, "PATCH", update("1")),
        ] {
            for _ in 0..4 {
                harness.table.next(DYNAMODB, fault.clone());
            }
            harness.send(id, method, &body).await;
        }
        harness.send(KEYED, "PATCH", &update(&format!("table-{number}"))).await;
    }
    // An item whose encrypted note cannot be read.
    let item = with(
        json!({"pk": {"S": format!("C#pipedrive#{KEYED}#unreadable")}, "sk": {"S": "L#0"}}),
        json!({"state": {"S": "QUEUED"}, "lease_until": {"N": "0"}, "queue": {"L": [{"B": base64::encode("too short")}]}}),
    );
    harness.dynamodb.ask("PutItem", &json!({"TableName": "calls", "Item": item})).await;
    assert_eq!(harness.send(KEYED, "POST", &create("unreadable")).await.status, 500);
}
