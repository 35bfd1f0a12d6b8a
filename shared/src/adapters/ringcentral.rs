//! RingCentral, as far as it says who is an administrator: a person's own extension (RingCentral API reference, "Get extension").

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Effect, Error, ErrorKind, HttpClient, client::Received, exchange::Method, json::lenient};
use crate::model::{Clock, Secret};

/// The host of RingCentral's API.
const HOST: &str = "https://platform.ringcentral.com";
/// The path of the extension to which a token belongs.
const OWN_EXTENSION: &str = "/restapi/v1.0/account/~/extension/~";
/// The time that the request may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The longest response that is read, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// The time for which a response counts, in milliseconds.
const KNOWN_MS: i64 = 5 * 60_000;
/// The most responses that are remembered.
const MOST_KNOWN: usize = 500;

/// RingCentral, and the extensions of the tokens that it was asked about in the last five minutes.
pub struct RingCentral {
    base_url: String,
    /// The hashes of tokens, each with the time until which its extension counts.
    known: Mutex<Vec<([u8; 32], i64, OwnExtension)>>,
}

/// The extension to which a token belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnExtension {
    /// RingCentral's id of the account.
    pub account: String,
    /// The person may administrate the account.
    pub is_administrator: bool,
}

impl fmt::Debug for RingCentral {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RingCentral").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl RingCentral {
    /// Returns RingCentral. `base_url`: the URL that replaces its host, for tests.
    pub fn new(base_url: Option<String>) -> RingCentral {
        RingCentral { base_url: base_url.unwrap_or_else(|| HOST.to_owned()), known: Mutex::default() }
    }

    /// Returns the extension to which a token belongs. The token is neither stored nor logged; its hash is remembered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] if RingCentral does not accept the token, and [`ErrorKind::Unavailable`] or
    /// [`ErrorKind::Malformed`] if it does not say whose it is.
    pub async fn own_extension(
        &self,
        http: &HttpClient,
        clock: &Clock,
        token: &Secret,
    ) -> Result<OwnExtension, Error> {
        let hash: [u8; 32] = Sha256::digest(token.expose()).into();
        let now_ms = clock.now_ms();
        if let Some(known) = self.known(&hash, now_ms) {
            return Ok(known);
        }
        let extension = self.ask(http, token).await.map_err(Error::without_effect)?;
        self.remember(hash, now_ms + KNOWN_MS, extension.clone());
        Ok(extension)
    }

    fn known(&self, hash: &[u8; 32], now_ms: i64) -> Option<OwnExtension> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, until_ms, _)| *until_ms > now_ms);
        known.iter().find(|(other, _, _)| other == hash).map(|(_, _, extension)| extension.clone())
    }

    fn remember(&self, hash: [u8; 32], until_ms: i64, extension: OwnExtension) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _, _)| *other != hash);
        known.push((hash, until_ms, extension));
        let surplus = known.len().saturating_sub(MOST_KNOWN);
        known.drain(..surplus);
    }

    async fn ask(&self, http: &HttpClient, token: &Secret) -> Result<OwnExtension, Error> {
        let error = |kind, reason: &str| Error::new(kind, Effect::None, reason);
        let header = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut header =
            header.map_err(|_| error(ErrorKind::Unauthorized, "the token cannot be sent as a header"))?;
        header.set_sensitive(true);
        let url = format!("{}{OWN_EXTENSION}", self.base_url);
        let request = http.request(Method::GET, &url).header(AUTHORIZATION, header).timeout(TIMEOUT);
        let Received { status, body, .. } = http.send(request, None, MOST_BYTES).await?;
        match status.as_u16() {
            200 => {
                let body = body.map_err(|kind| error(kind, "the response is too long or incomplete"))?;
                read(&body)
                    .ok_or_else(|| error(ErrorKind::Malformed, "the response is missing the expected data"))
            }
            // Some tokens belong to no extension, or may not read it.
            400 | 401 | 403 | 404 => Err(error(ErrorKind::Unauthorized, "the token is not accepted")),
            status => Err(error(ErrorKind::Unavailable, &format!("status {status}"))),
        }
    }
}

fn read(body: &[u8]) -> Option<OwnExtension> {
    #[derive(Deserialize)]
    struct Extension {
        account: Account,
        #[serde(default, deserialize_with = "lenient")]
        permissions: Option<Permissions>,
    }
    #[derive(Deserialize)]
    struct Account {
        id: Value,
    }
    #[derive(Deserialize)]
    struct Permissions {
        #[serde(default, deserialize_with = "lenient")]
        admin: Option<Permission>,
    }
    #[derive(Deserialize)]
    struct Permission {
        enabled: bool,
    }
    let extension: Extension = serde_json::from_slice(body).ok()?;
    let permission = extension.permissions.and_then(|permissions| permissions.admin);
    // The reference says text. Other ids of the same response are numbers.
    let account = match extension.account.id {
        Value::String(id) => id.trim().to_owned(),
        Value::Number(id) if id.is_u64() => id.to_string(),
        _ => return None,
    };
    (!account.is_empty()).then(|| OwnExtension {
        account,
        is_administrator: permission.is_some_and(|permission| permission.enabled),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_permission_that_is_given_makes_an_administrator() {
        let own = |account: &str, is_administrator| {
            Some(OwnExtension { account: account.to_owned(), is_administrator })
        };
        for (body, expected) in [
            (json!({"account": {"id": "7"}, "permissions": {"admin": {"enabled": true}}}), own("7", true)),
            (json!({"account": {"id": 7}, "permissions": {"admin": {"enabled": true}}}), own("7", true)),
            (json!({"account": {"id": "7"}, "permissions": {"admin": {"enabled": false}}}), own("7", false)),
            (json!({"account": {"id": "7"}, "permissions": {"admin": {"enabled": "true"}}}), own("7", false)),
            (json!({"account": {"id": "7"}, "permissions": {"admin": {"enabled": 1}}}), own("7", false)),
            (json!({"account": {"id": "7"}, "permissions": {"admin": true}}), own("7", false)),
            (json!({"account": {"id": "7"}, "permissions": {}}), own("7", false)),
            (json!({"account": {"id": "7"}}), own("7", false)),
            (json!({"account": {"id": " "}}), None),
            (json!({"account": {}}), None),
            (json!({"permissions": {"admin": {"enabled": true}}}), None),
            (json!([]), None),
        ] {
            assert_eq!(read(body.to_string().as_bytes()), expected, "{body}");
        }
        assert_eq!(read(b"<html>"), None);
    }

    #[test]
    fn a_response_counts_for_five_minutes_and_not_all_are_remembered() {
        let ringcentral = RingCentral::new(None);
        let own = OwnExtension { account: "7".to_owned(), is_administrator: true };
        ringcentral.remember([1; 32], 1_000, own.clone());
        assert_eq!(ringcentral.known(&[1; 32], 999), Some(own.clone()));
        assert_eq!(ringcentral.known(&[2; 32], 999), None);
        assert_eq!(ringcentral.known(&[1; 32], 1_000), None);
        for token in 0..=MOST_KNOWN {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&token.to_be_bytes());
            ringcentral.remember(hash, i64::MAX, own.clone());
        }
        assert_eq!(ringcentral.known(&[0; 32], 0), None);
        assert_eq!(ringcentral.known.lock().unwrap().len(), MOST_KNOWN);
    }
}
