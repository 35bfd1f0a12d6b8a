//! Everything on one machine: DynamoDB, the two routes, the Example CRM and its page, on loopback.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, Uri, header},
    response::IntoResponse,
    routing::{get, post},
};
use call_log::{
    api::{self, Invocation, MAX_BODY},
    auth::Caller,
    model::{Clock, Credentials, Deadline, Platform, Secret, Settings, User, UserId, UserKey},
    startup::{
        app::{App, StartError},
        config::{Config, ConfigError},
    },
    store,
    telemetry::Trace,
};
use dynoxide::Database;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tower_http::cors::{Any, CorsLayer};

use crate::{
    environment::{self, LOCAL_TABLE},
    example_crm::{self, ExampleCrm},
    page,
};

/// How long one request may take, in milliseconds: as in the template.
const REQUEST_MS: i64 = 25_000;
/// How often what is due is looked for.
const REDRIVE_EVERY: Duration = Duration::from_secs(10);
/// The user that is ready at the first start.
const DEMO_USER: &str = "12345-example";

/// Where and how everything is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0: any.
    pub port: u16,
    /// 0: any.
    pub dynamodb_port: u16,
    /// `None`: in memory.
    pub data_dir: Option<PathBuf>,
    pub clock: Clock,
}

/// Everything, running.
#[derive(Debug)]
pub struct Local {
    pub app: Arc<App>,
    /// `http://127.0.0.1:3000`
    pub url: String,
    pub dynamodb_url: String,
    pub table: String,
    pub user: User,
    /// What the Example CRM asks of its callers.
    pub crm_key: String,
    pub jwt_secret: String,
    /// The path of the file with the key that encrypts credentials.
    pub key_file: String,
    servers: JoinSet<()>,
    /// Keeps others from the data directory.
    _lock: Option<File>,
    /// The directory of the key file, if there is no data directory.
    _temporary: Option<TempDir>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("port {0} is taken or not allowed ({1}); choose another with {2}")]
    Port(u16, io::Error, &'static str),
    #[error("the data directory {0} cannot be used: {1}")]
    DataDirectory(PathBuf, io::Error),
    #[error("the data directory {0} is in use by another `call-log serve`; choose another with --data-dir")]
    InUse(PathBuf),
    #[error("the embedded DynamoDB does not start: {0}")]
    DynamoDb(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Table(#[from] store::TableError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Local {
    /// Starts everything; it serves until it is dropped.
    pub async fn start(options: Options) -> Result<Local, LocalError> {
        let directory = options.data_dir.clone();
        let lock = directory.as_deref().map(take).transpose()?;
        let in_directory = |error| LocalError::DataDirectory(directory.clone().unwrap_or_default(), error);
        let jwt_secret = match (environment::variable("JWT_SECRET"), &directory) {
            (Some(secret), _) => secret,
            (None, Some(directory)) => environment::local_secret(directory).map_err(in_directory)?,
            (None, None) => environment::random_secret(),
        };
        let (key_file, temporary) = match &directory {
            Some(directory) => (environment::local_key_file(directory).map_err(in_directory)?, None),
            None => {
                let temporary = tempfile::tempdir().map_err(in_directory)?;
                (environment::local_key_file(temporary.path()).map_err(in_directory)?, Some(temporary))
            }
        };
        let mut servers = JoinSet::new();

        let database = match &directory {
            Some(directory) => Database::new(&directory.join("dynamodb.sqlite").to_string_lossy()),
            None => Database::memory(),
        };
        let database = database.map_err(|error| LocalError::DynamoDb(error.to_string()))?;
        let (listener, dynamodb_url) = listen(options.dynamodb_port, "--dynamodb-port").await?;
        servers.spawn(dynoxide::server::serve_on(listener, database));

        let (listener, url) = listen(options.port, "--port").await?;
        let table = environment::variable("TABLE_NAME").unwrap_or_else(|| LOCAL_TABLE.to_owned());
        let config = Config::read(|name| match name {
            "TABLE_NAME" => Some(table.clone()),
            "AWS_ENDPOINT_URL_DYNAMODB" => Some(dynamodb_url.clone()),
            "JWT_SECRET" => Some(jwt_secret.clone()),
            "CREDENTIALS_KEY_FILE" => Some(key_file.clone()),
            "CRM_BASE_URL_EXAMPLE" => environment::variable(name).or_else(|| Some(url.clone())),
            // Whatever account the shell has is of no use here, nor what only its KMS opens.
            name if name.starts_with("AWS_") || name.starts_with("CREDENTIALS_DATA_KEY") => None,
            name => environment::variable(name),
        })?;
        let app = Arc::new(App::new(config, options.clock.clone()).await?);
        match app.store.create_table().await {
            Ok(()) | Err(store::TableError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }

        servers.spawn(redrive_regularly(app.clone()));
        let user = demo_user(&app).await?;
        let crm_key = match &user.credentials {
            Some(Credentials::ApiKey(key)) => key.expose().to_owned(),
            _ => environment::random_secret(),
        };
        let crm = ExampleCrm::open(directory.clone(), &crm_key, options.clock).map_err(in_directory)?;
        let router = page::page_routes()
            .merge(example_crm::router(crm))
            .merge(demo_routes(Arc::new(Demo {
                app: app.clone(),
                user: user.clone(),
                crm_key: crm_key.clone(),
            })))
            .merge(call_log_routes(app.clone()));
        servers.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "serving ended");
            }
        });
        Ok(Local {
            app,
            url,
            dynamodb_url,
            table,
            user,
            crm_key,
            jwt_secret,
            key_file,
            servers,
            _lock: lock,
            _temporary: temporary,
        })
    }

    /// A caller's token for the demo user.
    pub fn token(&self) -> String {
        self.app.issue_token(&self.user, 14)
    }

    /// Serves until one of the servers ends, which none does by itself.
    pub async fn serve(mut self) {
        self.servers.join_next().await;
    }
}

/// What the third function does once a minute, a little more often.
async fn redrive_regularly(app: Arc<App>) {
    let mut ticks = tokio::time::interval(REDRIVE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let deadline = Deadline(app.clock.now_ms() + 2 * REQUEST_MS);
        if let Err(error) = app.redrive(deadline, Trace::new("redrive", None)).await {
            tracing::warn!(%error, "what is due could not be delivered");
        }
    }
}

async fn listen(port: u16, option: &'static str) -> Result<(TcpListener, String), LocalError> {
    let failed = |error| LocalError::Port(port, error, option);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    Ok((listener, url))
}

/// Makes the data directory if need be, and holds it: two Example CRMs would write over each other's file.
fn take(directory: &std::path::Path) -> Result<File, LocalError> {
    let failed = |error| LocalError::DataDirectory(directory.to_owned(), error);
    make_private(directory).map_err(failed)?;
    let lock = File::create(directory.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LocalError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A directory that only its owner can look into.
fn make_private(directory: &std::path::Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// The demo user, made at the first start.
async fn demo_user(app: &App) -> Result<User, store::Error> {
    let key = UserKey {
        platform: Platform::new("example").expect("the platform's name is not empty"),
        id: UserId::new(DEMO_USER).expect("the demo user's id is not empty"),
    };
    if let Some(stored) = app.store.user(&key).await? {
        return Ok(stored.user);
    }
    let user = User {
        id: key.id,
        platform: key.platform,
        hostname: None,
        zone: None,
        settings: Settings::default(),
        credentials: Some(Credentials::ApiKey(Secret::new(environment::random_secret()))),
    };
    app.store.put_user(&user).await?;
    Ok(user)
}

/// The two routes, as the functions have them, open to the Chrome extension from any origin.
fn call_log_routes(app: Arc<App>) -> Router {
    let create = async |State(app): State<Arc<App>>, request: Request<Body>| {
        let (request, invocation) = received(&app, request).await;
        app.handle(&api::CREATE_CALL_LOG, request, &invocation).await.map(Body::from)
    };
    let update = async |State(app): State<Arc<App>>, request: Request<Body>| {
        let (request, invocation) = received(&app, request).await;
        app.handle(&api::UPDATE_CALL_LOG, request, &invocation).await.map(Body::from)
    };
    let any_other = async |State(app): State<Arc<App>>, request: Request<Body>| {
        let (request, invocation) = received(&app, request).await;
        let mut refusal = app.handle(&api::CREATE_CALL_LOG, request, &invocation).await.map(Body::from);
        if refusal.status() == StatusCode::METHOD_NOT_ALLOWED {
            refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST, PATCH"));
        }
        refusal
    };
    Router::new()
        .route("/callLog", post(create).patch(update).fallback(any_other))
        .fallback(any_other)
        .layer(CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any))
        .with_state(app)
}

async fn received(app: &App, request: Request<Body>) -> (Request<Bytes>, Invocation) {
    let (head, body) = request.into_parts();
    // A body that is longer than allowed is not read to its end; what stands for it is refused for its length.
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_else(|_| Bytes::from(vec![b' '; MAX_BODY + 1]));
    let invocation = Invocation {
        deadline: Deadline(app.clock.now_ms() + REQUEST_MS),
        request_id: environment::random_secret()[..32].to_owned(),
        xray_trace_id: None,
    };
    (Request::from_parts(head, body), invocation)
}

/// What the page needs to play the demo user.
#[derive(Debug)]
struct Demo {
    app: Arc<App>,
    user: User,
    crm_key: String,
}

fn demo_routes(demo: Arc<Demo>) -> Router {
    Router::new()
        .route("/demo/context", get(context))
        .route("/user/settings", get(show_settings).post(change_settings))
        .with_state(demo)
}

/// The demo user's token and key, for the page. Another site that has its name resolve to this machine gets nothing.
async fn context(State(demo): State<Arc<Demo>>, headers: HeaderMap) -> Response<Body> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return (StatusCode::FORBIDDEN, Json(json!({"error": "only this machine gets this"})))
            .into_response();
    }
    let token = demo.app.issue_token(&demo.user, 14);
    Json(json!({"token": token, "userId": demo.user.id.as_str(), "crmKey": demo.crm_key})).into_response()
}

/// `GET /user/settings`, as App Connect has it.
async fn show_settings(State(demo): State<Arc<Demo>>, headers: HeaderMap, uri: Uri) -> Response<Body> {
    let caller = match caller(&demo, &headers, &uri).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    match demo.app.store.user(&caller.user).await {
        Ok(Some(stored)) => Json(json!(stored.user.settings.0)).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "User not found"),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// `POST /user/settings`, as App Connect has it: each setting that is named takes the place of the stored one.
async fn change_settings(
    State(demo): State<Arc<Demo>>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response<Body> {
    let caller = match caller(&demo, &headers, &uri).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(changes) = body.get("userSettings").and_then(Value::as_object) else {
        return refuse(StatusCode::BAD_REQUEST, "`userSettings` must be an object of settings");
    };
    let changes: BTreeMap<String, Value> = changes.clone().into_iter().collect();
    if let Err(error) = demo.app.store.change_settings(&caller.user, &changes).await {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
    }
    match demo.app.store.user(&caller.user).await {
        Ok(Some(stored)) => Json(json!({"userSettings": stored.user.settings.0})).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "User not found"),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

async fn caller(demo: &Demo, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Response<Body>> {
    let verified = call_log::api::authenticate(&demo.app.api, headers, uri);
    verified.map_err(|refused| refuse(StatusCode::UNAUTHORIZED, &refused.to_string()))
}

fn refuse(status: StatusCode, message: &str) -> Response<Body> {
    (status, Json(json!({"error": message}))).into_response()
}
