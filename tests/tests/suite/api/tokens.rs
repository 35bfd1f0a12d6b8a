//! Authentication of callers by their tokens.

use serde_json::{Value, json};
use tests::{
    runtime_api::event,
    test_app::{JWT_SECRET, call},
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
                assert_eq!((response.status, &response.body), (401, &warning(message, &[])), "{shown}");
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
