//! Callers' tokens: JSON Web Tokens (RFC 7519) that are signed with HS256.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};

use super::{
    TokenError,
    claims::{Claims, IdClaim},
    hmac_provider,
};
use crate::model::{ExtensionIdentity, Platform, Secret, Sender, TenantKey, UserId, UserKey, random_name};

/// The time before which a token has to expire, in seconds since 1970: the year 2200. A later one is in milliseconds.
const LATEST_END: f64 = 7_258_118_400.0;
const SECONDS_PER_DAY: i64 = 86_400;
/// The longest life of a token that is issued for one that ends soon, in seconds.
const LONGEST_LIFE: i64 = 400 * SECONDS_PER_DAY;
/// The minimum length of a secret for HS256, in bytes (RFC 7518, section 3.2).
const MIN_SECRET_LENGTH: usize = 32;

/// The user that a verified token identifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The claims `platform`, in lower case, and `id`.
    pub user: UserKey,
    /// The CRM account in the claim `tenant`: the one that the user belonged to when the token was issued. `None`: the
    /// token has no such claim.
    pub tenant: Option<TenantKey>,
    /// The claim `iat`: when the token was issued, in seconds since 1970.
    pub issued_at: Option<i64>,
    /// The claim `exp`: when the token ends, in seconds since 1970.
    pub expires_at: i64,
    /// The claim `jti`: the login that the token is of. `None`: it is not of a login.
    pub login: Option<String>,
}

impl Caller {
    /// Returns this caller as the sender of a request that names this extension.
    pub fn sender(&self, identity: ExtensionIdentity) -> Sender {
        let Caller { user, tenant, issued_at, .. } = self.clone();
        Sender { user, tenant, issued_at, identity }
    }
}

/// The keys that sign and verify tokens. The current secret signs; the previous secret only verifies, while a secret is
/// rotated.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    pub(super) signing: EncodingKey,
    /// The key of the current secret comes first.
    pub(super) verifying: Vec<DecodingKey>,
    is_weak: bool,
    is_previous_weak: bool,
}

impl TokenKeys {
    /// Returns the keys of these secrets, or `None` if the current secret is empty, because then anyone could sign. An
    /// empty previous secret counts as absent.
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Option<TokenKeys> {
        // The provider is global. An error means that it is installed already.
        let _ = hmac_provider::PROVIDER.install_default();
        let secrets =
            [Some(current), previous].into_iter().flatten().map(|secret| secret.expose().as_bytes());
        let secrets: Vec<_> = secrets.filter(|secret| !secret.is_empty()).collect();
        (!current.expose().is_empty()).then(|| TokenKeys {
            signing: EncodingKey::from_secret(current.expose().as_bytes()),
            verifying: secrets.iter().map(|secret| DecodingKey::from_secret(secret)).collect(),
            is_weak: secrets[0].len() < MIN_SECRET_LENGTH,
            is_previous_weak: secrets[1..].iter().any(|secret| secret.len() < MIN_SECRET_LENGTH),
        })
    }

    /// Returns `true` if the current secret is shorter than HS256 requires (RFC 7518, section 3.2).
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// Returns `true` if the previous secret is shorter than HS256 requires.
    pub fn is_previous_weak(&self) -> bool {
        self.is_previous_weak
    }

    /// Returns the caller that a token identifies at the time `now`.
    ///
    /// # Errors
    ///
    /// If the token is malformed or expired, or if none of the secrets has signed it.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, TokenError> {
        let claims = self.claims(token)?;
        // No leeway: the issuer and the verifier share a clock.
        let expires = claims.exp.as_f64().filter(|end| *end < LATEST_END).ok_or(TokenError::Malformed)?;
        if now.timestamp_millis() as f64 >= expires * 1000.0 {
            return Err(TokenError::Expired);
        }
        let begins =
            claims.nbf.as_ref().map(|begin| begin.as_f64().ok_or(TokenError::Malformed)).transpose()?;
        if begins.is_some_and(|begin| (now.timestamp_millis() as f64) < begin * 1000.0) {
            return Err(TokenError::NotYet);
        }
        let user = UserId::new(claims.id.into_text()).ok_or(TokenError::Malformed)?;
        let platform = Platform::new(claims.platform.trim().to_lowercase()).ok_or(TokenError::Malformed)?;
        let tenant = match claims.tenant {
            Some(account) if account.trim().is_empty() => return Err(TokenError::Malformed),
            account => account.map(|account| TenantKey { platform: platform.clone(), account }),
        };
        let issued_at = claims.iat.and_then(|time| time.as_f64()).map(|seconds| seconds as i64);
        Ok(Caller {
            user: UserKey { platform, id: user },
            tenant,
            issued_at,
            expires_at: expires as i64,
            login: claims.jti,
        })
    }

    /// Returns a token for a user that is valid for this number of days. `tenant`: the CRM account that the user belongs to,
    /// if it is known.
    ///
    /// # Panics
    ///
    /// Never: the claims are plain text and numbers, which can always be encoded.
    pub fn issue(&self, user: &UserKey, tenant: Option<&TenantKey>, now: DateTime<Utc>, days: u32) -> String {
        self.issue_for(user, tenant, None, (now, i64::from(days) * SECONDS_PER_DAY))
    }

    /// Returns a token for a login, which has a name of its own, that is valid for this number of days.
    ///
    /// # Panics
    ///
    /// Never: the claims are plain text and numbers, which can always be encoded.
    pub fn issue_for_login(
        &self,
        user: &UserKey,
        tenant: &TenantKey,
        now: DateTime<Utc>,
        days: u32,
    ) -> String {
        let login = random_name();
        self.issue_for(user, Some(tenant), Some(login), (now, i64::from(days) * SECONDS_PER_DAY))
    }

    /// Returns a token like the caller's that lives as long, if less than half of the life of that one is left. `None`: it is
    /// good for longer, or does not say when it was issued.
    pub fn renewed(&self, caller: &Caller, now: DateTime<Utc>) -> Option<String> {
        let life = caller.expires_at - caller.issued_at?;
        let left = caller.expires_at - now.timestamp();
        let is_old = left < life / 2;
        let Caller { user, tenant, login, .. } = caller;
        let life = life.min(LONGEST_LIFE);
        is_old.then(|| self.issue_for(user, tenant.as_ref(), login.clone(), (now, life)))
    }

    fn issue_for(
        &self,
        user: &UserKey,
        tenant: Option<&TenantKey>,
        login: Option<String>,
        (now, seconds): (DateTime<Utc>, i64),
    ) -> String {
        let iat = now.timestamp();
        let claims = Claims {
            id: IdClaim::Text(user.id.to_string()),
            platform: user.platform.to_string(),
            tenant: tenant.map(|tenant| tenant.account.clone()),
            iat: Some(iat.into()),
            nbf: None,
            exp: (iat + seconds).into(),
            jti: login,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("an HMAC of plain claims cannot fail")
    }

    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        let mut rules = Validation::new(Algorithm::HS256);
        // `verify` checks the time by our clock; the crate would use the system's.
        rules.validate_exp = false;
        for key in &self.verifying {
            match jsonwebtoken::decode::<Claims>(token, key, &rules) {
                // `crit` lists extensions that a verifier must understand (RFC 7515, section 4.1.11). We support none.
                Ok(token) if token.header.crit.is_some() => return Err(TokenError::Malformed),
                Ok(token) => return Ok(token.claims),
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
                Err(_) => return Err(TokenError::Malformed),
            }
        }
        Err(TokenError::Signature)
    }
}

/// Returns the token of a request: the `Authorization` header's, or else the one in the query parameter `jwtToken`.
pub fn token_of<'a>(authorization: Option<&'a str>, query_token: Option<&'a str>) -> Option<&'a str> {
    let bearer = authorization.and_then(|header| header.trim().split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    [bearer, query_token].into_iter().flatten().map(str::trim).find(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use ring::hmac;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_741_794_325;

    fn keys(current: &str, previous: Option<&str>) -> TokenKeys {
        TokenKeys::new(&Secret::new(current), previous.map(Secret::new).as_ref()).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_secs(seconds).unwrap()
    }

    fn claims() -> Value {
        json!({"id": "12345-example", "platform": "example", "iat": NOW, "exp": NOW + 60})
    }

    /// Unpadded base64url (RFC 4648, section 5), written here so that the tests do not use the code under test.
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

    fn check(token: &str, expected: Result<(&str, &str), TokenError>) {
        let read = keys(SECRET, Some("previous")).verify(token, at(NOW));
        let read = read
            .as_ref()
            .map(|caller| (caller.user.id.as_str(), caller.user.platform.as_str()))
            .map_err(|error| *error);
        assert_eq!(read, expected, "{token}");
    }

    #[test]
    fn a_valid_token_identifies_its_user() {
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            hs256(SECRET, &claims)
        };
        check(&hs256(SECRET, &claims()), Ok(("12345-example", "example")));
        check(&hs256("previous", &claims()), Ok(("12345-example", "example")));
        check(&hs256("other", &claims()), Err(TokenError::Signature));
        check(&hs256("", &claims()), Err(TokenError::Signature));
        check(&with("id", json!(12345)), Ok(("12345", "example")));
        check(&with("platform", json!("ExAmple")), Ok(("12345-example", "example")));
        check(&with("exp", json!(NOW as f64 + 0.5)), Ok(("12345-example", "example")));
        check(&with("iat", json!(null)), Ok(("12345-example", "example")));
        check(&with("more", json!({"a": [1]})), Ok(("12345-example", "example")));
        check(&with("exp", json!(NOW)), Err(TokenError::Expired));
        check(&with("exp", json!(NOW - 1)), Err(TokenError::Expired));
        check(&with("nbf", json!(NOW)), Ok(("12345-example", "example")));
        check(&with("nbf", json!(NOW + 1)), Err(TokenError::NotYet));

        for (name, value) in [
            ("exp", json!(null)),
            ("exp", json!("1e18")),
            ("exp", json!(-1e300)),
            ("exp", json!(true)),
            ("exp", json!((NOW + 60) * 1_000)),
            ("nbf", json!("soon")),
            ("nbf", json!(true)),
            ("id", json!(null)),
            ("id", json!("")),
            ("id", json!(true)),
            ("id", json!({"a": 1})),
            ("id", json!(1.5)),
            ("platform", json!(null)),
            ("platform", json!(" ")),
            ("aud", json!("another service")),
        ] {
            check(&with(name, value), Err(TokenError::Malformed));
        }
    }

    #[test]
    fn the_tenant_is_the_claim_of_the_token() {
        let check = |tenant: Option<Value>, expected: Result<Option<&str>, TokenError>| {
            let mut claims = claims();
            claims["platform"] = json!("ExAmple");
            if let Some(tenant) = tenant {
                claims["tenant"] = tenant;
            }
            let read =
                keys(SECRET, None).verify(&hs256(SECRET, &claims), at(NOW)).map(|caller| caller.tenant);
            let platform = Platform::new("example").unwrap();
            let tenant = |account: &str| TenantKey { platform, account: account.to_owned() };
            assert_eq!(read, expected.map(|account| account.map(tenant)), "{claims}");
        };
        check(None, Ok(None));
        check(Some(json!("3151823")), Ok(Some("3151823")));
        check(Some(json!("a#b ü")), Ok(Some("a#b ü")));
        for malformed in
            [json!(null), json!(""), json!(" \t"), json!(3_151_823), json!(true), json!(["1"]), json!({})]
        {
            check(Some(malformed), Err(TokenError::Malformed));
        }
    }

    #[test]
    fn only_hs256_is_accepted() {
        let claims = claims().to_string();
        let header = |name: &str| json!({"alg": name, "typ": "JWT"});
        check(&token(hmac::HMAC_SHA384, SECRET, &header("HS384"), &claims), Err(TokenError::Malformed));
        check(&token(hmac::HMAC_SHA512, SECRET, &header("HS512"), &claims), Err(TokenError::Malformed));
        for name in
            ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "none", "None", "NONE", "hs256", ""]
        {
            let signed = token(hmac::HMAC_SHA256, SECRET, &header(name), &claims);
            check(&signed, Err(TokenError::Malformed));
            let unsigned = &signed[..=signed.rfind('.').unwrap()];
            check(unsigned, Err(TokenError::Malformed));
        }
        let unsigned = hs256(SECRET, &json!({}));
        check(&unsigned[..=unsigned.rfind('.').unwrap()], Err(TokenError::Signature));
        let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
        check(&token(hmac::HMAC_SHA256, SECRET, &critical, &claims), Err(TokenError::Malformed));
        check(&token(hmac::HMAC_SHA256, SECRET, &json!({"typ": "JWT"}), &claims), Err(TokenError::Malformed));
    }

    #[test]
    fn text_that_is_not_a_token_is_malformed() {
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
            check(text, Err(TokenError::Malformed));
        }
        // The last character has only four bits of the tag, and must be one of sixteen.
        let (start, last) = tag.split_at(tag.len() - 1);
        check(&format!("{message}.{}{last}", start.to_lowercase()), Err(TokenError::Signature));
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
            check(&token(hmac::HMAC_SHA256, SECRET, &header, claims), Err(TokenError::Malformed));
        }
    }

    #[test]
    fn an_issued_token_is_valid_until_it_expires() {
        let user = UserKey { platform: Platform::new("example").unwrap(), id: UserId::new("ü 1").unwrap() };
        let tenant = TenantKey { platform: user.platform.clone(), account: "ü#7".to_owned() };
        let end = NOW + 14 * 86_400;
        let caller =
            Caller { user, tenant: Some(tenant), issued_at: Some(NOW), expires_at: end, login: None };
        let old = keys(SECRET, None);
        let issued = old.issue(&caller.user, caller.tenant.as_ref(), at(NOW), 14);
        for (keys, seconds, expected) in [
            (&old, NOW, Ok(caller.clone())),
            (&old, end - 1, Ok(caller.clone())),
            (&old, end, Err(TokenError::Expired)),
            (&keys("new", Some(SECRET)), NOW, Ok(caller.clone())),
            (&keys("new", Some(SECRET)), end, Err(TokenError::Expired)),
            (&keys("new", None), NOW, Err(TokenError::Signature)),
            (&keys("new", Some("")), NOW, Err(TokenError::Signature)),
        ] {
            assert_eq!(keys.verify(&issued, at(seconds)), expected, "{seconds}");
        }
        let new = keys("new", Some(SECRET)).issue(&caller.user, None, at(NOW), 14);
        assert_eq!(old.verify(&new, at(NOW)), Err(TokenError::Signature), "signed with the current secret");
        let stranger = Caller { tenant: None, ..caller };
        assert_eq!(old.verify(&old.issue(&stranger.user, None, at(NOW), 14), at(NOW)), Ok(stranger));
        assert!(issued.starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."), "{issued}");
    }

    #[test]
    fn a_token_is_renewed_in_the_second_half_of_its_life() {
        let user = UserKey { platform: Platform::new("example").unwrap(), id: UserId::new("1").unwrap() };
        let keys = keys(SECRET, None);
        let days = |days: i64| days * SECONDS_PER_DAY;
        for (life, passed, renewed) in [
            (days(14), 0, None),
            (days(14), days(7), None),
            (days(14), days(7) + 1, Some(days(14))),
            (days(14), days(14) - 1, Some(days(14))),
            (days(180), days(91), Some(days(180))),
            (days(4_000), days(3_000), Some(days(400))),
        ] {
            let caller = Caller {
                user: user.clone(),
                tenant: None,
                issued_at: Some(NOW),
                expires_at: NOW + life,
                login: None,
            };
            let token = keys.renewed(&caller, at(NOW + passed));
            let read = token.map(|token| keys.verify(&token, at(NOW + passed)).unwrap());
            let expected = renewed.map(|life| (user.clone(), NOW + passed + life));
            assert_eq!(read.map(|caller| (caller.user, caller.expires_at)), expected, "{life} {passed}");
        }
        let unknown = Caller { user, tenant: None, issued_at: None, expires_at: NOW + 1, login: None };
        assert_eq!(keys.renewed(&unknown, at(NOW)), None);
    }

    #[test]
    fn short_secrets_are_weak_and_debug_output_hides_secrets() {
        assert!(TokenKeys::new(&Secret::new(""), Some(&Secret::new(SECRET))).is_none());
        for (current, previous, weak) in [
            (SECRET, None, (false, false)),
            (SECRET, Some(""), (false, false)),
            (SECRET, Some(SECRET), (false, false)),
            (SECRET, Some("short"), (false, true)),
            ("short", Some(SECRET), (true, false)),
            (&SECRET[..31], None, (true, false)),
            (&SECRET[..32], None, (false, false)),
        ] {
            let keys = keys(current, previous);
            assert_eq!((keys.is_weak(), keys.is_previous_weak()), weak, "{current} {previous:?}");
            assert!(!format!("{keys:?}").contains("short"));
        }
    }

    #[test]
    fn the_header_takes_precedence_over_the_query() {
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
