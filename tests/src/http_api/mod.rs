//! The real function binaries behind an emulated HTTP API: API Gateway's routes, throttles and events, and Lambda's
//! environments, as `template.yaml` describes them.
//!
//! A request becomes an event of payload format 2.0, and the function's response a response of HTTP, as "Create AWS Lambda proxy
//! integrations for HTTP APIs in API Gateway" (API Gateway developer guide) defines them. A route that the template lacks does not
//! exist, and what format 2.0 does not pass on, such as `multiValueHeaders`, does not arrive. CORS and payload format 1.0 are not
//! emulated.

mod template;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aws_smithy_types::base64;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

pub use self::template::{DeployedFunction, Template, Throttle};
use crate::runtime_api::Function;

/// The largest body that API Gateway accepts, in bytes.
const MAX_BODY: usize = 10 << 20;
/// The interval of the scheduled functions.
const SCHEDULE: Duration = Duration::from_secs(60);

/// A running HTTP API. It ends, with its functions, when it is dropped.
#[derive(Debug)]
pub struct HttpApi {
    /// The address of the API with its stage, such as `http://127.0.0.1:41234`.
    pub url: String,
    api: Arc<Api>,
    _end: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Api {
    /// `127.0.0.1:41234`
    domain: String,
    stage: Option<&'static str>,
    template: Template,
    pools: BTreeMap<String, Arc<Pool>>,
    /// The requests that each route can accept now, and when that was true.
    buckets: Mutex<BTreeMap<String, (f64, Instant)>>,
}

/// The environments of one function.
#[derive(Debug)]
struct Pool {
    function: DeployedFunction,
    variables: BTreeMap<String, String>,
    idle: Mutex<Vec<Function>>,
    running: AtomicUsize,
    started: AtomicUsize,
}

/// The reasons for which Lambda returns no response of a function.
enum Failed {
    /// All environments are running.
    Throttled,
    /// The invocation failed or took too long.
    Invocation,
}

impl HttpApi {
    /// Starts the API with the stage `$default`. `variables`: the environment of the functions, given the API's address.
    pub fn start(variables: impl FnOnce(&str) -> BTreeMap<String, String>) -> HttpApi {
        HttpApi::with(Template::read(), None, variables)
    }

    /// Starts the API of this template with this stage; `None` is the stage `$default`.
    pub fn with(
        template: Template,
        stage: Option<&'static str>,
        variables: impl FnOnce(&str) -> BTreeMap<String, String>,
    ) -> HttpApi {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("the listener can be made non-blocking");
        let domain = listener.local_addr().expect("the listener has an address").to_string();
        let url = format!("http://{domain}{}", stage.map(|stage| format!("/{stage}")).unwrap_or_default());
        let variables = variables(&url);
        let pool = |function: &DeployedFunction| {
            let pool = Pool {
                function: function.clone(),
                variables: variables.clone(),
                idle: Mutex::default(),
                running: AtomicUsize::new(0),
                started: AtomicUsize::new(0),
            };
            (function.binary.clone(), Arc::new(pool))
        };
        let pools = template.functions.iter().map(pool).collect();
        let api = Arc::new(Api { domain, stage, template, pools, buckets: Mutex::default() });
        let (end, ended) = oneshot::channel::<()>();
        let served = api.clone();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                for pool in served.pools.values().filter(|pool| pool.function.is_scheduled) {
                    tokio::spawn(pool.clone().run_on_schedule());
                }
                let router = Router::new().fallback(receive).with_state(served);
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("the server runs"),
                    _ = ended => {}
                }
            });
        });
        HttpApi { url, api, _end: end }
    }

    /// Returns the number of environments of a function that are busy.
    pub fn running(&self, binary: &str) -> usize {
        self.api.pools[binary].running.load(Ordering::SeqCst)
    }

    /// Returns the number of environments of a function that were started.
    pub fn environments(&self, binary: &str) -> usize {
        self.api.pools[binary].started.load(Ordering::SeqCst)
    }
}

impl Pool {
    async fn run_on_schedule(self: Arc<Pool>) {
        let mut ticks = tokio::time::interval(SCHEDULE);
        loop {
            ticks.tick().await;
            let _ = self.clone().invoke(json!({})).await;
        }
    }

    /// Invokes the function in an environment that is idle, or in a new one. The invocation goes on if the caller stops waiting.
    async fn invoke(self: Arc<Pool>, event: Value) -> Result<Value, Failed> {
        if self.running.fetch_add(1, Ordering::SeqCst) >= self.function.environments {
            self.running.fetch_sub(1, Ordering::SeqCst);
            return Err(Failed::Throttled);
        }
        let invocation = tokio::spawn(async move {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let environment = idle.unwrap_or_else(|| {
                self.started.fetch_add(1, Ordering::SeqCst);
                Function::start(&self.function.binary, &self.variables)
            });
            let time = Duration::from_secs(self.function.timeout_s);
            let result = tokio::time::timeout(time, environment.invoke_raw(event, time)).await;
            // Lambda ends an environment whose invocation took too long.
            if result.is_ok() {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(environment);
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            result.ok().and_then(Result::ok).ok_or(Failed::Invocation)
        });
        invocation.await.unwrap_or(Err(Failed::Invocation))
    }
}

async fn receive(State(api): State<Arc<Api>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let stage = api.stage.map(|stage| format!("/{stage}")).unwrap_or_default();
    let route = head.uri.path().strip_prefix(&stage).map(|path| format!("{} {path}", head.method));
    let by_route = |pool: &&Arc<Pool>| route.as_ref().is_some_and(|key| pool.function.routes.contains(key));
    let (Some(pool), Some(route)) = (api.pools.values().find(by_route), &route) else {
        return message(StatusCode::NOT_FOUND, "Not Found");
    };
    if !api.accepts(route) {
        return message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    }
    let event = event(&api, route, &Request::from_parts(head, body));
    match pool.clone().invoke(event).await {
        Ok(response) => answer(&response)
            .unwrap_or_else(|| message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")),
        Err(Failed::Throttled) => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        Err(Failed::Invocation) => message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

impl Api {
    /// Takes a request from the token bucket of a route. Returns `false` if the bucket is empty.
    fn accepts(&self, route: &str) -> bool {
        let Throttle { rate, burst } =
            *self.template.throttles.get(route).unwrap_or(&self.template.default_throttle);
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, at) = buckets.entry(route.to_owned()).or_insert((burst, now));
        *left = burst.min(*left + rate * now.duration_since(*at).as_secs_f64());
        *at = now;
        let is_accepted = *left >= 1.0;
        if is_accepted {
            *left -= 1.0;
        }
        is_accepted
    }
}

/// Returns the event for a request.
fn event(api: &Api, route: &str, request: &Request<Bytes>) -> Value {
    let (headers, uri) = (request.headers(), request.uri());
    let cookies: Vec<_> =
        headers.get_all(header::COOKIE).iter().flat_map(|value| text(value).split(';')).collect();
    let cookies: Vec<_> = cookies.into_iter().map(str::trim).collect();
    let mut listed = Map::new();
    for name in headers.keys().filter(|name| *name != header::COOKIE) {
        let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
        listed.insert(name.to_string(), values.join(",").into());
    }
    let query = uri.query().unwrap_or_default();
    let mut parameters = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parameters.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let parameters: Map<_, _> =
        parameters.into_iter().map(|(name, values)| (name, values.join(",").into())).collect();
    let stage = api.stage.unwrap_or("$default");
    let mut event = json!({
        "version": "2.0", "routeKey": route, "rawPath": uri.path(), "rawQueryString": query, "headers": listed,
        "requestContext": {
            "accountId": "123456789012", "apiId": "a1b2c3d4e5", "domainName": api.domain, "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": request.method().as_str(), "path": uri.path(), "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7", "userAgent": headers.get(header::USER_AGENT).map_or("", text),
            },
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": route, "stage": stage,
            "time": "12/Mar/2025:15:46:30 +0000", "timeEpoch": 1_741_794_390_000_i64,
        },
        "isBase64Encoded": false,
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !parameters.is_empty() {
        event["queryStringParameters"] = parameters.into();
    }
    if !request.body().is_empty() {
        let is_binary = !is_text(headers);
        event["body"] = match std::str::from_utf8(request.body()) {
            Ok(text) if !is_binary => text.into(),
            _ => base64::encode(request.body()).into(),
        };
        event["isBase64Encoded"] = is_binary.into();
    }
    event
}

/// Returns `true` if API Gateway passes a body on as text. All other bodies, also those of forms, are encoded.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or("", text);
    kind.starts_with("text/") || ["json", "xml", "javascript"].iter().any(|name| kind.contains(name))
}

fn text(value: &header::HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// Returns the response that a function describes; `None` if it describes none.
fn answer(described: &Value) -> Option<Response<Body>> {
    let status = u16::try_from(described["statusCode"].as_u64()?).ok()?;
    let mut response = Response::builder().status(status);
    for (name, value) in described["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str()?);
    }
    for cookie in described["cookies"].as_array().into_iter().flatten() {
        response = response.header(header::SET_COOKIE, cookie.as_str()?);
    }
    let body = described["body"].as_str().unwrap_or_default();
    let body = match described["isBase64Encoded"].as_bool() {
        Some(true) => base64::decode(body).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    response.body(Body::from(body)).ok()
}

/// Returns a response of API Gateway itself.
fn message(status: StatusCode, text: &str) -> Response<Body> {
    (status, axum::Json(json!({ "message": text }))).into_response()
}
