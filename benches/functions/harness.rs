//! The services that the functions call: a DynamoDB and a CRM on loopback, behind metering proxies with TLS.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    extract::Request,
    middleware::{self, Next},
};

use call_log::{
    model::{Clock, User},
    startup::{app::App, config::Config},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tests::{
    dynamodb::DynamoDb,
    proxy::Proxy,
    reference_crm,
    runtime_api::{event, with_body},
    test_app,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// The API key of a user of a company whose CRM hangs.
const HANGING_KEY: &str = "the key of a company whose CRM hangs";
/// The number of requests of that company that have reached the CRM.
static HANGING_REQUESTS: AtomicU64 = AtomicU64::new(0);

/// The fakes, a table with one user, and that user's token.
pub(crate) struct Harness {
    pub(crate) dynamodb: Proxy,
    pub(crate) crm: Proxy,
    app: App,
    runtime: tokio::runtime::Runtime,
    user: User,
    sessions: u64,
    ca: PathBuf,
    _directory: tempfile::TempDir,
}

impl Harness {
    pub(crate) fn set() -> Harness {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ca = directory.path().join("ca.pem");
        let (acceptor, ca_pem) = certificates();
        std::fs::write(&ca, ca_pem).expect("the CA can be written");

        let (database, crm) = (DynamoDb::start(), serve_crm());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let variables = plain_variables(&database.url, &crm);
        let config = Config::read(|name| variables.get(name).cloned()).expect("the environment is complete");
        let user = test_app::user(
            &format!("{}-{}", reference_crm::USER, reference_crm::PLATFORM),
            Some(test_app::api_key(reference_crm::API_KEY)),
        );
        let app = runtime.block_on(async {
            let app = App::new(config, Clock::System).await.expect("the app starts");
            app.store.create_table().await.expect("the table can be created");
            app.store.put_user(&user).await.expect("the user can be stored");
            app
        });
        Harness {
            dynamodb: Proxy::metering_with_tls(&database.url, acceptor.clone()),
            crm: Proxy::metering_with_tls(&crm, acceptor),
            app,
            runtime,
            user,
            sessions: 4_503_991_004,
            ca,
            _directory: directory,
        }
    }

    /// Returns the environment variables of a function.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = plain_variables(&self.dynamodb.base_url(), &self.crm.base_url());
        let ca = self.ca.display().to_string();
        variables.insert("NODE_EXTRA_CA_CERTS".to_owned(), ca.clone());
        variables.insert("SSL_CERT_FILE".to_owned(), ca);
        variables
    }

    /// Returns an event that logs a new call.
    pub(crate) fn create(&mut self) -> String {
        self.sessions += 1;
        let event = event("create-extension", &self.token());
        let body = event["body"].as_str().unwrap_or_default();
        let body = body.replace("4503991004", &self.sessions.to_string());
        with_body(event, &body).to_string()
    }

    /// Stores a user of a company whose CRM hangs, and returns events that log calls of this user.
    pub(crate) fn creates_while_hanging(&mut self, count: usize) -> Vec<String> {
        let id = format!("77-{}", reference_crm::PLATFORM);
        let mut user = test_app::user(&id, Some(test_app::api_key(HANGING_KEY)));
        user.account.id = Some("another company".to_owned());
        let stored = self.runtime.block_on(self.app.store.put_user(&user));
        stored.expect("the user can be stored");
        let own = std::mem::replace(&mut self.user, user);
        let events = (0..count).map(|_| self.create()).collect();
        self.user = own;
        events
    }

    /// Returns the number of requests of the hanging company that have reached the CRM.
    pub(crate) fn hanging_requests(&self) -> u64 {
        HANGING_REQUESTS.load(Ordering::Relaxed)
    }

    /// Logs a call, and returns an endless iterator of events that update it.
    pub(crate) fn updates(&mut self) -> impl Iterator<Item = String> + use<> {
        let create: Value = serde_json::from_str(&self.create()).expect("an event is JSON");
        let (session, token) = (self.sessions.to_string(), self.token());
        let body = create["body"].as_str().unwrap_or_default().as_bytes().to_vec();
        let created = self.runtime.block_on(test_app::send(&self.app, "POST", &token, body, 25_000));
        assert!(created.log_id().is_some(), "{created:?}");
        let event = event("update-note", &token);
        (0_u64..).map(move |number| {
            let body = json!({
                "sessionId": session, "subject": format!("Quote {number} for Bob Client"),
                "note": format!("Wants a quote for {number} seats\nCall back Friday at 10"),
            });
            with_body(event.clone(), &body.to_string()).to_string()
        })
    }

    fn token(&self) -> String {
        self.app.issue_token(&self.user, 1)
    }
}

/// Never answers requests with the key of the company whose CRM hangs.
async fn hang(request: Request, next: Next) -> axum::response::Response {
    if request.headers().get("x-api-token").is_some_and(|key| key == HANGING_KEY) {
        HANGING_REQUESTS.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
    next.run(request).await
}

fn plain_variables(dynamodb: &str, crm: &str) -> BTreeMap<String, String> {
    let key_file = test_app::key_file("credentials");
    let own = [
        ("TABLE_NAME", "calls"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
        ("JWT_SECRET", test_app::JWT_SECRET),
        ("HASH_KEY", test_app::HASH_KEY),
        ("CREDENTIALS_KEY_FILE", key_file.as_str()),
        (reference_crm::BASE_URL_VARIABLE, crm),
        // For the floor, which knows no adapter.
        ("FLOOR_CRM", crm),
        ("FLOOR_API_KEY", reference_crm::API_KEY),
        ("METRICS_STACK", "bench"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ];
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Creates the TLS acceptor of a server for `localhost`, and the PEM of its certificate authority.
fn certificates() -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, authority_key).expect("a certificate");
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    let leaf = leaf.signed_by(&leaf_key, &authority).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a key that matches the certificate");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

fn serve_crm() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("the listener can be made non-blocking");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let server = reference_crm::server().layer(middleware::from_fn(hang));
            axum::serve(listener, server).await.expect("the server runs");
        });
    });
    url
}
