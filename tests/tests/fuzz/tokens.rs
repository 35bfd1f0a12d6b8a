//! The token reader: it accepts a token only if our secret has signed it, and its claims say so.

use call_log::{auth::TokenKeys, model::Secret};
use chrono::DateTime;
use proptest::prelude::*;
use ring::hmac;
use serde_json::{Value, json};
use tests::test_app::{JWT_SECRET, NOW_MS};

use crate::{fuzz, inputs};

/// Signs a token, as RFC 7515 says, without our code.
fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let encode = |bytes: &[u8]| {
        let text = aws_smithy_types::base64::encode(bytes);
        text.trim_end_matches('=').replace('+', "-").replace('/', "_")
    };
    let input =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{input}.{}", encode(hmac::sign(&key, input.as_bytes()).as_ref()))
}

fn valid_claims() -> Value {
    json!({"id": "12345-example", "platform": "example", "iat": NOW_MS / 1_000, "exp": NOW_MS / 1_000 + 3_600})
}

/// A token, and if it is signed by our secret with the only algorithm that is accepted.
fn tokens() -> impl Strategy<Value = (String, Option<Value>)> {
    let header = || json!({"alg": "HS256", "typ": "JWT"});
    let valid = signed(&header(), &valid_claims(), JWT_SECRET);
    let unchanged = valid.clone();
    prop_oneof![
        inputs::text().prop_map(|text| (text, None)),
        inputs::mutated_bytes(valid.into_bytes()).prop_map(move |bytes| {
            let token = String::from_utf8_lossy(&bytes).into_owned();
            let is_own = token == unchanged;
            (token, is_own.then(valid_claims))
        }),
        inputs::mutated(valid_claims())
            .prop_map(move |claims| (signed(&header(), &claims, JWT_SECRET), Some(claims))),
        inputs::mutated(valid_claims())
            .prop_map(move |claims| (signed(&header(), &claims, "another secret that is long enough"), None)),
        prop::sample::select(vec!["none", "HS384", "HS512", "RS256", "hs256", ""])
            .prop_map(|algorithm| (signed(&json!({"alg": algorithm}), &valid_claims(), JWT_SECRET), None)),
    ]
}

#[test]
fn only_signed_tokens_with_valid_claims_are_accepted() {
    let keys = TokenKeys::new(&Secret::new(JWT_SECRET), None).unwrap();
    let now = DateTime::from_timestamp_millis(NOW_MS).unwrap();
    fuzz("the token reader", &tokens(), |(token, claims)| {
        let Ok(caller) = keys.verify(&token, now) else {
            // An unchanged token is never refused.
            prop_assert_ne!(claims, Some(valid_claims()), "{}", token);
            return Ok(());
        };
        let Some(claims) = claims else { return Err(TestCaseError::fail(format!("accepted {token}"))) };
        let seconds = |name: &str| claims[name].as_f64();
        prop_assert!(seconds("exp").is_some_and(|end| end * 1e3 > NOW_MS as f64), "{}", claims);
        prop_assert!(seconds("nbf").is_none_or(|begin| begin * 1e3 <= NOW_MS as f64), "{}", claims);
        prop_assert_eq!(
            caller.user.platform.as_str(),
            claims["platform"].as_str().unwrap().trim().to_lowercase()
        );
        let id = claims["id"].as_str().map_or_else(|| claims["id"].to_string(), str::to_owned);
        prop_assert_eq!(caller.user.id.as_str().trim(), id.trim());
        Ok(())
    });
}
