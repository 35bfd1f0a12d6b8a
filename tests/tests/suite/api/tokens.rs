//! Authentication of callers by their tokens.

use call_log::model::{CallKey, SessionId};
use serde_json::{Value, json};
use tests::{
    runtime_api::event,
    test_app::{INVOCATION_MS, JWT_SECRET, TestApp, call, send, user},
};

use crate::harness::{Harness, USER, request, warning};

const PREVIOUS_SECRET: &str = "the previous secret, which is also long enough";
/// Expiry times of valid and of expired tokens, in epoch seconds.
const IN_2100: i64 = 4_102_444_800;
const IN_2001: i64 = 978_307_200;

#[tokio::test]
async fn only_an_unexpired_hs256_token_with_a_valid_signature_is_accepted() {
    let harness = Harness::with(&[("JWT_SECRET_PREVIOUS", PREVIOUS_SECRET)]).await;
    let claims = json!({"id": USER, "platform": "pipedrive", "iat": 0, "exp": IN_2100});
    let good = token("HS256", JWT_SECRET, &claims);
    let expired = token("HS256", JWT_SECRET, &with_exp(&claims, json!(IN_2001)));
    let foreign = token("HS256", "a secret that no function knows about", &claims);
    let without_exp = json!({"id": USER, "platform": "pipedrive", "iat": 0});
    let malformed = "The token is malformed: send an HS256 JSON Web Token with `id`, `platform` and `exp`.";
    let invalid =
        "The token's signature is invalid: connect again, or ask your administrator for a new token.";
    let old = "The token has expired: connect again, or ask your administrator for a new token.";
    let missing = "The token is missing: send it as `Authorization: Bearer <token>`.";
    let bearer = |token: &str| format!("Bearer {token}");

    for (header, query, rejection) in [
        (bearer(&good), "", None),
        (format!("bearer  {good} "), "", None),
        (bearer(&token("HS256", PREVIOUS_SECRET, &claims)), "", None),
        (
            bearer(&token(
                "HS256",
                JWT_SECRET,
                &json!({"id": USER, "platform": "Pipedrive", "exp": IN_2100}),
            )),
            "",
            None,
        ),
        (String::new(), good.as_str(), None),
        ("Basic dXNlcjpwYXNz".to_owned(), good.as_str(), None),
        (bearer(&good), expired.as_str(), None),
        (bearer(&expired), good.as_str(), Some(old)),
        (bearer(&foreign), good.as_str(), Some(invalid)),
        (String::new(), "", Some(missing)),
        ("Bearer ".to_owned(), "", Some(missing)),
        (bearer("TOKEN"), "", Some(malformed)),
        (bearer(&expired), "", Some(old)),
        (String::new(), expired.as_str(), Some(old)),
        (bearer(&foreign), "", Some(invalid)),
        (bearer(&token("HS512", JWT_SECRET, &claims)), "", Some(malformed)),
        (bearer(&token("HS384", JWT_SECRET, &claims)), "", Some(malformed)),
        (bearer(&token("none", JWT_SECRET, &claims)), "", Some(malformed)),
        (bearer(&token("HS256", JWT_SECRET, &without_exp)), "", Some(malformed)),
        (bearer(&token("HS256", JWT_SECRET, &with_exp(&claims, json!("never")))), "", Some(malformed)),
        (
            bearer(&token("HS256", JWT_SECRET, &json!({"platform": "pipedrive", "exp": IN_2100}))),
            "",
            Some(malformed),
        ),
        (
            bearer(&token("HS256", JWT_SECRET, &json!({"id": "", "platform": "pipedrive", "exp": IN_2100}))),
            "",
            Some(malformed),
        ),
    ] {
        let response = harness.create.invoke(sent(&header, query)).await;
        let shown = format!("{header} ?{query}");
        match rejection {
            None => {
                assert_eq!((response.status, response.log_id()), (200, Some("5001")), "{shown}: {response:?}")
            }
            Some(message) => {
                // The extension, whose token is in the query, shows only a text.
                let is_extension = header.is_empty() && !query.is_empty();
                let expected = if is_extension { json!(message) } else { warning(message, &[]) };
                assert_eq!((response.status, &response.body), (401, &expected), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_signed_with_a_retired_secret_is_rejected() {
    let harness = Harness::start().await;
    let claims = json!({"id": USER, "platform": "pipedrive", "exp": IN_2100});
    for (secret, status) in [(JWT_SECRET, 200), (PREVIOUS_SECRET, 401)] {
        let response = harness.update.invoke(request(
            "PATCH",
            &token("HS256", secret, &claims),
            r#"{"sessionId": "1"}"#,
        ));
        assert_eq!(response.await.status, status, "{secret}");
    }
}

/// Returns a create with this `Authorization` header and this token in its query.
fn sent(header: &str, query: &str) -> Value {
    let mut event = event("create-extension-query-token", query);
    event["body"] = call("1").to_string().into();
    if query.is_empty() {
        event["rawQueryString"] = "".into();
        event.as_object_mut().unwrap().remove("queryStringParameters");
    }
    if !header.is_empty() {
        event["headers"]["authorization"] = header.into();
    }
    event
}

fn with_exp(claims: &Value, exp: Value) -> Value {
    crate::harness::with(claims.clone(), json!({"exp": exp}))
}

/// Signs a JSON Web Token (RFC 7519) with any algorithm and any claims.
fn token(algorithm: &str, secret: &str, claims: &Value) -> String {
    let signed = [json!({"alg": algorithm, "typ": "JWT"}), claims.clone()]
        .map(|part| base64url(part.to_string().as_bytes()))
        .join(".");
    let hash = match algorithm {
        "HS256" => ring::hmac::HMAC_SHA256,
        "HS384" => ring::hmac::HMAC_SHA384,
        "HS512" => ring::hmac::HMAC_SHA512,
        _ => return format!("{signed}."),
    };
    let key = ring::hmac::Key::new(hash, secret.as_bytes());
    format!("{signed}.{}", base64url(ring::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// Encodes bytes as base64url without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        text.extend((0..=chunk.len()).map(|at| ALPHABET[(bits >> (18 - 6 * at) & 63) as usize] as char));
    }
    text
}

#[tokio::test]
async fn a_revoked_token_is_rejected_and_a_later_one_is_accepted() {
    let test = TestApp::start().await;
    let other = user("54321-pipedrive", test.user.credentials.clone());
    test.app.store.put_user(&other).await.unwrap();
    let ours = |days| test.app.issue_token(&test.user, days);
    let claims = |iat: Value| json!({"id": USER, "platform": "pipedrive", "iat": iat, "exp": IN_2100});
    let early = ours(14);
    let foreign = token("HS256", JWT_SECRET, &claims(json!(test.now_ms() / 1_000)));
    let without_time =
        token("HS256", JWT_SECRET, &json!({"id": USER, "platform": "pipedrive", "exp": IN_2100}));
    let post = async |token: &str, session: &str| {
        let body = call(session).to_string().into_bytes();
        send(&test.app, "POST", token, body, INVOCATION_MS).await
    };
    for (number, token) in [&early, &foreign, &without_time].into_iter().enumerate() {
        assert_eq!(post(token, &format!("{}", number + 1)).await.message(), "Call logged", "{token}");
    }

    test.app.store.revoke_tokens(&test.user.key(), test.now_ms()).await.unwrap().unwrap();
    // A new credential of the user does not make an old token valid again.
    test.app.store.put_user(&test.user).await.unwrap();
    let requests = test.crm.requests().len();
    for token in [&early, &foreign, &without_time, &ours(14)] {
        let update = json!({"sessionId": "1", "aiNote": "Bob asked"}).to_string().into_bytes();
        let updated = send(&test.app, "PATCH", token, update, INVOCATION_MS).await;
        for response in [post(token, "9").await, updated] {
            assert_eq!(
                (response.status, &response.body["errorCode"]),
                (401, &json!("CRM_SESSION_REVOKED")),
                "{token}"
            );
        }
    }
    assert_eq!(test.crm.requests().len(), requests, "a revoked token reaches no CRM");
    assert_eq!(
        test.app
            .store
            .logs_of_call(&CallKey {
                tenant: test.user.tenant(),
                session: SessionId::new("9").unwrap(),
                header_user: None,
            })
            .await
            .unwrap()
            .len(),
        0
    );

    let stored = test.app.store.user(&test.user.key()).await.unwrap().unwrap();
    assert_eq!(post(&test.app.issue_valid_token(&stored, 14), "4").await.message(), "Call logged");
    assert_eq!(post(&test.app.issue_token(&other, 14), "5").await.message(), "Call logged", "another user");
    test.pass(1_000);
    assert_eq!(post(&ours(14), "6").await.message(), "Call logged", "a second later");
    assert_eq!(test.app.store.revoke_tokens(&user("1-pipedrive", None).key(), 0).await.unwrap(), None);
}
