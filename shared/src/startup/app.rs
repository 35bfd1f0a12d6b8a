//! What lives as long as the process: the clients, the keys, the clock. Made once, used by every request.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use crate::{
    adapters::{Budgets, Crm, REGISTRY},
    auth::Keys,
    delivery::{grant::unstored::UnstoredGrants, sync_point::Steps},
    model::{Clock, Secret, User},
    startup::{
        config::{self, Config, SecretSource},
        data_keys::{self, Decrypted, Encrypted},
        panics, parameters, transport,
    },
    store::{EncryptionKey, Keyring, Store},
};

/// How long secrets from the parameter store are used before they are asked for again, in milliseconds. Within so
/// long a rotation is known everywhere.
const SECRETS_AGE_MS: i64 = 5 * 60_000;
/// How long after a failure they are not asked for, in milliseconds: each request would wait for it.
const SECRETS_PAUSE_MS: i64 = 30_000;

/// The parts that the use-cases work with.
#[derive(Debug)]
pub struct App {
    pub clock: Clock,
    pub http: reqwest::Client,
    pub store: Store,
    /// Where the use-cases can be stopped.
    pub steps: Steps,
    /// The CRMs that callers can be users of.
    pub crms: &'static [&'static dyn Crm],
    pub unstored_grants: UnstoredGrants,
    pub(crate) budgets: Budgets,
    config: Config,
    secrets: RwLock<Arc<Secrets>>,
}

/// What came out of the secrets.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    pub(crate) keys: Keys,
    oauth_clients: BTreeMap<String, (String, Secret)>,
    data_keys: Decrypted,
    read_at_ms: i64,
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] config::Invalid),
    #[error("the HTTP client could not be made: {0}")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Parameters(#[from] parameters::Unreadable),
    #[error(transparent)]
    DataKey(#[from] data_keys::Unusable),
}

impl App {
    /// Reads the environment, fetches the secrets and opens the connection to DynamoDB. What is in the way is in the
    /// log.
    pub async fn start() -> Result<App, StartError> {
        panics::log_places();
        // A request begins with two questions to DynamoDB at once: two connections, while the secrets are on their way.
        let warm = async |store: &Store| {
            tokio::join!(store.connect(), store.connect());
        };
        let made = async { App::make(Config::from_env()?, Clock::System, warm).await }.await;
        made.inspect_err(|error| tracing::error!(%error, "the process cannot start"))
    }

    /// An app of this configuration; nothing but its secrets is asked for.
    pub async fn new(config: Config, clock: Clock) -> Result<App, StartError> {
        App::make(config, clock, async |_| ()).await
    }

    async fn make(
        config: Config,
        clock: Clock,
        meanwhile: impl AsyncFnOnce(&Store),
    ) -> Result<App, StartError> {
        let http = transport::client()?;
        // Without keys until the secrets are there: nothing is sealed or opened before.
        let store = Store::new(&config, http.clone(), Keyring::new([]));
        let meanwhile = async {
            meanwhile(&store).await;
            Ok::<_, StartError>(())
        };
        let known = Decrypted::new();
        let ((secrets, keyring), ()) =
            tokio::try_join!(read_secrets(&http, &config, &clock, &known), meanwhile)?;
        store.use_keyring(keyring);
        if secrets.keys.is_weak() {
            tracing::warn!(
                "JWT_SECRET is shorter than the 32 bytes that HS256 deserves (RFC 7518, section 3.2)"
            );
        }
        Ok(App {
            store,
            clock,
            http,
            steps: Steps::default(),
            crms: REGISTRY,
            unstored_grants: UnstoredGrants::default(),
            budgets: Budgets::default(),
            config,
            secrets: RwLock::new(Arc::new(secrets)),
        })
    }

    /// The secrets, asked for again when they come from the parameter store and have aged. If that fails the known
    /// ones stay in use.
    pub(crate) async fn secrets(&self) -> Arc<Secrets> {
        let known = self.known_secrets();
        let age = self.clock.now_ms() - known.read_at_ms;
        if age < SECRETS_AGE_MS || !has_remote_secrets(&self.config) {
            return known;
        }
        match read_secrets(&self.http, &self.config, &self.clock, &known.data_keys).await {
            Ok((secrets, keyring)) => {
                self.store.use_keyring(keyring);
                self.keep_secrets(secrets)
            }
            Err(error) => {
                tracing::error!(%error, "the secrets could not be read again");
                let read_at_ms = self.clock.now_ms() - SECRETS_AGE_MS + SECRETS_PAUSE_MS;
                self.keep_secrets(Secrets { read_at_ms, ..Secrets::clone(&known) })
            }
        }
    }

    fn keep_secrets(&self, secrets: Secrets) -> Arc<Secrets> {
        let secrets = Arc::new(secrets);
        *self.secrets.write().unwrap_or_else(std::sync::PoisonError::into_inner) = secrets.clone();
        secrets
    }

    fn known_secrets(&self) -> Arc<Secrets> {
        self.secrets.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// A caller's token for a user.
    pub fn issue_token(&self, user: &User, days: u32) -> String {
        self.known_secrets().keys.issue(&user.key(), self.clock.now(), days)
    }

    /// The adapter of that name.
    pub fn crm(&self, platform: &str) -> Option<&'static dyn Crm> {
        self.crms.iter().copied().find(|crm| crm.platform() == platform)
    }

    /// Where this user's CRM is; `None` when the stored host is not one of the CRM's own.
    pub(crate) fn crm_base_url(&self, crm: &dyn Crm, user: &User) -> Option<String> {
        if let Some(url) = self.config.crm_base_urls.get(crm.platform()) {
            return Some(url.clone());
        }
        crm.base_url(user.hostname.as_deref())
    }

    /// Where this CRM renews a grant. A replaced base URL replaces the CRM's token host too.
    pub(crate) fn token_url(&self, crm: &dyn Crm) -> Option<String> {
        let url = crm.token_url()?;
        let Some(base) = self.config.crm_base_urls.get(crm.platform()) else { return Some(url.to_owned()) };
        let path = reqwest::Url::parse(url).ok()?.path().to_owned();
        Some(format!("{base}{path}"))
    }

    /// Who we are to this CRM when a grant is renewed.
    pub(crate) fn oauth_client(&self, crm: &dyn Crm) -> Option<(String, Secret)> {
        self.known_secrets().oauth_clients.get(crm.platform()).cloned()
    }
}

/// Everything in the configuration that is the name of a parameter.
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
        // Each once: a key can be in two roles while it is rotated.
        if let SecretSource::Parameter(name) = source
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    names
}

/// Whether others are asked for secrets.
fn has_remote_secrets(config: &Config) -> bool {
    config.data_key.is_some() || !config.other_data_keys.is_empty() || !parameter_names(config).is_empty()
}

/// `known`: the data keys that KMS need not be asked for again.
async fn read_secrets(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    known: &Decrypted,
) -> Result<(Secrets, Keyring), StartError> {
    let names = parameter_names(config);
    let parameters = match names.as_slice() {
        [] => BTreeMap::new(),
        names => parameters::read(http, config, clock, names).await?,
    };
    let resolve = |source: &SecretSource| match source {
        SecretSource::Value(secret) => Ok(secret.clone()),
        SecretSource::Parameter(name) => parameters.get(name).cloned().ok_or_else(|| {
            parameters::Unreadable { names: name.clone(), problem: "the answer does not have it".to_owned() }
        }),
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
    // A key that only opens and is not to be had now is asked for again soon.
    let age = if data_keys.incomplete { SECRETS_AGE_MS - SECRETS_PAUSE_MS } else { 0 };
    let decrypted = data_keys.decrypted.clone();
    let jwt = resolve(&config.jwt_secret)?;
    let jwt_previous = config.jwt_secret_previous.as_ref().map(resolve).transpose()?;
    let keys =
        Keys::new(&jwt, jwt_previous.as_ref()).ok_or_else(|| config::Invalid::missing("JWT_SECRET"))?;

    // The first one seals: what was made to seal before what also can. What an earlier set-up sealed opens with the
    // others.
    let mut sealing = data_keys.with_files(config)?;
    for (given, source) in [
        (config.credentials_key.as_ref().map(resolve).transpose()?.as_ref(), "CREDENTIALS_KEY"),
        (Some(&jwt), "JWT_SECRET"),
        (jwt_previous.as_ref(), "JWT_SECRET_PREVIOUS"),
    ] {
        sealing.extend(given.map(|secret| EncryptionKey::derived(secret, source)));
    }
    let mut oauth_clients = BTreeMap::new();
    for (platform, client) in &config.oauth_clients {
        oauth_clients.insert(platform.clone(), (client.id.clone(), resolve(&client.secret)?));
    }
    let read_at_ms = clock.now_ms() - age;
    Ok((Secrets { keys, oauth_clients, data_keys: decrypted, read_at_ms }, Keyring::new(sealing)))
}
