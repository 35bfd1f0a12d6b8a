//! The secrets of the process: read when it starts, and again when they have aged.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use crate::{
    auth::TokenKeys,
    model::{Clock, OAuthClient, SecretReader},
    startup::{
        app::StartError,
        config::{self, Config, SecretSource},
        data_keys::{self, Decrypted, Encrypted},
        parameters,
    },
    store::{Key, Keyring},
};

/// How long secrets from the parameter store are used before they are read again, in milliseconds. Every process knows
/// a rotated secret after this time.
const MAX_AGE_MS: i64 = 5 * 60_000;
/// How long secrets are not read again after a failure, in milliseconds, because each request would wait for it.
const PAUSE_MS: i64 = 30_000;

/// Where the secrets come from, and their current values.
#[derive(Debug)]
pub(crate) struct Secrets {
    http: reqwest::Client,
    config: Config,
    clock: Clock,
    current: RwLock<Arc<Current>>,
}

/// The values of the secrets.
#[derive(Clone, Debug)]
struct Current {
    token_keys: TokenKeys,
    oauth_clients: BTreeMap<String, OAuthClient>,
    /// Data keys that KMS has decrypted.
    data_keys: Decrypted,
    read_at_ms: i64,
}

impl Secrets {
    /// Reads all secrets of the configuration.
    pub(crate) async fn read(
        http: reqwest::Client,
        config: Config,
        clock: Clock,
    ) -> Result<(Secrets, Keyring), StartError> {
        let (current, keyring) = read(&http, &config, &clock, &Decrypted::new()).await?;
        Ok((Secrets { http, config, clock, current: RwLock::new(Arc::new(current)) }, keyring))
    }

    /// Reads the secrets again if they have aged, and returns the new keyring. If that fails, the known secrets stay in
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
                tracing::error!(%error, "the secrets could not be read again; the known ones stay in use");
                let read_at_ms = self.clock.now_ms() - MAX_AGE_MS + PAUSE_MS;
                self.replace(Current { read_at_ms, ..Current::clone(&known) });
                None
            }
        }
    }

    pub(crate) fn token_keys(&self) -> TokenKeys {
        self.current().token_keys.clone()
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
    async fn oauth_client(&self, platform: &str) -> Option<OAuthClient> {
        self.current().oauth_clients.get(platform).cloned()
    }
}

/// Returns the names of all parameters in the configuration, each once.
fn parameter_names(config: &Config) -> Vec<&str> {
    let own = [
        Some(&config.jwt_secret),
        config.jwt_secret_previous.as_ref(),
        config.credentials_key.as_ref(),
        config.data_key.as_ref(),
    ];
    let clients = config.oauth_clients.values().map(|client| &client.secret);
    let sources = own.into_iter().flatten().chain(&config.other_data_keys).chain(clients);
    let mut names: Vec<&str> = Vec::new();
    for source in sources {
        // A key can have two roles while it is rotated.
        if let SecretSource::Parameter(name) = source
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

/// Returns `true` if secrets come from another service.
fn has_remote_secrets(config: &Config) -> bool {
    config.data_key.is_some() || !config.other_data_keys.is_empty() || !parameter_names(config).is_empty()
}

/// Reads the secrets. `known` are data keys that KMS does not have to decrypt again.
async fn read(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    known: &Decrypted,
) -> Result<(Current, Keyring), StartError> {
    let names = parameter_names(config);
    let parameters = match names.as_slice() {
        [] => BTreeMap::new(),
        names => parameters::read(http, config, clock, names).await?,
    };
    let resolve = |source: &SecretSource| match source {
        SecretSource::Value(secret) => Ok(secret.clone()),
        SecretSource::Parameter(name) => {
            parameters.get(name).cloned().ok_or_else(|| parameters::Unreadable {
                names: name.clone(),
                problem: "the response does not contain it".to_owned(),
            })
        }
    };
    let encrypted = |given: &SecretSource, source: &'static str| {
        let place = match given {
            SecretSource::Parameter(name) => format!("the parameter {name}"),
            SecretSource::Value(_) => source.to_owned(),
        };
        resolve(given).map(|blob| Encrypted { place, blob, source })
    };

    let current =
        config.data_key.as_ref().map(|given| encrypted(given, "CREDENTIALS_DATA_KEY")).transpose()?;
    let others: Result<Vec<_>, _> = config
        .other_data_keys
        .iter()
        .map(|given| encrypted(given, "CREDENTIALS_DATA_KEY_PREVIOUS"))
        .collect();
    let data_keys = data_keys::decrypt_all(http, config, clock, current.as_ref(), &others?, known).await?;
    // A missing key that only decrypts is requested again soon.
    let age = if data_keys.incomplete { MAX_AGE_MS - PAUSE_MS } else { 0 };
    let decrypted = data_keys.decrypted.clone();
    let jwt = resolve(&config.jwt_secret)?;
    let jwt_previous = config.jwt_secret_previous.as_ref().map(resolve).transpose()?;
    let token_keys =
        TokenKeys::new(&jwt, jwt_previous.as_ref()).ok_or_else(|| config::Invalid::missing("JWT_SECRET"))?;

    // The first one seals: what was made to seal before what also can. What an earlier set-up sealed opens with the
    // others.
    let mut sealing = data_keys.with_files(config)?;
    for (given, source) in [
        (config.credentials_key.as_ref().map(resolve).transpose()?.as_ref(), "CREDENTIALS_KEY"),
        (Some(&jwt), "JWT_SECRET"),
        (jwt_previous.as_ref(), "JWT_SECRET_PREVIOUS"),
    ] {
        sealing.extend(given.map(|secret| Key::derived(secret, source)));
    }
    let mut oauth_clients = BTreeMap::new();
    for (platform, client) in &config.oauth_clients {
        let client = OAuthClient { id: client.id.clone(), secret: resolve(&client.secret)? };
        oauth_clients.insert(platform.clone(), client);
    }
    let read_at_ms = clock.now_ms() - age;
    Ok((Current { token_keys, oauth_clients, data_keys: decrypted, read_at_ms }, Keyring::new(sealing)))
}
