//! Malformed requests of callers, and events that no gateway sends.

use super::*;

/// Sends invalid tokens, malformed bodies, and events that no gateway sends.
pub(super) async fn send_malformed_requests(harness: &mut Harness) {
    let stranger = variables(&harness.dynamodb.url, &harness.crm, &harness.aws, &harness.dynamodb);
    let stranger = Config::read(|name| match name {
        "JWT_SECRET" => Some("canary-secret-of-a-stranger-who-guesses".to_owned()),
        "HASH_KEY" => Some(HASH_KEY.to_owned()),
        "CREDENTIALS_DATA_KEY_PARAMETER" | "JWT_SECRET_PARAMETER" | "HASH_KEY_PARAMETER" => None,
        name => stranger.get(name).cloned(),
    });
    let stranger = App::new(stranger.unwrap(), Clock::System).await.unwrap();
    let good = harness.app.issue_token(&user(OWNER, None), 1);
    let foreign = stranger.issue_token(&user(OWNER, None), 1);
    let body = create("refused").to_string();
    for (method, token) in [
        ("POST", foreign.clone()),
        ("PATCH", foreign),
        ("POST", format!("{good}x")),
        ("POST", good.replace('.', "!")),
        ("PATCH", good.rsplit_once('.').unwrap().0.to_owned()),
        ("POST", harness.app.issue_token(&user(OWNER, None), 0)),
    ] {
        assert_eq!(harness.send_text(&token, method, &body, false).await.status, 401);
    }
    // The extension sends the token in the query.
    let mut queried = event("create-extension-query-token", &good);
    queried["body"] = create("queried").to_string().into();
    assert_eq!(harness.create.invoke(queried.clone()).await.message(), LOGGED);
    queried["rawQueryString"] = format!("jwtToken={good}%00&x={NOTE}").into();
    queried["queryStringParameters"]["jwtToken"] = format!("{good}\0").into();
    harness.responses.push((harness.create.invoke(queried).await, false));

    for method in ["POST", "PATCH"] {
        let whole = if method == "POST" { create("bad") } else { update("bad") };
        let text = whole.to_string();
        for cut in [1, 40, text.len() / 2, text.len() - 1] {
            let cut: String = text.chars().take(cut).collect();
            assert_eq!(harness.send_text(&good, method, &cut, false).await.status, 400);
        }
        // The session id is left as it is, because it is part of the call's key in the table.
        let fields: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
        for field in fields.into_iter().filter(|field| field != "sessionId") {
            for wrong in
                [json!([NOTE, DOWNLOAD_TOKEN]), json!({NAME: NUMBER}), json!(format!("+1{NUMBER} {NOTE}"))]
            {
                let mut body = whole.clone();
                body[field.as_str()] = wrong;
                harness.send_text(&good, method, &body.to_string(), true).await;
            }
        }
        for (field, wrong) in [
            ("authHeader", json!(format!("{AUTH_HEADER}\nx: y"))),
            ("authHeader", json!([AUTH_HEADER])),
            ("contactId", json!({NAME: NOTE})),
            ("timezone", json!(NOTE)),
            ("user", json!({"id": NAME})),
            ("sessionId", json!([NOTE])),
            ("sessionId", json!({NAME: AUTH_HEADER})),
        ] {
            let mut body = whole.clone();
            body[field] = wrong;
            harness.send_text(&good, method, &body.to_string(), true).await;
        }
        // Values that the response quotes, so that the caller sees the mistake.
        for (path, wrong) in [
            ("direction", json!(NOTE)),
            ("startTime", json!(NAME)),
            ("duration", json!(format!("+1{NUMBER}"))),
            ("startTime", json!(format!("{NAME}, got {NUMBER}"))),
            ("sessionId", json!({NAME: NOTE})),
        ] {
            let mut body = whole.clone();
            let place = if method == "POST" { &mut body["logInfo"] } else { &mut body };
            place[path] = wrong;
            harness.send_text(&good, method, &body.to_string(), true).await;
        }
        for body in [json!(NOTE).to_string(), json!([NOTE]).to_string(), format!("{NOTE} {AUTH_HEADER}")] {
            harness.send_text(&good, method, &body, false).await;
        }
    }
    for event in [
        json!({NOTE: AUTH_HEADER}),
        json!([NOTE]),
        json!({"version": "2.0", "rawPath": NOTE, "headers": {"authorization": format!("Bearer {good}")}, "body": NOTE}),
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["isBase64Encoded"] = true.into();
            event
        },
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["requestContext"]["http"]["method"] = format!("{NOTE} {AUTH_HEADER}").into();
            event
        },
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["headers"]["x-bad"] = format!("{NOTE}\n{AUTH_HEADER}").into();
            event
        },
        {
            let mut event = with_body(event("create-extension", &good), NOTE);
            event["rawPath"] = format!("/{NOTE}/{good}").into();
            event["requestContext"]["http"]["path"] = event["rawPath"].clone();
            event
        },
    ] {
        let report = harness.create.invoke_raw(event.clone(), Duration::from_secs(5)).await;
        let text = format!("{report:?}");
        check_absent("the report to the Runtime API", &text, &SECRETS);
        check_absent("the report to the Runtime API", &text, &PERSONAL);
        assert!(!text.contains(&good), "{text}");
    }
}
