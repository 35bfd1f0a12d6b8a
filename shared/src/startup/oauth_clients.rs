//! Our OAuth clients: from environment variables, or one parameter for each CRM, read when the CRM first needs it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::{
    model::{Clock, Explanation, OAuthClient, OAuthClientError, Secret},
    startup::{
        config::{Config, client_variables},
        parameters::{self, ParameterError},
    },
};

/// The time that a client is used before its parameter is read again, in milliseconds. After this time every process
/// in use knows a rotated secret.
const MAX_AGE_MS: i64 = 5 * 60_000;
/// The pause after a read without a usable client, in milliseconds. Without it, each renewal would wait for another
/// attempt.
const PAUSE_MS: i64 = 30_000;

/// The reason why a CRM has no usable OAuth client.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The environment has no client, and no prefix of parameters.
    #[error("there is no OAuth client: set {} and {}", .0[0], .0[1])]
    NoVariables([String; 2]),
    /// The CRM's parameter does not exist.
    #[error("there is no OAuth client: create the SecureString parameter {0} with {EXPECTED}")]
    NoParameter(String),
    /// The value of the CRM's parameter has another form.
    #[error("the parameter {0} is malformed: expected {EXPECTED}")]
    Malformed(String),
    /// Parameter Store does not return the parameter.
    #[error(transparent)]
    Unreadable(#[from] ParameterError),
}

/// The form of a parameter's value.
const EXPECTED: &str = r#"JSON {"clientId": "...", "clientSecret": "..."}"#;

impl ClientError {
    /// Returns the cause of the error, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            ClientError::NoVariables(_) => (
                "The environment contains no OAuth client of the CRM. Grants are renewed without one, which most CRMs \
                 reject.",
                "Set both variables to the values of your app in the CRM. In the cloud, CRM_SECRETS_PREFIX names the \
                 parameters instead.",
            ),
            ClientError::NoParameter(_) => (
                "Users of the CRM connect with OAuth, and Parameter Store has no client for it. Grants cannot be renewed.",
                "Create the parameter as `docs/deploy.md` describes. It is used within 30 seconds.",
            ),
            ClientError::Malformed(_) => (
                "The value is not JSON, or `clientId` or `clientSecret` is missing or empty. A client that was read \
                 before stays in use.",
                "Store the value again with `--overwrite`, as `docs/deploy.md` describes. It is used within 30 seconds.",
            ),
            ClientError::Unreadable(_) => (
                "The role may not read or decrypt the parameter, or Parameter Store did not respond. A client that was \
                 read before stays in use.",
                "Nothing, if Parameter Store is down. Otherwise allow `ssm:GetParameters` below CRM_SECRETS_PREFIX, and \
                 `kms:Decrypt` if the parameter has a key of your own.",
            ),
        };
        Explanation { cause, action }
    }
}

impl From<ClientError> for OAuthClientError {
    fn from(error: ClientError) -> OAuthClientError {
        let text = error.to_string();
        match error {
            ClientError::NoVariables(_) => OAuthClientError::NotConfigured(text),
            ClientError::NoParameter(_) => OAuthClientError::Missing(text),
            ClientError::Malformed(_) | ClientError::Unreadable(_) => OAuthClientError::Unreadable(text),
        }
    }
}

/// The clients that were read, by platform.
#[derive(Debug, Default)]
pub(crate) struct OAuthClients {
    known: Mutex<BTreeMap<String, Known>>,
}

/// The result of reading a parameter.
#[derive(Clone, Debug)]
struct Known {
    client: Result<OAuthClient, ClientError>,
    /// When the parameter is read again, in milliseconds since 1970.
    until_ms: i64,
}

impl OAuthClients {
    /// Returns our client of this platform. Its parameter is read if that was not done in the last five minutes. If it
    /// cannot be read, a client that was read before stays in use.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub(crate) async fn get(
        &self,
        http: &reqwest::Client,
        config: &Config,
        clock: &Clock,
        platform: &str,
    ) -> Result<OAuthClient, ClientError> {
        if let Some(client) = config.oauth_clients.get(platform) {
            return Ok(client.clone());
        }
        let Some(prefix) = &config.crm_secrets_prefix else {
            return Err(ClientError::NoVariables(client_variables(platform)));
        };
        let before = self.known().get(platform).cloned();
        if let Some(known) = &before
            && clock.now_ms() < known.until_ms
        {
            return known.client.clone();
        }
        let read = read(http, config, clock, &format!("{prefix}/{platform}")).await;
        let pause_ms = if read.is_ok() { MAX_AGE_MS } else { PAUSE_MS };
        if let Err(error) = &read {
            tracing::error!(crm = platform, %error, "the OAuth client cannot be read");
        }
        let client = match (read, before.map(|known| known.client)) {
            (Err(ClientError::Malformed(_) | ClientError::Unreadable(_)), Some(Ok(client))) => Ok(client),
            (read, _) => read,
        };
        let known = Known { client: client.clone(), until_ms: clock.now_ms() + pause_ms };
        self.known().insert(platform.to_owned(), known);
        client
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the client in a parameter.
async fn read(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    name: &str,
) -> Result<OAuthClient, ClientError> {
    match parameters::find(http, config, clock, name).await? {
        Some(value) => parse(&value).ok_or_else(|| ClientError::Malformed(name.to_owned())),
        None => Err(ClientError::NoParameter(name.to_owned())),
    }
}

/// Returns the client in a parameter's value. The error of the JSON is dropped, because it may quote the secret.
fn parse(value: &Secret) -> Option<OAuthClient> {
    let stored: Value = serde_json::from_str(value.expose()).ok()?;
    let text = |name: &str| stored.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty());
    Some(OAuthClient { id: text("clientId")?.to_owned(), secret: Secret::new(text("clientSecret")?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_client_if_it_has_an_id_and_a_secret() {
        let client =
            |id: &str, secret: &str| Some(OAuthClient { id: id.to_owned(), secret: Secret::new(secret) });
        for (value, expected) in [
            (r#"{"clientId": "a", "clientSecret": "b"}"#, client("a", "b")),
            ("\n{\"clientSecret\": \"b\\n\", \"clientId\": \" a\", \"more\": 1}\n", client("a", "b")),
            (r#"{"clientId": "a", "clientSecret": ""}"#, None),
            (r#"{"clientId": " ", "clientSecret": "b"}"#, None),
            (r#"{"clientId": "a"}"#, None),
            (r#"{"clientId": 1, "clientSecret": "b"}"#, None),
            (r#"["a", "b"]"#, None),
            (r#""a""#, None),
            ("a:b", None),
            ("", None),
        ] {
            assert_eq!(parse(&Secret::new(value)), expected, "{value}");
        }
    }
}
