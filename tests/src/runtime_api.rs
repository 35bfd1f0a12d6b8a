//! The real function binaries, invoked as Lambda invokes them: through the Runtime API (AWS Lambda developer guide,
//! "Using the Lambda runtime API").

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path as Segment, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::{cargo, test_app::Response};

/// The time after which a test gives up waiting for a response.
const PATIENCE: Duration = Duration::from_secs(40);

/// One execution environment: a process that polls for events.
#[derive(Debug)]
pub struct Function {
    process: Child,
    api: Arc<Api>,
    /// The Runtime API ends with it. A load test starts thousands of processes.
    _api_end: oneshot::Sender<()>,
    /// Readers of standard output and standard error. They read all the time, because a full pipe would block the
    /// process.
    log: Vec<JoinHandle<String>>,
}

/// The state of the Runtime API.
#[derive(Debug)]
struct Api {
    events: mpsc::UnboundedSender<(String, Value, u64)>,
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, Value, u64)>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<Value, Value>>>>,
    next_id: AtomicU64,
}

impl Function {
    /// Starts the function of this name. Its environment has only these variables and Lambda's.
    pub fn start(name: &str, environment: &BTreeMap<String, String>) -> Function {
        let (api, address, end) = serve();
        let mut process = Command::new(binary(name))
            .env_clear()
            .envs(environment)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/test")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the function starts");
        let log = vec![read_all(process.stdout.take()), read_all(process.stderr.take())];
        Function { process, api, _api_end: end, log }
    }

    /// Invokes the function with an API Gateway or ALB event and returns its response.
    pub async fn invoke(&self, event: Value) -> Response {
        self.invoke_for(event, Duration::from_secs(25)).await
    }

    /// Invokes the function with this time until the invocation's deadline.
    pub async fn invoke_for(&self, event: Value, time: Duration) -> Response {
        let response = tokio::time::timeout(PATIENCE, self.invoke_raw(event, time)).await;
        let response = response
            .expect("a response in time")
            .unwrap_or_else(|error| panic!("the function reported an error: {error}"));
        read(&response)
    }

    /// Invokes the function with any event and returns the raw response or error. Does not return if the process dies.
    pub async fn invoke_raw(&self, event: Value, time: Duration) -> Result<Value, Value> {
        let id = format!("request-{}", self.api.next_id.fetch_add(1, Ordering::Relaxed));
        let (sender, response) = oneshot::channel();
        self.api.waiting.lock().expect("no panic before").insert(id.clone(), sender);
        self.api.events.send((id, event, time.as_millis() as u64)).expect("the queue is open");
        response.await.expect("a response")
    }

    /// Returns the most memory that the process has had, in kilobytes.
    ///
    /// # Panics
    ///
    /// If the system is not Linux.
    pub fn peak_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("the process is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes")
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the process has ended");
    }

    /// Kills the process and returns everything that it logged.
    pub fn into_log(mut self) -> String {
        self.kill();
        self.take_log()
    }

    /// Waits until the process ends. Returns its status and everything that it logged.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.process.try_wait().expect("the status of the process can be read") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "the process has not ended"),
            }
            thread::sleep(Duration::from_millis(20));
        };
        (status, self.take_log())
    }

    fn take_log(&mut self) -> String {
        self.log.drain(..).map(|reader| reader.join().expect("the log is text")).collect()
    }
}

/// Reads a stream to its end.
fn read_all(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut stream = stream.expect("the stream is piped");
    thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the log is text");
        text
    })
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads an event of `events/` and inserts the token.
pub fn event(name: &str, token: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text.replace("TOKEN", token)).expect("an event is JSON")
}

/// Replaces the body of an event.
pub fn with_body(mut event: Value, body: &str) -> Value {
    event["body"] = body.into();
    event["isBase64Encoded"] = false.into();
    event
}

/// Returns the path of the program of this workspace with this name. A test builds the programs once; a program finds the
/// others beside it, where the same build has put them.
pub fn binary(name: &str) -> PathBuf {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = std::env::current_exe().expect("a path");
        let own = program.parent().expect("a file is in a directory");
        // The own directory of a test or an example is target/<profile>/deps or target/<profile>/examples.
        match own.parent() {
            Some(profile) if own.ends_with("deps") || own.ends_with("examples") => {
                build(profile.ends_with("release"));
                profile.to_owned()
            }
            _ => own.to_owned(),
        }
    });
    DIRECTORY.join(name)
}

/// Builds the programs of this workspace.
fn build(is_release: bool) {
    let built = cargo::command()
        .args(["build", "--workspace", "--bins", "--quiet"])
        .args(is_release.then_some("--release"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the programs can be built");
}

/// Reads a response to API Gateway or to a load balancer. For a REST API, its headers are lists.
fn read(response: &Value) -> Response {
    let header = |(name, value): (&String, &Value)| {
        let text = value.as_str().or_else(|| value[0].as_str()).unwrap_or_default();
        (name.to_lowercase(), text.to_owned())
    };
    let kinds = [&response["multiValueHeaders"], &response["headers"]];
    let headers = kinds.into_iter().filter_map(Value::as_object).flatten();
    let text = response["body"].as_str().unwrap_or_default();
    Response {
        status: response["statusCode"].as_u64().unwrap_or_default() as u16,
        headers: headers.map(header).collect(),
        body: serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    }
}

/// Starts a Runtime API on a new thread. It ends when the sender is dropped.
fn serve() -> (Arc<Api>, String, oneshot::Sender<()>) {
    let (end, ended) = oneshot::channel::<()>();
    let (events, queue) = mpsc::unbounded_channel();
    let api =
        Arc::new(Api { events, queue: queue.into(), waiting: Mutex::default(), next_id: AtomicU64::new(1) });
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .with_state(api.clone());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("the listener can be made non-blocking");
    let address = listener.local_addr().expect("the listener has an address").to_string();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            tokio::select! {
                served = async { axum::serve(listener, router).await } => served.expect("the server runs"),
                _ = ended => {}
            }
        });
    });
    (api, address, end)
}

async fn next(State(api): State<Arc<Api>>) -> (HeaderMap, String) {
    let (id, event, time_ms) = api.queue.lock().await.recv().await.expect("the queue is open");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis() as u64;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", (now_ms + time_ms).to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:test".to_owned(),
        ),
        ("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned()),
    ] {
        headers.insert(name, value.parse().expect("a header value"));
    }
    (headers, event.to_string())
}

async fn response(State(api): State<Arc<Api>>, Segment(id): Segment<String>, body: Bytes) -> StatusCode {
    settle(&api, &id, Ok(serde_json::from_slice(&body).unwrap_or_default()))
}

async fn error(State(api): State<Arc<Api>>, Segment(id): Segment<String>, body: Bytes) -> StatusCode {
    settle(&api, &id, Err(serde_json::from_slice(&body).unwrap_or_default()))
}

fn settle(api: &Api, id: &str, result: Result<Value, Value>) -> StatusCode {
    if let Some(waiting) = api.waiting.lock().expect("no panic before").remove(id) {
        let _ = waiting.send(result);
    }
    StatusCode::ACCEPTED
}
