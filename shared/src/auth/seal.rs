//! Sealed texts: what a browser keeps for us during a login and cannot change, such as the state of a flow.
//!
//! A sealed text is a JSON Web Token whose audience is its purpose, so that none is accepted for another purpose or as a
//! caller's token.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::TokenKeys;

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    /// The purpose.
    aud: String,
    /// The end, in seconds since 1970.
    exp: i64,
    content: T,
}

impl TokenKeys {
    /// Returns a text with this content that is valid for this number of seconds, for one purpose.
    ///
    /// # Panics
    ///
    /// If the content cannot be JSON.
    pub fn seal(&self, purpose: &str, content: impl Serialize, now: DateTime<Utc>, seconds: i64) -> String {
        let sealed = Sealed { aud: purpose.to_owned(), exp: now.timestamp() + seconds, content };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &sealed, &self.signing)
            .expect("an HMAC of plain claims cannot fail")
    }

    /// Returns the content of a sealed text, or `None` if it is for another purpose, was changed, or has expired.
    pub fn open<T: DeserializeOwned>(&self, purpose: &str, text: &str, now: DateTime<Utc>) -> Option<T> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_audience(&[purpose]);
        // The crate would use the system's clock.
        rules.validate_exp = false;
        let mut opened =
            self.verifying.iter().filter_map(|key| jsonwebtoken::decode::<Sealed<T>>(text, key, &rules).ok());
        let sealed = opened.next()?.claims;
        (sealed.exp > now.timestamp()).then_some(sealed.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    #[test]
    fn a_sealed_text_is_opened_for_its_purpose_until_its_end() {
        let keys = |secret: &str| TokenKeys::new(&Secret::new(secret.repeat(4)), None).unwrap();
        let at = |seconds| DateTime::from_timestamp_secs(seconds).unwrap();
        let (own, other) = (keys("12345678"), keys("abcdefgh"));
        let sealed = own.seal("state", "content", at(1_000), 600);
        for (keys, purpose, text, seconds, expected) in [
            (&own, "state", &*sealed, 1_000, Some("content")),
            (&own, "state", &*sealed, 1_599, Some("content")),
            (&own, "state", &*sealed, 1_600, None),
            (&own, "result", &*sealed, 1_000, None),
            (&other, "state", &*sealed, 1_000, None),
            (&own, "state", &sealed[1..], 1_000, None),
            (&own, "state", "", 1_000, None),
        ] {
            assert_eq!(
                keys.open::<String>(purpose, text, at(seconds)).as_deref(),
                expected,
                "{purpose} {text}"
            );
        }
        assert!(own.verify(&sealed, at(1_000)).is_err(), "it is no caller's token");
    }
}
