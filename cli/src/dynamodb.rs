//! The embedded DynamoDB: its API over a database file, or over memory.
//!
//! The app of `call-log serve` calls it within the process, and other commands of the same user reach it through a socket file
//! in the data directory. It listens on a port only on request. Then it serves only programs that know the access key:
//! a web page in a browser on this machine could otherwise read and change the table.

use std::{fs, io, path::Path, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, header},
};
use call_log::startup::transport::{self, SharedHttpClient};
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpListener;

use crate::{environment, error::CommandError, server};

/// The database file in a data directory.
const FILE: &str = "dynamodb.sqlite";
/// The socket file in a data directory.
pub(crate) const SOCKET: &str = "dynamodb.sock";
/// The name of this machine in a container.
const DOCKER_HOST: &str = "host.docker.internal";
/// The longest request of DynamoDB, in bytes.
const MAX_REQUEST: usize = 16 << 20;

/// The embedded DynamoDB.
pub(crate) struct Embedded {
    database: Database,
    /// The access key id that requests on a port have to carry.
    pub(crate) access_key: String,
}

impl Embedded {
    /// Opens the database of a data directory; `None`: one in memory. Only its owner can read the file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be created, or is no database.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Embedded, CommandError> {
        let database = match directory {
            Some(directory) => {
                let file = directory.join(FILE);
                environment::make_private(&file)
                    .map_err(|error| CommandError::DataDirectory(directory.to_owned(), error))?;
                Database::new(&file.to_string_lossy())
            }
            None => Database::memory(),
        };
        let database = database.map_err(|error| CommandError::EmbeddedDynamoDb(error.to_string()))?;
        Ok(Embedded { database, access_key: environment::random_secret()[..20].to_uppercase() })
    }

    /// Returns `true` if the directory has no table, although it has a file of an earlier start.
    pub(crate) fn is_lost(directory: &Path) -> bool {
        let is_empty = |file: &str| fs::metadata(directory.join(file)).map_or(true, |file| file.len() == 0);
        is_empty(FILE) && !is_empty(environment::SECRET_FILE)
    }

    /// Returns the way to this DynamoDB within the process.
    pub(crate) fn client(self: &Arc<Self>) -> SharedHttpClient {
        let embedded = self.clone();
        transport::in_process(move |request| {
            let (head, body) = request.into_parts();
            embedded.answer(&head.headers, &body)
        })
    }

    /// Serves a port. A request needs the access key and a loopback host, and may not come from a web page.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let guarded = async |State(embedded): State<Arc<Embedded>>, request: Request<Body>| {
            let (head, body) = request.into_parts();
            if !embedded.is_permitted(&head.headers) {
                let message = "send the access key that `call-log serve` prints, from this machine and not from a web page";
                return failure(StatusCode::FORBIDDEN, "AccessDeniedException", message).map(Body::from);
            }
            match to_bytes(body, MAX_REQUEST).await {
                Ok(body) => embedded.answer(&head.headers, &body),
                Err(_) => {
                    failure(StatusCode::PAYLOAD_TOO_LARGE, "ValidationException", "the request is too long")
                }
            }
            .map(Body::from)
        };
        let router = Router::new().fallback(guarded).with_state(self);
        server::serve(listener, router).await;
    }

    /// Serves a socket file, which only its owner can open.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be created, for example because its path is too long.
    #[cfg(unix)]
    pub(crate) fn serve_socket(self: Arc<Self>, path: &Path) -> io::Result<impl Future<Output = ()> + use<>> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = tokio::net::UnixListener::bind(path)?;
        environment::make_private(path)?;
        let answer = async |State(embedded): State<Arc<Embedded>>, headers: HeaderMap, body: Bytes| {
            embedded.answer(&headers, &body).map(Body::from)
        };
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::max(MAX_REQUEST))
            .with_state(self);
        Ok(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the server of the socket file has ended");
            }
        })
    }

    fn is_permitted(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let credential = format!("Credential={}/", self.access_key);
        (is_loopback(headers) || host(headers) == DOCKER_HOST)
            && !headers.contains_key(header::ORIGIN)
            && text(header::AUTHORIZATION).contains(&credential)
    }

    /// Responds to a request of DynamoDB's low-level API.
    fn answer(&self, headers: &HeaderMap, body: &[u8]) -> Response<Bytes> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        match self.execute(operation, body) {
            Some(Ok(body)) => response(StatusCode::OK, body),
            Some(Err(error)) => {
                let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                response(status, error.to_json())
            }
            None => failure(
                StatusCode::BAD_REQUEST,
                "UnknownOperationException",
                "this operation is not supported",
            ),
        }
    }

    /// Executes an operation. Returns `None` if it is not one of those that the program uses.
    fn execute(&self, operation: &str, body: &[u8]) -> Option<Result<String, DynoxideError>> {
        fn run<Request: DeserializeOwned, Reply: Serialize>(
            body: &[u8],
            operation: impl FnOnce(Request) -> Result<Reply, DynoxideError>,
        ) -> Result<String, DynoxideError> {
            let unreadable =
                |error: serde_json::Error| DynoxideError::SerializationException(error.to_string());
            let reply = operation(serde_json::from_slice(body).map_err(unreadable)?)?;
            serde_json::to_string(&reply).map_err(unreadable)
        }
        let database = &self.database;
        Some(match operation {
            "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
            "BatchWriteItem" => run(body, |request| database.batch_write_item(request)),
            "CreateTable" => run(body, |request| database.create_table(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "DeleteTable" => run(body, |request| database.delete_table(request)),
            "DescribeTable" => run(body, |request| database.describe_table(request)),
            "DescribeTimeToLive" => run(body, |request| database.describe_time_to_live(request)),
            "GetItem" => run(body, |request| database.get_item(request)),
            "ListTables" => run(body, |request| database.list_tables(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "Scan" => run(body, |request| database.scan(request)),
            "TransactGetItems" => run(body, |request| database.transact_get_items(request)),
            "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
            "UpdateItem" => run(body, |request| database.update_item(request)),
            "UpdateTable" => run(body, |request| database.update_table(request)),
            "UpdateTimeToLive" => run(body, |request| database.update_time_to_live(request)),
            _ => return None,
        })
    }
}

/// Returns `true` if a request names a loopback host. A site whose name resolves to 127.0.0.1 names its own host.
pub(crate) fn is_loopback(headers: &HeaderMap) -> bool {
    matches!(host(headers), "127.0.0.1" | "localhost" | "[::1]")
}

/// Returns the host that a request names, without its port.
fn host(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn failure(status: StatusCode, kind: &str, message: &str) -> Response<Bytes> {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
    response(status, serde_json::json!({ "__type": kind, "message": message }).to_string())
}

fn response(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
