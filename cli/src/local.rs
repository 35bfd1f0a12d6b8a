//! Everything on one machine: the table, both routes, the Example CRM and its page, on loopback.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderName, Request, Response, StatusCode},
    middleware::{self, Next},
    response::IntoResponse,
    routing::any,
};
use call_log::{
    api::{self, Callers, wire::ResponseBody},
    login::account,
    model::{Clock, Credentials, CrmAccount, Deadline, Platform, Secret, Settings, User, UserId, UserKey},
    startup::{app::App, config::Config, error::StartError},
    store::{self, TableError},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tower_http::cors::{Any, CorsLayer};

use crate::{
    dynamodb::{self, Embedded},
    environment::{self, KEY_FILE_VARIABLE, LOCAL_TABLE},
    error::CommandError,
    example_crm::{self, ExampleCrm},
    functions::{Functions, REQUEST_MS},
    page,
    server::{self, reject},
    simulation::{self, Simulation},
};

/// The time limit for receiving a body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The headers of responses that a page of another origin may read.
const EXPOSED: [HeaderName; 2] =
    [HeaderName::from_static("x-refreshed-jwt-token"), HeaderName::from_static("x-error-code")];
/// The id of the user that the first start creates.
const DEMO_USER: &str = "12345-example";

/// The addresses and the data directory of [`Local`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The port of the page and the routes. 0: any free port.
    pub port: u16,
    /// The port of DynamoDB's API. 0: any free port; `None`: no port.
    pub dynamodb_port: Option<u16>,
    /// The directory that keeps all data. `None`: all data is in memory, and the secrets are temporary files.
    pub data_dir: Option<PathBuf>,
    /// The clock of the app and of the Example CRM.
    pub clock: Clock,
}

/// The running servers. They stop when this value is dropped.
#[derive(Debug)]
pub struct Local {
    /// The app that the routes use.
    pub app: Arc<App>,
    /// The address of the page and the routes, such as `http://127.0.0.1:3000`.
    pub url: String,
    /// The address of DynamoDB's API and the access key id that it requires, if it has a port.
    pub dynamodb: Option<(String, String)>,
    /// The data directory had files of an earlier start, but no table.
    pub is_table_lost: bool,
    /// The name of the table.
    pub table: String,
    /// The demo user.
    pub user: User,
    /// The API key of the Example CRM.
    pub crm_key: String,
    /// The paths of the files with the secret that signs callers' tokens and the key of the hashes of extension ids, by the name
    /// of the variable. A secret that the environment sets is in no file.
    pub secret_files: BTreeMap<&'static str, String>,
    /// The path of the file with the key that encrypts credentials.
    pub key_file: String,
    servers: JoinSet<()>,
    /// The lock on the data directory.
    _lock: Option<File>,
    /// The directory of the secrets, if there is no data directory.
    temporary: Option<TempDir>,
}

impl Local {
    /// Starts all servers. They run until the value is dropped.
    ///
    /// # Errors
    ///
    /// Fails if a port or the data directory is not available, or if the configuration is invalid.
    pub async fn start(options: Options) -> Result<Local, CommandError> {
        let directory = options.data_dir.clone();
        let lock = directory.as_deref().map(lock_directory).transpose()?;
        let in_directory =
            |error| CommandError::DataDirectory(directory.clone().unwrap_or_else(std::env::temp_dir), error);
        let temporary = match &directory {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(in_directory)?),
        };
        let secrets =
            directory.as_deref().or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        let is_table_lost = directory.as_deref().is_some_and(Embedded::is_lost);
        let mut secret_files = BTreeMap::new();
        let mut secret = |variable: &'static str, file: &str| match environment::variable(variable) {
            Some(secret) => Ok(secret),
            None => {
                let secret = environment::local_secret(secrets, file).map_err(in_directory)?;
                let path = std::path::absolute(secrets.join(file)).map_err(in_directory)?;
                secret_files.insert(variable, path.to_string_lossy().into_owned());
                Ok::<_, CommandError>(secret)
            }
        };
        let jwt_secret = secret("JWT_SECRET", environment::SECRET_FILE)?;
        let hash_key = secret("HASH_KEY", environment::HASH_KEY_FILE)?;
        let key_file = environment::local_key_file(secrets).map_err(in_directory)?;
        let mut servers = JoinSet::new();

        let database = Arc::new(Embedded::open(directory.as_deref())?);
        let (listener, url) = listen(options.port, "--port").await?;
        let dynamodb_listener = match options.dynamodb_port {
            Some(port) => Some(listen(port, "--dynamodb-port").await?),
            None => None,
        };
        let table = environment::variable("TABLE_NAME").unwrap_or_else(|| LOCAL_TABLE.to_owned());
        let config = Config::read(|name| match name {
            "TABLE_NAME" => Some(table.clone()),
            "AWS_ENDPOINT_URL_DYNAMODB" => Some(environment::LOCAL_ENDPOINT.to_owned()),
            "JWT_SECRET" => Some(jwt_secret.clone()),
            "HASH_KEY" => Some(hash_key.clone()),
            KEY_FILE_VARIABLE => Some(key_file.clone()),
            "CRM_BASE_URL_EXAMPLE" | "PUBLIC_URL" => {
                environment::variable(name).or_else(|| Some(url.clone()))
            }
            // On this machine, each person who has a credential of a CRM may connect.
            "ALLOWED_TENANTS" => environment::variable(name).or_else(|| Some("*".to_owned())),
            // Nothing here uses the AWS account of the shell, and only its KMS decrypts its data keys.
            name if name.starts_with("AWS_") || name.starts_with("CREDENTIALS_DATA_KEY") => None,
            name => environment::variable(name),
        })
        .map_err(StartError::from)?;
        let app = Arc::new(App::on_table(config, options.clock.clone(), database.client()).await?);
        match app.store.create_table().await {
            Ok(()) | Err(TableError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // Other processes find the table when they can reach it.
        #[cfg(unix)]
        if let Some(directory) = &directory {
            match database.clone().serve_socket(&directory.join(dynamodb::SOCKET)) {
                Ok(server) => drop(servers.spawn(server)),
                Err(error) => {
                    tracing::warn!(%error, "other commands cannot reach the table: the socket file cannot be made")
                }
            }
        }
        let dynamodb = dynamodb_listener.map(|(listener, url)| {
            servers.spawn(database.clone().serve(listener));
            (url, database.access_key.clone())
        });

        let user = demo_user(&app).await.map_err(|error| match error {
            store::Error::Unreadable(..) => CommandError::KeyLost(key_file.clone()),
            error => error.into(),
        })?;
        let crm_key = match &user.credentials {
            Some(Credentials::ApiKey(key)) => key.expose().to_owned(),
            _ => environment::random_secret(),
        };
        let crm = ExampleCrm::open(directory.clone(), &crm_key, options.clock).map_err(in_directory)?;
        let functions = Functions { app: app.clone(), crm: crm.clone() };
        let simulation = Simulation::new(functions.clone(), user.clone(), crm_key.clone());
        servers.spawn(functions.clone().run_redrive());
        servers.spawn(simulation.clone().play_recordings());
        let router = page::page_routes()
            .merge(example_crm::router(crm))
            .merge(simulation::routes(simulation))
            .merge(call_log_routes(functions))
            .layer(middleware::from_fn(refuse_foreign_names));
        servers.spawn(server::serve(listener, router));
        // The commands in this directory use this address.
        if let Some(directory) = &directory {
            let file = directory.join(environment::URL_FILE);
            environment::make_private(&file)
                .and_then(|()| std::fs::write(&file, &url))
                .map_err(in_directory)?;
        }
        Ok(Local {
            app,
            url,
            dynamodb,
            is_table_lost,
            table,
            user,
            crm_key,
            secret_files,
            key_file,
            servers,
            _lock: lock,
            temporary,
        })
    }

    /// Returns a caller's token for the demo user, valid for 14 days.
    pub fn token(&self) -> String {
        self.app.issue_token(&self.user, 14)
    }

    /// Waits until one of the servers ends; normally none does.
    pub async fn serve(&mut self) {
        self.servers.join_next().await;
    }

    /// Deletes the temporary secrets, for a process that exits without dropping this value.
    pub fn delete_temporary_files(&mut self) {
        self.temporary = None;
    }
}

async fn listen(port: u16, option: &'static str) -> Result<(TcpListener, String), CommandError> {
    let failed = |error| CommandError::Port { port, option, error };
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    Ok((listener, url))
}

/// Creates the data directory if it is missing, and locks it: two Example CRMs would overwrite each other's file.
fn lock_directory(directory: &Path) -> Result<File, CommandError> {
    let failed = |error| CommandError::DataDirectory(directory.to_owned(), error);
    create_private_directory(directory).map_err(failed)?;
    let lock = File::create(directory.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(CommandError::DataDirectoryInUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Creates a directory that only its owner can read.
fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Returns the demo user, and creates it at the first start.
async fn demo_user(app: &App) -> Result<User, store::Error> {
    let key = UserKey {
        platform: Platform::new("example").expect("the name of the platform is not empty"),
        id: UserId::new(DEMO_USER).expect("the id of the demo user is not empty"),
    };
    let mut user = match app.store.user(&key).await? {
        Some(stored) if stored.user.account.id.is_some() && stored.is_administrator() => {
            return Ok(stored.user);
        }
        Some(stored) => stored.user,
        None => User {
            id: key.id,
            platform: key.platform,
            hostname: None,
            account: CrmAccount::default(),
            zone: None,
            settings: Settings::default(),
            credentials: Some(Credentials::ApiKey(Secret::new(environment::random_secret()))),
        },
    };
    let crm = app.crm(user.platform.as_str()).expect("the registry has the Example CRM");
    let deadline = Deadline(app.clock.now_ms() + REQUEST_MS);
    account::find_account(app, crm, &mut user, deadline).await?;
    app.store.put_user(&user).await?;
    // The person at this machine is the operator.
    app.store.set_administrator(&user.key(), Some(&user.tenant())).await?;
    Ok(user)
}

/// Refuses a request whose `Host` is not a loopback name, so that a site whose name resolves to 127.0.0.1 reaches nothing
/// (DNS rebinding).
async fn refuse_foreign_names(request: Request<Body>, next: Next) -> Response<Body> {
    if dynamodb::is_loopback(request.headers()) {
        next.run(request).await
    } else {
        reject(StatusCode::FORBIDDEN, "This is only available at 127.0.0.1 or localhost.")
    }
}

/// Returns the routes of the functions. The Chrome extension may call them from any origin. No other site may read the pages.
fn call_log_routes(functions: Functions) -> Router {
    let route = async |State(functions): State<Functions>, request: Request<Body>| match receive(
        &functions.app,
        request,
    )
    .await
    {
        Ok(request) => functions.handle(request).await,
        Err(refusal) => refusal,
    };
    let own_pages = ["/connect", "/connect/{*page}"];
    let landing_pages = functions.app.crms.iter().filter_map(|crm| api::login::own_page(*crm));
    let pages = own_pages.into_iter().chain(landing_pages);
    let pages = pages.fold(Router::new(), |router, path| router.route(path, any(route)));
    let cors =
        CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any).expose_headers(EXPOSED);
    Router::new().fallback(route).layer(cors).merge(pages).with_state(functions)
}

/// Receives the body of a request. Where a token is needed and is not valid, the body is not read: the response is the same.
///
/// # Errors
///
/// Returns the response to a body that takes too long.
async fn receive(app: &App, request: Request<Body>) -> Result<Request<Bytes>, Response<Body>> {
    let (head, body) = request.into_parts();
    let route = api::route_of(&api::all_routes(), &head.method, head.uri.path());
    let callers = route.map_or(Callers::Known, |route| route.callers);
    let limit = callers.max_body();
    let body = match api::authenticate(&app.api, &head.headers, &head.uri) {
        Err(_) if callers == Callers::Known => Bytes::new(),
        _ => match tokio::time::timeout(BODY_TIME, to_bytes(body, limit)).await {
            Ok(Ok(body)) => body,
            // A body above the limit is not read to its end. Another one above the limit replaces it, so that the API
            // rejects it.
            Ok(Err(_)) => Bytes::from(vec![b' '; limit + 1]),
            Err(_) => {
                let body =
                    ResponseBody::warning("The body did not arrive in time: send the request again.", 5000);
                return Err((StatusCode::REQUEST_TIMEOUT, Json(body)).into_response());
            }
        },
    };
    Ok(Request::from_parts(head, body))
}
