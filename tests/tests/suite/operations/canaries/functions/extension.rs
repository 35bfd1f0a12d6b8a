//! The routes of the extension. Their queries contain numbers, names and the token.

use tests::ringcentral::FakeRingCentral;

use super::*;

/// A request: its method, path, query and body.
type Asked<'a> = (&'a str, &'a str, String, Value);

/// Returns a request to each route, with all personal data that it takes. The first ones are valid.
fn requests() -> Vec<Asked<'static>> {
    let number = format!("phoneNumber=%2B1{NUMBER}&isForceRefreshAccountData=true");
    let contact = |number: &str| json!({"phoneNumber": format!("+1{number}"), "newContactName": NAME, "secret": AUTH_HEADER});
    let chosen =
        json!({"sessionId": "1", "dispositions": {"deals": 412, "note": NOTE}, "rcToken": DOWNLOAD_TOKEN});
    let ringcentral = format!("rcAccessToken={DOWNLOAD_TOKEN}&rcAccountId={NUMBER}");
    let person = json!({"id": NUMBER, "name": NAME, "email": format!("{NUMBER}@acme.example"), "extensionNumber": NUMBER});
    let people = json!({"rcExtensionList": [person], "rcAccessToken": AUTH_HEADER});
    let numbers = json!({"enable": true, "doNotLogNumbers": NUMBER});
    let settings = json!({"adminSettings": {"version": 0, "userMappingsVersion": 0,
        "userSettings": {"serverSideLogging": numbers, NAME: {"value": NOTE}}, "adminAccessToken": DOWNLOAD_TOKEN}});
    let wrong_settings =
        json!({"adminSettings": {"version": 0, "userMappingsVersion": 0, "userSettings": {NAME: NOTE}}});
    let cached = |session: Value| json!({"sessionId": session, "note": NOTE, "rcToken": DOWNLOAD_TOKEN});
    vec![
        ("GET", "/callLog", "sessionIds=1,2&requireDetails=true".to_owned(), Value::Null),
        ("GET", "/contact", number, Value::Null),
        ("GET", "/custom/contact/search", "name=Canaria".to_owned(), Value::Null),
        ("POST", "/contact", String::new(), contact(NUMBER)),
        ("PUT", "/callDisposition", String::new(), chosen),
        ("POST", "/callLog/cacheNote", String::new(), cached(json!("1"))),
        ("POST", "/callLog/cacheNote", String::new(), cached(json!("2"))),
        ("POST", "/callLog/cacheNote", String::new(), cached(json!(NAME.repeat(40)))),
        ("GET", "/contact", format!("phoneNumber={NAME}").replace(' ', "+"), Value::Null),
        (
            "GET",
            "/custom/contact/search",
            format!("name={NAME}{}", "x".repeat(200)).replace(' ', "+"),
            Value::Null,
        ),
        ("POST", "/contact", String::new(), json!({"phoneNumber": NAME, "newContactName": NAME})),
        ("POST", "/contact", String::new(), json!({"phoneNumber": {NUMBER: 1}, "newContactName": [NAME]})),
        (
            "PUT",
            "/callDisposition",
            String::new(),
            json!({"sessionId": NAME.repeat(40), "dispositions": NOTE}),
        ),
        ("PUT", "/contact", format!("name={NOTE}"), Value::Null),
        ("GET", "/admin/settings", ringcentral.clone(), Value::Null),
        ("POST", "/admin/settings", ringcentral.clone(), settings),
        (
            "POST",
            "/admin/settings",
            ringcentral.clone(),
            json!({"adminSettings": {NAME: NOTE}, "rcAccessToken": AUTH_HEADER}),
        ),
        ("POST", "/admin/settings", ringcentral.clone(), wrong_settings),
        ("POST", "/admin/userMapping", ringcentral.clone(), people.clone()),
        ("POST", "/admin/userMapping", ringcentral.clone(), json!({"rcExtensionList": {NAME: NUMBER}})),
        ("POST", "/admin/reinitializeUserMapping", ringcentral.clone(), people),
        (
            "POST",
            "/admin/serverLoggingSettings",
            ringcentral,
            json!({"additionalFieldValues": {NAME: AUTH_HEADER}}),
        ),
        ("GET", "/nothing", format!("name={NOTE}"), Value::Null),
    ]
}

/// Returns a request to each route that needs no token, with the secrets of a login.
fn open_requests() -> Vec<Asked<'static>> {
    let page = "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/pipedrive-redirect";
    let key = json!({"platform": "pipedrive", "apiKey": AUTH_HEADER, "hostname": NAME, "additionalInfo": {"password": NOTE}});
    let callback =
        format!("callbackUri={page}?code={DOWNLOAD_TOKEN}&state=platform=pipedrive&username={NAME}");
    let form = format!("state=x&apiKey={DOWNLOAD_TOKEN}");
    vec![
        ("GET", "/oauth-callback", callback.replace(' ', "+"), Value::Null),
        (
            "GET",
            "/oauth-callback",
            format!("callbackUri={DOWNLOAD_TOKEN}&code={DOWNLOAD_TOKEN}"),
            Value::Null,
        ),
        ("POST", "/apiKeyLogin", String::new(), key),
        ("POST", "/apiKeyLogin", String::new(), json!({"apiKey": {DOWNLOAD_TOKEN: NAME}})),
        (
            "GET",
            "/pipedrive-redirect",
            format!("code={DOWNLOAD_TOKEN}&state={NOTE}").replace(' ', "+"),
            Value::Null,
        ),
        ("GET", "/connect/start", format!("crm={NAME}").replace(' ', "+"), Value::Null),
        ("POST", "/connect/key", String::new(), json!(form)),
        ("GET", "/connect/result", format!("message={NOTE}").replace(' ', "+"), Value::Null),
        ("GET", "/userInfoHash", format!("extensionId={NUMBER}&accountId={NUMBER}"), Value::Null),
        ("GET", "/crmManifest", format!("platformName={NAME}").replace(' ', "+"), Value::Null),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_routes_without_a_token_reveal_no_secret_or_personal_data() {
    let harness = Harness::start().await;
    let mut variables = variables(&harness.table.base_url(), &harness.crm, &harness.aws, &harness.dynamodb);
    variables.insert("ALLOWED_TENANTS".to_owned(), "*".to_owned());
    let function = Function::start("connect", &variables);
    let mut responses = Vec::new();
    for fault in [None, Some(Fault::Refusal(401, echo())), Some(Fault::Status(500))] {
        harness.crm.forget_faults();
        if let Some(fault) = fault {
            harness.crm.always(Route::CurrentUser, fault.clone());
            harness.crm.always(Route::Token, fault);
        }
        for request in &open_requests() {
            responses.push(function.invoke(event_of(request, "")).await);
        }
    }
    let answered = responses.iter().filter(|response| response.status == 200).count();
    assert!(answered >= 9, "{responses:?}");
    check_log_and_table(function, responses.len(), &harness, &[]).await;
    for response in &responses {
        let text = format!("{:?} {}", response.headers, response.body);
        check_absent("a response", &text, &SECRETS);
        check_absent("a response", &text, &PERSONAL);
    }
}

/// Checks the log and the table after a function has handled this number of requests.
async fn check_log_and_table(
    function: Function,
    requests: usize,
    harness: &Harness,
    tokens: &[(&str, &str)],
) {
    let log = function.into_log();
    assert!(log.lines().count() >= requests, "{log}");
    let table = table(&harness.dynamodb, "calls").await;
    for (place, text) in [("the log", &log), ("the table", &table)] {
        for canaries in [&SECRETS[..], &PERSONAL, tokens] {
            check_absent(place, text, canaries);
        }
    }
}

fn event_of((method, path, query, body): &Asked<'_>, token: &str) -> Value {
    let mut event = event("find-call-logs", token);
    event["rawPath"] = json!(path);
    event["rawQueryString"] = json!(format!("{query}&jwtToken={token}"));
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    event.as_object_mut().unwrap().shift_remove("queryStringParameters");
    match body {
        Value::Null => event,
        Value::String(form) => with_body(event, form),
        body => with_body(event, &body.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_routes_of_the_extension_reveal_no_secret_or_personal_data() {
    let mut harness = Harness::start().await;
    harness.send(OWNER, "POST", &create("1")).await;
    let mut variables = variables(&harness.table.base_url(), &harness.crm, &harness.aws, &harness.dynamodb);
    let ringcentral = FakeRingCentral::start();
    ringcentral.issue(DOWNLOAD_TOKEN, "1", true);
    variables.insert("RINGCENTRAL_BASE_URL".to_owned(), ringcentral.base_url());
    let tenant = user(OWNER, None).tenant();
    assert!(harness.app.store.bind_ringcentral_account(&tenant, "1", true).await.unwrap());
    harness.crm.set_users(&[(tests::pipedrive::USER, NAME, &format!("{NUMBER}@acme.example"))]);
    let function = Function::start("extension-api", &variables);
    let token = harness.app.issue_token(&user(OWNER, None), 1);
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let mut responses = Vec::new();
    for request in &requests() {
        for token in [&token, &forged] {
            responses.push(function.invoke(event_of(request, token)).await);
        }
    }
    let answered = responses.iter().filter(|response| response.status == 200).count();
    assert!(answered >= 9, "{responses:?}");
    for fault in [Fault::Status(401), Fault::Refusal(403, echo()), Fault::Refusal(500, echo()), Fault::Html] {
        ringcentral.outage(Some(fault));
        let asked = ("GET", "/admin/settings", format!("rcAccessToken={DOWNLOAD_TOKEN}"), Value::Null);
        responses.push(function.invoke(event_of(&asked, &token)).await);
    }
    for fault in [
        Fault::Status(401),
        Fault::Refusal(403, echo()),
        Fault::Refusal(422, own_echo()),
        Fault::Refusal(500, echo()),
        Fault::Html,
        Fault::DropBeforeAnswer,
    ] {
        for route in [Route::SearchPersons, Route::CreatePerson, Route::GetActivity, Route::UpdateActivity] {
            harness.crm.always(route, fault.clone());
        }
        for (method, path, query, body) in requests().into_iter().take(7) {
            let body = match path {
                // Each time another contact and another deal, so that the CRM is asked.
                "/contact" if method == "POST" => {
                    with(body, json!({"newContactName": format!("{NAME} {fault:?}")}))
                }
                _ => body,
            };
            responses.push(function.invoke(event_of(&(method, path, query, body), &token)).await);
            test_app::close_breaker(&harness.app, &user(OWNER, None)).await;
        }
        harness.crm.forget_faults();
    }
    harness.table.always(DYNAMODB, Fault::Refusal(400, echo()));
    for request in &requests() {
        responses.push(function.invoke(event_of(request, &token)).await);
    }
    harness.table.forget_faults();

    let tokens = [("a caller's token", token.as_str()), ("a forged token", &forged)];
    check_log_and_table(function, responses.len(), &harness, &tokens).await;
    for response in &responses {
        let text = format!("{:?} {}", response.headers, response.body);
        check_absent("a response", &text, &SECRETS);
        // The owner sees the CRM's words, and the caller an invalid value.
        let is_own = text.contains(" refused the contact: ") || text.contains(", got \\\"");
        if response.status != 200 && !is_own {
            check_absent("an error response", &text, &PERSONAL);
        }
    }
}
