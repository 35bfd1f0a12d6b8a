//! The secrets of the process: read when it starts, and again when they are five minutes old. OAuth clients are read
//! when they are needed.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use crate::{
    api::Site,
    auth::TokenKeys,
    model::{Clock, HashKey, OAuthClient, OAuthClientError, Secret, SecretReader},
    startup::{
        config::{CallerSecrets, Config, ConfigError, HASH_KEY_HINT, JWT_SECRET_HINT, SecretSource},
        data_keys::{self, DecryptedKeys, EncryptedDataKey},
        error::StartError,
        oauth_clients::OAuthClients,
        parameters::{self, ParameterError},
    },
    store::Keyring,
};

/// The age at which secrets of other services are read again, in milliseconds. After this time every process in use
/// knows a rotated secret.
const MAX_AGE_MS: i64 = 5 * 60_000;
/// The pause after a failed read, in milliseconds. Without it, each request would wait for another attempt.
const PAUSE_MS: i64 = 30_000;

/// The secrets, and the configuration that says where to read them.
#[derive(Debug)]
pub(crate) struct Secrets {
    http: reqwest::Client,
    config: Config,
    clock: Clock,
    current: RwLock<Arc<Current>>,
    oauth_clients: OAuthClients,
}

/// The keys by which callers are known.
#[derive(Clone, Debug)]
pub(crate) struct CallerKeys {
    /// They sign and verify callers' tokens.
    pub(crate) tokens: TokenKeys,
    /// It hashes the ids of callers' extensions.
    pub(crate) extensions: HashKey,
}

/// The values of the secrets.
#[derive(Clone, Debug)]
struct Current {
    /// `None`: the process takes no requests.
    callers: Option<CallerKeys>,
    /// Data keys that KMS has decrypted.
    data_keys: DecryptedKeys,
    /// When the secrets were read, in milliseconds since 1970.
    read_at_ms: i64,
}

impl Secrets {
    /// Reads all secrets of the configuration, and returns them with the keyring.
    ///
    /// # Errors
    ///
    /// If a secret is not available or cannot be used.
    pub(crate) async fn read(
        http: reqwest::Client,
        config: Config,
        clock: Clock,
    ) -> Result<(Secrets, Keyring), StartError> {
        let (current, keyring) = read(&http, &config, &clock, &DecryptedKeys::new()).await?;
        let current = RwLock::new(Arc::new(current));
        Ok((Secrets { http, config, clock, current, oauth_clients: OAuthClients::default() }, keyring))
    }

    /// Reads the secrets again if they are old, and returns the new keyring. If that fails, the known secrets stay in
    /// use.
    pub(crate) async fn refresh(&self) -> Option<Keyring> {
        let known = self.current();
        if self.clock.now_ms() - known.read_at_ms < MAX_AGE_MS || !has_remote_secrets(&self.config) {
            return None;
        }
        match read(&self.http, &self.config, &self.clock, &known.data_keys).await {
            Ok((current, keyring)) => {
                self.replace(current);
                Some(keyring)
            }
            Err(error) => {
                tracing::error!(%error, "the secrets could not be read again; the known secrets stay in use");
                let read_at_ms = self.clock.now_ms() - MAX_AGE_MS + PAUSE_MS;
                self.replace(Current { read_at_ms, ..Current::clone(&known) });
                None
            }
        }
    }

    /// Returns the operator's decisions about the address of the API and about its people.
    pub(crate) fn site(&self) -> Site {
        Site { url: self.config.public_url.clone(), allowed: self.config.allowed_tenants.clone() }
    }

    /// Returns the keys by which callers are known. `None`: the process takes no requests.
    pub(crate) fn callers(&self) -> Option<CallerKeys> {
        self.current().callers.clone()
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
    }
}

#[async_trait]
impl SecretReader for Secrets {
    async fn oauth_client(&self, platform: &str) -> Result<OAuthClient, OAuthClientError> {
        let client = self.oauth_clients.get(&self.http, &self.config, &self.clock, platform).await;
        client.map_err(OAuthClientError::from)
    }
}

/// Returns the names of the parameters that are read at the start, each once.
fn parameter_names(config: &Config) -> Vec<&str> {
    let callers = config.callers.iter().flat_map(|callers| {
        [Some(&callers.jwt_secret), callers.jwt_secret_previous.as_ref(), Some(&callers.hash_key)]
    });
    let sources = callers.flatten().chain(&config.data_key).chain(&config.previous_data_keys);
    let mut names: Vec<&str> = Vec::new();
    for source in sources {
        // A parameter can have two roles while a key is rotated.
        if let SecretSource::Parameter(name) = source
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

/// Returns `true` if secrets of the start come from another service.
fn has_remote_secrets(config: &Config) -> bool {
    config.data_key.is_some() || !config.previous_data_keys.is_empty() || !parameter_names(config).is_empty()
}

/// Reads all secrets of the configuration. `known` has data keys that KMS need not decrypt again.
async fn read(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    known: &DecryptedKeys,
) -> Result<(Current, Keyring), StartError> {
    let names = parameter_names(config);
    let parameters = match names.as_slice() {
        [] => BTreeMap::new(),
        names => parameters::read(http, config, clock, names).await?,
    };
    let resolve = |source: &SecretSource| match source {
        SecretSource::Value(secret) => Ok(secret.clone()),
        SecretSource::Parameter(name) => parameters.get(name).cloned().ok_or_else(|| ParameterError {
            names: name.clone(),
            problem: parameters::NOT_CONTAINED.to_owned(),
        }),
    };
    let encrypted = |given: &SecretSource, variable: &'static str| {
        let location = match given {
            SecretSource::Parameter(name) => format!("the parameter {name}"),
            SecretSource::Value(_) => variable.to_owned(),
        };
        resolve(given).map(|ciphertext| EncryptedDataKey { location, ciphertext, source: variable })
    };

    let current =
        config.data_key.as_ref().map(|given| encrypted(given, "CREDENTIALS_DATA_KEY")).transpose()?;
    let previous: Result<Vec<_>, _> = config
        .previous_data_keys
        .iter()
        .map(|given| encrypted(given, "CREDENTIALS_DATA_KEY_PREVIOUS"))
        .collect();
    let data_keys = data_keys::decrypt_all(http, config, clock, current.as_ref(), &previous?, known).await?;
    // A missing previous key is requested again soon.
    let age_ms = if data_keys.is_incomplete { MAX_AGE_MS - PAUSE_MS } else { 0 };
    let decrypted = data_keys.decrypted.clone();
    let keyring = Keyring::new(data_keys.with_files(config)?);

    let callers = config.callers.as_ref().map(|secrets| caller_keys(secrets, resolve)).transpose()?;
    let read_at_ms = clock.now_ms() - age_ms;
    Ok((Current { callers, data_keys: decrypted, read_at_ms }, keyring))
}

fn caller_keys(
    secrets: &CallerSecrets,
    resolve: impl Fn(&SecretSource) -> Result<Secret, ParameterError>,
) -> Result<CallerKeys, StartError> {
    let jwt_secret = resolve(&secrets.jwt_secret)?;
    let previous = secrets.jwt_secret_previous.as_ref().map(&resolve).transpose()?;
    let tokens = TokenKeys::new(&jwt_secret, previous.as_ref())
        .ok_or_else(|| ConfigError::missing("JWT_SECRET", JWT_SECRET_HINT))?;
    let hash_key = Some(resolve(&secrets.hash_key)?).filter(|key| !key.expose().trim().is_empty());
    let hash_key = hash_key.ok_or_else(|| ConfigError::missing("HASH_KEY", HASH_KEY_HINT))?;
    Ok(CallerKeys { tokens, extensions: HashKey::new(hash_key) })
}
