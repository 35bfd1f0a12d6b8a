//! The app of a process: the API with its services and secrets, built once and used by every request.

use std::{ops::Deref, sync::Arc, time::Duration};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};

use crate::{
    adapters::{Budgets, REGISTRY, RingCentral},
    api::{self, Api, Invocation, Route},
    delivery::{
        cleaning::Cleaning,
        grant::unstored::UnstoredGrants,
        redrive::{self, Report},
        services::Services,
        sync_point::SyncPoints,
        tenant_hints::TenantHints,
        ways::Ways,
    },
    model::{Clock, Deadline, HashKey, User},
    startup::{
        config::{Config, ConfigError, JWT_SECRET_HINT, Purpose},
        error::StartError,
        panics,
        secrets::Secrets,
        transport::{self, SharedHttpClient},
    },
    store::{self, Keyring, Store, StoredUser},
    telemetry::Trace,
};

/// The services of a process that takes no requests, and the secrets that are refreshed between its runs.
#[derive(Debug)]
pub struct Background {
    services: Services,
    secrets: Arc<Secrets>,
}

impl Background {
    /// Reads the environment, fetches the secrets and opens the connection to DynamoDB. Errors are also logged.
    ///
    /// # Errors
    ///
    /// If a variable is missing or wrong, or a secret cannot be read.
    pub async fn start() -> Result<Background, StartError> {
        panics::install_hook();
        let warm = async |store: &Store| store.connect().await;
        let built = async {
            let config = Config::from_env(Purpose::Redrive)?;
            Background::build(config, Clock::System, None, warm).await
        };
        built.await.inspect_err(|error| tracing::error!(%error, "the process cannot start"))
    }

    async fn build(
        config: Config,
        clock: Clock,
        table: Option<SharedHttpClient>,
        meanwhile: impl AsyncFnOnce(&Store),
    ) -> Result<Background, StartError> {
        let http = transport::client()?;
        let table = table.unwrap_or_else(|| transport::for_sdk(http.clone()));
        // The keyring stays empty until the secrets are read. Nothing is encrypted or decrypted before.
        let store = Store::new(dynamodb_client(&config, table), &*config.table, Keyring::new([]));
        let crm_base_urls = config.crm_base_urls.clone();
        let ringcentral = RingCentral::new(config.ringcentral_base_url.clone());
        let meanwhile = async {
            meanwhile(&store).await;
            Ok::<_, StartError>(())
        };
        let secrets = Secrets::read(http.clone(), config, clock.clone());
        let ((secrets, keyring), ()) = tokio::try_join!(secrets, meanwhile)?;
        store.use_keyring(keyring);
        let secrets = Arc::new(secrets);
        let services = Services {
            clock,
            http: http.into(),
            store,
            crms: REGISTRY,
            crm_base_urls,
            budgets: Budgets::default(),
            secrets: secrets.clone(),
            unstored_grants: UnstoredGrants::default(),
            tenant_hints: TenantHints::default(),
            ways: Ways::default(),
            ringcentral,
            cleaning: Cleaning::default(),
            sync_points: SyncPoints::default(),
        };
        Ok(Background { services, secrets })
    }

    /// Delivers what is due. See [`redrive::run`].
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn redrive(&self, deadline: Deadline, trace: Trace) -> Result<Report, store::Error> {
        if let Some(keyring) = self.secrets.refresh().await {
            self.services.store.use_keyring(keyring);
        }
        redrive::run(&self.services, deadline, trace).await
    }
}

/// The HTTP API with its services, and the secrets that are refreshed between requests.
#[derive(Debug)]
pub struct App {
    /// The HTTP API with its services.
    pub api: Api,
    secrets: Arc<Secrets>,
}

impl App {
    /// Reads the environment, fetches the secrets and opens the connections to DynamoDB. Errors are also logged.
    ///
    /// # Errors
    ///
    /// If a variable is missing or wrong, or a secret cannot be read.
    pub async fn start() -> Result<App, StartError> {
        panics::install_hook();
        // A request begins with two concurrent requests to DynamoDB. Their connections open while the secrets are read.
        let warm = async |store: &Store| {
            tokio::join!(store.connect(), store.connect());
        };
        let built =
            async { App::build(Config::from_env(Purpose::Requests)?, Clock::System, None, warm).await };
        built.await.inspect_err(|error| tracing::error!(%error, "the process cannot start"))
    }

    /// Returns an app with this configuration. Only the secrets are requested from other services.
    ///
    /// # Errors
    ///
    /// If a secret cannot be read.
    pub async fn new(config: Config, clock: Clock) -> Result<App, StartError> {
        App::build(config, clock, None, async |_| ()).await
    }

    /// Returns an app with this configuration that reaches its table in this way.
    ///
    /// # Errors
    ///
    /// If a secret cannot be read.
    pub async fn on_table(config: Config, clock: Clock, table: SharedHttpClient) -> Result<App, StartError> {
        App::build(config, clock, Some(table), async |_| ()).await
    }

    async fn build(
        config: Config,
        clock: Clock,
        table: Option<SharedHttpClient>,
        meanwhile: impl AsyncFnOnce(&Store),
    ) -> Result<App, StartError> {
        let Background { services, secrets } = Background::build(config, clock, table, meanwhile).await?;
        let callers = secrets.callers().ok_or_else(|| ConfigError::missing("JWT_SECRET", JWT_SECRET_HINT))?;
        if callers.tokens.is_weak() {
            return Err(StartError::WeakSecret);
        }
        if callers.tokens.is_previous_weak() {
            tracing::warn!(
                "JWT_SECRET_PREVIOUS is shorter than 32 bytes, so it can be guessed: remove it soon"
            );
        }
        let site = secrets.site();
        Ok(App { api: Api::new(services, site, callers.tokens, callers.extensions), secrets })
    }

    /// Handles a request by the one of these routes that has its path and method.
    pub async fn handle(
        &self,
        routes: &[&Route],
        request: Request<Bytes>,
        invocation: &Invocation,
    ) -> Response<Bytes> {
        self.refresh_secrets().await;
        api::dispatch(&self.api, routes, request, invocation).await
    }

    /// Delivers what is due. See [`redrive::run`].
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn redrive(&self, deadline: Deadline, trace: Trace) -> Result<Report, store::Error> {
        self.refresh_secrets().await;
        redrive::run(&self.api.services, deadline, trace).await
    }

    /// Reads the secrets again if they come from another service and are old. If that fails, the known secrets stay in
    /// use.
    async fn refresh_secrets(&self) {
        if let Some(keyring) = self.secrets.refresh().await {
            self.api.services.store.use_keyring(keyring);
            if let Some(callers) = self.secrets.callers() {
                self.api.use_secrets(callers.tokens, callers.extensions);
            }
        }
    }

    /// Returns the key of the hashes of extension ids.
    pub fn hash_key(&self) -> HashKey {
        self.api.hash_key()
    }

    /// Returns a token for this user that is valid for this number of days. It names the user's CRM account, if that is
    /// known.
    pub fn issue_token(&self, user: &User, days: u32) -> String {
        self.issue_token_at(user, self.api.services.clock.now(), days)
    }

    /// Returns a token for this user that is accepted although earlier ones were revoked.
    pub fn issue_valid_token(&self, user: &StoredUser, days: u32) -> String {
        self.issue_token_at(&user.user, user.issued_at(self.api.services.clock.now()), days)
    }

    fn issue_token_at(&self, user: &User, now: DateTime<Utc>, days: u32) -> String {
        self.api.token_keys().issue(&user.key(), user.known_tenant().as_ref(), now, days)
    }
}

/// Operators' commands and tests use an app as its services: `app.store` is `app.api.services.store`.
impl Deref for App {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.api.services
    }
}

/// Returns the SDK's client for DynamoDB, which sends its requests with `http`.
fn dynamodb_client(config: &Config, http: SharedHttpClient) -> Client {
    let aws = &config.aws;
    let credentials = Credentials::new(
        aws.access_key_id.as_str(),
        aws.secret_access_key.expose(),
        aws.session_token.as_ref().map(|token| token.expose().to_owned()),
        None,
        "environment",
    );
    let mut sdk = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region.clone()))
        .credentials_provider(credentials)
        .http_client(http)
        .retry_config(
            RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .operation_attempt_timeout(Duration::from_secs(2))
                .operation_timeout(Duration::from_secs(5))
                .build(),
        );
    if let Some(endpoint) = &config.dynamodb_endpoint {
        sdk = sdk.endpoint_url(endpoint);
    }
    Client::from_conf(sdk.build())
}
