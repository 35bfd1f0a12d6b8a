//! Who calls us: the token that a caller shows.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::hmac_provider;
use crate::model::{CallKey, Extension, Platform, Secret, SessionId, UserId};

/// The fewest bytes of a secret that HS256 deserves (RFC 7518, 3.2).
const STRONG: usize = 32;

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub user: UserId,
    pub platform: Platform,
}

impl Caller {
    /// What identifies this caller's log of a session. The user is the token's, whatever a body says.
    pub fn call(&self, session: &SessionId, extension: Option<&Extension>) -> CallKey {
        CallKey {
            user: self.user.clone(),
            platform: self.platform.clone(),
            session: session.clone(),
            extension: extension.cloned(),
        }
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// For whoever found no token to verify.
    #[error("A token is missing: send it as `Authorization: Bearer <token>`")]
    Missing,
    #[error("The token is malformed: expected an HS256 JSON Web Token with `id`, `platform` and `exp`")]
    Malformed,
    #[error("The token's signature is wrong")]
    Signature,
    #[error("The token has expired")]
    Expired,
}

/// The secrets that tokens are signed with: the current one, and the one before it while tokens of it are about.
#[derive(Clone, Debug)]
pub struct Keys {
    signing: EncodingKey,
    /// The current one first.
    verifying: Vec<DecodingKey>,
    weak: bool,
}

impl Keys {
    /// The keys, unless the current secret is empty: then everybody could sign. An empty previous one is none.
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Option<Keys> {
        // The crate asks for its cryptography in one place of the process; whoever came first has put the same.
        let _ = hmac_provider::PROVIDER.install_default();
        let secrets =
            [Some(current), previous].into_iter().flatten().map(|secret| secret.expose().as_bytes());
        let secrets: Vec<_> = secrets.filter(|secret| !secret.is_empty()).collect();
        (!current.expose().is_empty()).then(|| Keys {
            signing: EncodingKey::from_secret(current.expose().as_bytes()),
            verifying: secrets.iter().map(|secret| DecodingKey::from_secret(secret)).collect(),
            weak: secrets.iter().any(|secret| secret.len() < STRONG),
        })
    }

    /// Whether a secret is shorter than it should be.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Whom the token speaks for at that time.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, Refused> {
        let claims = self.claims(token)?;
        // No leeway: whoever issues and whoever verifies share a clock.
        let expires = claims.exp.as_f64().ok_or(Refused::Malformed)?;
        if now.timestamp_millis() as f64 >= expires * 1000.0 {
            return Err(Refused::Expired);
        }
        let user = UserId::new(claims.id.into_text()).ok_or(Refused::Malformed)?;
        let platform = Platform::new(claims.platform.trim().to_lowercase()).ok_or(Refused::Malformed)?;
        Ok(Caller { user, platform })
    }

    /// A token for a user, valid for so many days.
    pub fn issue(&self, user: &UserId, platform: &Platform, now: DateTime<Utc>, days: u32) -> String {
        let iat = now.timestamp();
        let claims = Claims {
            id: Id::Text(user.to_string()),
            platform: platform.to_string(),
            iat: Some(iat.into()),
            exp: (iat + i64::from(days) * 86_400).into(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("an HMAC of four plain claims cannot fail")
    }

    fn claims(&self, token: &str) -> Result<Claims, Refused> {
        let mut rules = Validation::new(Algorithm::HS256);
        // The crate would ask the system for the time.
        rules.validate_exp = false;
        for key in &self.verifying {
            match jsonwebtoken::decode::<Claims>(token, key, &rules) {
                // Extensions that must be understood (RFC 7515, 4.1.11): we understand none.
                Ok(token) if token.header.crit.is_some() => return Err(Refused::Malformed),
                Ok(token) => return Ok(token.claims),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(_) => return Err(Refused::Malformed),
            }
        }
        Err(Refused::Signature)
    }
}

/// The token that a request shows: in its `Authorization` header, else in the query `jwtToken`.
pub fn token_of<'a>(authorization: Option<&'a str>, query_token: Option<&'a str>) -> Option<&'a str> {
    let bearer = authorization.and_then(|header| header.trim().split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    [bearer, query_token].into_iter().flatten().map(str::trim).find(|token| !token.is_empty())
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    id: Id,
    platform: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<Number>,
    exp: Number,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

impl Id {
    fn into_text(self) -> String {
        match self {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use ring::hmac;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_741_794_325;

    fn keys(current: &str, previous: Option<&str>) -> Keys {
        Keys::new(&Secret::new(current), previous.map(Secret::new).as_ref()).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_secs(seconds).unwrap()
    }

    fn claims() -> Value {
        json!({"id": "12345-pipedrive", "platform": "pipedrive", "iat": NOW, "exp": NOW + 60})
    }

    /// Unpadded base64 for URLs, written out here so that nothing of what is tested makes the tokens.
    fn base64(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bits = String::new();
        bytes.iter().for_each(|byte| write!(bits, "{byte:08b}").unwrap());
        let sextet = |bits: &[u8]| {
            let text = format!("{:0<6}", std::str::from_utf8(bits).unwrap());
            alphabet[usize::from_str_radix(&text, 2).unwrap()] as char
        };
        bits.as_bytes().chunks(6).map(sextet).collect()
    }

    fn token(algorithm: hmac::Algorithm, secret: &str, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.as_bytes()));
        let tag = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), message.as_bytes());
        format!("{message}.{}", base64(tag.as_ref()))
    }

    fn hs256(secret: &str, claims: &Value) -> String {
        token(hmac::HMAC_SHA256, secret, &json!({"alg": "HS256", "typ": "JWT"}), &claims.to_string())
    }

    fn check(token: &str, expected: Result<(&str, &str), Refused>) {
        let read = keys(SECRET, Some("previous")).verify(token, at(NOW));
        let read = read
            .as_ref()
            .map(|caller| (caller.user.as_str(), caller.platform.as_str()))
            .map_err(|refused| *refused);
        assert_eq!(read, expected, "{token}");
    }

    #[test]
    fn a_token_speaks_for_whom_it_names() {
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            hs256(SECRET, &claims)
        };
        check(&hs256(SECRET, &claims()), Ok(("12345-pipedrive", "pipedrive")));
        check(&hs256("previous", &claims()), Ok(("12345-pipedrive", "pipedrive")));
        check(&hs256("other", &claims()), Err(Refused::Signature));
        check(&hs256("", &claims()), Err(Refused::Signature));
        check(&with("id", json!(12345)), Ok(("12345", "pipedrive")));
        check(&with("platform", json!("PipeDrive")), Ok(("12345-pipedrive", "pipedrive")));
        check(&with("exp", json!(NOW as f64 + 0.5)), Ok(("12345-pipedrive", "pipedrive")));
        check(&with("iat", json!(null)), Ok(("12345-pipedrive", "pipedrive")));
        check(&with("more", json!({"a": [1]})), Ok(("12345-pipedrive", "pipedrive")));
        check(&with("exp", json!(NOW)), Err(Refused::Expired));
        check(&with("exp", json!(NOW - 1)), Err(Refused::Expired));

        for (name, value) in [
            ("exp", json!(null)),
            ("exp", json!("1e18")),
            ("exp", json!(-1e300)),
            ("exp", json!(true)),
            ("id", json!(null)),
            ("id", json!("")),
            ("id", json!(true)),
            ("id", json!({"a": 1})),
            ("id", json!(1.5)),
            ("platform", json!(null)),
            ("platform", json!(" ")),
            ("aud", json!("somebody else")),
        ] {
            check(&with(name, value), Err(Refused::Malformed));
        }
    }

    #[test]
    fn only_hs256_is_taken() {
        let claims = claims().to_string();
        let header = |name: &str| json!({"alg": name, "typ": "JWT"});
        check(&token(hmac::HMAC_SHA384, SECRET, &header("HS384"), &claims), Err(Refused::Malformed));
        check(&token(hmac::HMAC_SHA512, SECRET, &header("HS512"), &claims), Err(Refused::Malformed));
        for name in
            ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "none", "None", "NONE", "hs256", ""]
        {
            let signed = token(hmac::HMAC_SHA256, SECRET, &header(name), &claims);
            check(&signed, Err(Refused::Malformed));
            let unsigned = &signed[..=signed.rfind('.').unwrap()];
            check(unsigned, Err(Refused::Malformed));
        }
        let unsigned = hs256(SECRET, &json!({}));
        check(&unsigned[..=unsigned.rfind('.').unwrap()], Err(Refused::Signature));
        let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
        check(&token(hmac::HMAC_SHA256, SECRET, &critical, &claims), Err(Refused::Malformed));
        check(&token(hmac::HMAC_SHA256, SECRET, &json!({"typ": "JWT"}), &claims), Err(Refused::Malformed));
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let good = hs256(SECRET, &claims());
        let (message, tag) = good.rsplit_once('.').unwrap();
        for text in [
            "",
            ".",
            "..",
            "...",
            "a.b.c",
            "e30.e30.",
            "\u{202e}😀",
            message,
            &format!("{good}.{tag}"),
            &format!("{good}="),
            &format!(" {good}"),
        ] {
            check(text, Err(Refused::Malformed));
        }
        check(&format!("{message}.{}", tag.to_lowercase()), Err(Refused::Signature));
        let header = json!({"alg": "HS256"});
        for claims in [
            "",
            "[]",
            "null",
            "{",
            r#"{"id": "a", "id": "b", "platform": "p", "exp": 9e9}"#,
            r#"{"id": "a", "platform": "p", "exp": 1e400}"#,
            &"[".repeat(1000),
        ] {
            check(&token(hmac::HMAC_SHA256, SECRET, &header, claims), Err(Refused::Malformed));
        }
    }

    #[test]
    fn an_issued_token_is_taken_until_it_expires() {
        let caller =
            Caller { user: UserId::new("ü 1").unwrap(), platform: Platform::new("example").unwrap() };
        let old = keys(SECRET, None);
        let issued = old.issue(&caller.user, &caller.platform, at(NOW), 14);
        let end = NOW + 14 * 86_400;
        for (keys, seconds, expected) in [
            (&old, NOW, Ok(caller.clone())),
            (&old, end - 1, Ok(caller.clone())),
            (&old, end, Err(Refused::Expired)),
            (&keys("new", Some(SECRET)), NOW, Ok(caller.clone())),
            (&keys("new", Some(SECRET)), end, Err(Refused::Expired)),
            (&keys("new", None), NOW, Err(Refused::Signature)),
            (&keys("new", Some("")), NOW, Err(Refused::Signature)),
        ] {
            assert_eq!(keys.verify(&issued, at(seconds)), expected, "{seconds}");
        }
        let new = keys("new", Some(SECRET)).issue(&caller.user, &caller.platform, at(NOW), 14);
        assert_eq!(old.verify(&new, at(NOW)), Err(Refused::Signature), "signed with the current secret");
        assert!(issued.starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."), "{issued}");
    }

    #[test]
    fn secrets_are_judged_and_never_shown() {
        assert!(Keys::new(&Secret::new(""), Some(&Secret::new(SECRET))).is_none());
        for (current, previous, weak) in [
            (SECRET, None, false),
            (SECRET, Some(""), false),
            (SECRET, Some(SECRET), false),
            (SECRET, Some("short"), true),
            ("short", Some(SECRET), true),
        ] {
            let keys = keys(current, previous);
            assert_eq!(keys.is_weak(), weak, "{current} {previous:?}");
            assert!(!format!("{keys:?}").contains("short"));
        }
    }

    #[test]
    fn the_header_wins() {
        for (authorization, query, expected) in [
            (None, None, None),
            (None, Some("q"), Some("q")),
            (Some("Bearer h"), Some("q"), Some("h")),
            (Some("bEARER  h "), None, Some("h")),
            (Some("Bearer"), Some("q"), Some("q")),
            (Some("Bearer "), Some(" "), None),
            (Some("Basic h"), Some("q"), Some("q")),
            (Some("Basic h"), None, None),
            (Some("h"), None, None),
            (Some(""), Some(""), None),
        ] {
            assert_eq!(token_of(authorization, query), expected, "{authorization:?} {query:?}");
        }
    }
}
