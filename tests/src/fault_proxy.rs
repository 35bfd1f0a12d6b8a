//! A loopback proxy in front of a CRM, which does what networks and servers do on their bad days.
//!
//! A test queues a [`Fault`] for a [`Target`]; the next request there meets it, all others pass. Everything that
//! arrives is kept for the test to read. It runs on threads of its own, so that it serves tests and whole programs
//! alike, and one request to a connection, so that no pool hides a cut.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use axum::Router;
use serde_json::Value;
use tokio::sync::oneshot;

/// Headers that are not kept: they hold what a test's output must not show either.
const SECRET_HEADERS: [&str; 3] = ["authorization", "x-api-token", "cookie"];

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and this is the answer.
    Status(u16),
    /// Nothing is done, and this status with this JSON is the answer.
    Refusal(u16, &'static str),
    /// Nothing is done: too many requests.
    RateLimited { retry_after: Option<u64> },
    /// Nothing is done: the network in front of the CRM answers with its page and 403.
    Blocked,
    /// Nothing is done, and a web page is the answer, with 200.
    Html,
    /// Nothing is done, and the connection is cut.
    DropBeforeEffect,
    /// It is done, and the connection is cut.
    DropBeforeAnswer,
    /// It is done, and the answer breaks off in its middle.
    Truncated,
    /// It is done, and the answer says so without any details.
    NoId,
    /// It is done at once, and the answer comes after this time.
    Delay(Duration),
    /// It reaches the CRM after this time, whether or not anybody still waits for it.
    DelayEffect(Duration),
    /// It is done twice; the second answer is the one that comes.
    Repeat,
}

/// Which requests a fault is for: a method, and a path in which `*` stands for any one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub method: &'static str,
    pub path: &'static str,
}

impl Target {
    fn matches(&self, request: &Exchange) -> bool {
        let mut steps = request.path.split('/');
        let same =
            self.path.split('/').all(|step| steps.next().is_some_and(|other| step == "*" || step == other));
        self.method == request.method && same && steps.next().is_none()
    }
}

/// A request that arrived, and what happened to it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub query: String,
    /// In lower case, without credentials.
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub fault: Option<Fault>,
}

impl Exchange {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body, when it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// A server with a proxy in front of it. When it is dropped the server stops, and the proxy cuts every connection:
/// its port stays taken, because adapters remember by address what they have learned of a CRM.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Option<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<(Target, Fault)>,
    /// What every other request meets.
    outage: Option<Fault>,
    exchanges: Vec<Exchange>,
    /// Which of them are under way, and which were at the same time as another.
    under_way: Vec<usize>,
    overlaps: Vec<(usize, usize)>,
}

impl State {
    fn begin(&mut self, exchange: Exchange) -> usize {
        let index = self.exchanges.len();
        self.overlaps.extend(self.under_way.iter().map(|other| (*other, index)));
        self.under_way.push(index);
        self.exchanges.push(exchange);
        index
    }

    fn end(&mut self, index: usize) {
        self.under_way.retain(|other| *other != index);
    }
}

impl FaultProxy {
    /// Serves a router, behind a proxy.
    pub fn around(router: Router) -> FaultProxy {
        let (stop, stopped) = oneshot::channel::<()>();
        FaultProxy { _server: Some(stop), ..FaultProxy::before(serve(router, stopped)) }
    }

    /// A proxy before a server that runs.
    pub fn before(upstream: SocketAddr) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound port");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                // A connection that breaks is what this is for.
                thread::spawn(move || pass(&client, upstream, &state).unwrap_or_default());
            }
        });
        FaultProxy { address, state, _server: None }
    }

    /// Without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request to the target that has no fault yet meets this one.
    pub fn next(&self, target: Target, fault: Fault) {
        lock(&self.state).queue.push((target, fault));
    }

    /// Faults that nobody has met yet are forgotten.
    pub fn forget_faults(&self) {
        lock(&self.state).queue.clear();
    }

    /// From now on every request that no other fault is for meets this one; `None`: all goes well again.
    pub fn outage(&self, fault: Option<Fault>) {
        lock(&self.state).outage = fault;
    }

    /// Every request that arrived, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.state).exchanges.clone()
    }

    /// Whether two requests to the target were ever under way at once.
    pub fn overlapped(&self, target: Target) -> bool {
        let state = lock(&self.state);
        let matches = |index: &usize| target.matches(&state.exchanges[*index]);
        state.overlaps.iter().any(|(one, other)| matches(one) && matches(other))
    }

    /// How many requests to the target arrived.
    pub fn count(&self, target: Target) -> usize {
        lock(&self.state).exchanges.iter().filter(|exchange| target.matches(exchange)).count()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a router until told to stop, or until nobody can tell any more.
fn serve(router: Router, stopped: oneshot::Receiver<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let address = listener.local_addr().expect("a bound port");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let serving = axum::serve(listener, router);
            tokio::select! {
                ended = serving => ended,
                _ = stopped => Ok(()),
            }
        })
    });
    address
}

/// Handles the one request of a connection.
fn pass(client: &TcpStream, upstream: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let Some((head, mut exchange)) = receive(client)? else { return Ok(()) };
    let (fault, index) = {
        let mut state = lock(state);
        let position = state.queue.iter().position(|(target, _)| target.matches(&exchange));
        let fault = position.map(|position| state.queue.remove(position).1).or_else(|| state.outage.clone());
        exchange.fault.clone_from(&fault);
        (fault, state.begin(exchange.clone()))
    };
    let answered = answer(client, upstream, &head, &exchange, fault);
    lock(state).end(index);
    answered
}

fn answer(
    mut client: &TcpStream,
    upstream: SocketAddr,
    head: &str,
    exchange: &Exchange,
    fault: Option<Fault>,
) -> io::Result<()> {
    let forward = || forward(head, &exchange.body, upstream);
    let answer = match fault {
        None => forward()?,
        Some(Fault::Status(status)) => made_up(status, "application/json", "", REFUSAL),
        Some(Fault::Refusal(status, body)) => made_up(status, "application/json", "", body),
        Some(Fault::RateLimited { retry_after }) => {
            let headers =
                retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
            made_up(429, "application/json", &headers, REFUSAL)
        }
        Some(Fault::Blocked) => made_up(403, "text/html", "cf-ray: 7d0f\r\n", PAGE),
        Some(Fault::Html) => made_up(200, "text/html", "", PAGE),
        Some(Fault::DropBeforeEffect) => return Ok(()),
        Some(Fault::DropBeforeAnswer) => return forward().map(drop),
        Some(Fault::Truncated) => {
            let mut answer = forward()?;
            answer.truncate(answer.len().saturating_sub(2));
            answer
        }
        Some(Fault::NoId) => {
            forward()?;
            made_up(200, "application/json", "", r#"{"success": true, "data": {}}"#)
        }
        Some(Fault::Delay(time)) => {
            let answer = forward()?;
            thread::sleep(time);
            answer
        }
        Some(Fault::DelayEffect(time)) => {
            thread::sleep(time);
            forward()?
        }
        Some(Fault::Repeat) => {
            forward()?;
            forward()?
        }
    };
    client.write_all(&answer)
}

const REFUSAL: &str = r#"{"success": false, "error": "A fault of the test", "code": "ERR_TEST"}"#;
const PAGE: &str = "<!DOCTYPE html><html><body><h1>Sorry</h1></body></html>";

fn made_up(status: u16, content_type: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Made up\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{headers}\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads a request: its head as it goes on to the server, and the whole as a test reads it.
fn receive(client: &TcpStream) -> io::Result<Option<(String, Exchange)>> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target.as_str(), ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut head = line.clone();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "connection" => continue,
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            _ => {}
        }
        head.push_str(&line);
        if !SECRET_HEADERS.contains(&name.as_str()) {
            headers.push((name, value));
        }
    }
    head.push_str("connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(io::Error::other)?;
    Ok(Some((head, Exchange { method, path, query, headers, body, fault: None })))
}

/// Has the server do it, and returns the whole answer.
fn forward(head: &str, body: &str, upstream: SocketAddr) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.as_bytes())?;
    server.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}
