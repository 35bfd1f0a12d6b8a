//! A loopback HTTP/1.1 proxy before a server: it records, counts, delays and fails requests.
//!
//! A test queues a [`Fault`] for a [`Target`]; the next request to that target meets it, and all others pass. The proxy
//! has its own thread, so that it serves tests in this process as well as whole programs.
//!
//! [`Proxy::around`] and [`Proxy::before`] create proxies that close each connection after one request, so that no
//! connection pool hides a cut. A proxy created by [`Proxy::metering`] keeps connections open, as DynamoDB and CRMs do,
//! and asks DynamoDB to report the consumed capacity.

mod exchange;
mod message;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::Router;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::{Barrier, oneshot},
};
use tokio_rustls::TlsAcceptor;

pub use self::exchange::{Exchange, Fault, Target};
use self::{
    exchange::{consumed, metered, operation},
    message::Message,
};

/// A running proxy. When it is dropped, the server of [`Proxy::around`] stops and the proxy cuts every connection. The
/// proxy keeps its port, because adapters cache data about a CRM by its address.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    is_tls: bool,
    state: Arc<State>,
    _server: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    is_metering: bool,
    connections: AtomicU64,
    delay_us: AtomicU64,
    gathering: Mutex<Option<(Arc<Barrier>, usize)>>,
    faults: Mutex<Faults>,
    traffic: Mutex<Traffic>,
}

#[derive(Debug, Default)]
struct Faults {
    queue: Vec<(Target, Fault)>,
    /// The faults of the requests to a target for which none is queued.
    lasting: Vec<(Target, Fault)>,
    /// The fault of every request for which there is no other.
    outage: Option<Fault>,
}

/// The exchanges in the order in which they arrived, with their numbers.
#[derive(Debug, Default)]
struct Traffic {
    exchanges: Vec<(u64, Exchange)>,
    under_way: Vec<u64>,
    /// Pairs of exchanges that were under way at the same time.
    overlaps: Vec<(u64, u64)>,
    next: u64,
}

impl Traffic {
    fn begin(&mut self, exchange: Exchange) -> u64 {
        let number = self.next;
        self.next += 1;
        self.overlaps.extend(self.under_way.iter().map(|other| (*other, number)));
        self.under_way.push(number);
        self.exchanges.push((number, exchange));
        number
    }

    fn end(&mut self, number: u64) {
        self.under_way.retain(|other| *other != number);
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().find(|(other, _)| *other == number).map(|(_, exchange)| exchange)
    }
}

impl Proxy {
    /// Starts a server with this router, and a proxy before it.
    pub fn around(router: Router) -> Proxy {
        let (stop, stopped) = oneshot::channel::<()>();
        Proxy { _server: Some(stop), ..Proxy::before(serve(router, stopped)) }
    }

    /// Starts a proxy before a running server.
    pub fn before(upstream: SocketAddr) -> Proxy {
        Proxy::start(upstream, false, None)
    }

    /// Starts a metering proxy before `http://127.0.0.1:port`.
    pub fn metering(url: &str) -> Proxy {
        Proxy::start(address(url), true, None)
    }

    /// Starts a metering proxy that clients reach over TLS.
    pub fn metering_with_tls(url: &str, acceptor: TlsAcceptor) -> Proxy {
        Proxy::start(address(url), true, Some(acceptor))
    }

    fn start(upstream: SocketAddr, is_metering: bool, acceptor: Option<TlsAcceptor>) -> Proxy {
        let (listener, address) = listen();
        let is_tls = acceptor.is_some();
        let state = Arc::new(State {
            upstream,
            is_metering,
            connections: AtomicU64::new(0),
            delay_us: AtomicU64::new(0),
            gathering: Mutex::default(),
            faults: Mutex::default(),
            traffic: Mutex::default(),
        });
        let shared = state.clone();
        on_a_thread(async move {
            accept(listener, acceptor, shared).await.expect("the listener accepts connections")
        });
        Proxy { address, is_tls, state, _server: None }
    }

    /// Returns the URL of the proxy, without a slash at its end. With TLS its host is a name, for the certificate.
    pub fn base_url(&self) -> String {
        match self.is_tls {
            true => format!("https://localhost:{}", self.address.port()),
            false => format!("http://{}", self.address),
        }
    }

    /// Queues a fault for the next request to the target. Each queued fault meets one request.
    pub fn next(&self, target: Target, fault: Fault) {
        lock(&self.state.faults).queue.push((target, fault));
    }

    /// Sets the fault of every request to the target, until faults are forgotten.
    pub fn always(&self, target: Target, fault: Fault) {
        lock(&self.state.faults).lasting.push((target, fault));
    }

    /// Removes the faults of single requests and targets.
    pub fn forget_faults(&self) {
        let mut faults = lock(&self.state.faults);
        faults.queue.clear();
        faults.lasting.clear();
    }

    /// Sets the fault of every request for which none is queued; `None` ends the outage.
    pub fn outage(&self, fault: Option<Fault>) {
        lock(&self.state.faults).outage = fault;
    }

    /// Delays each response by this time.
    pub fn delay(&self, time: Duration) {
        self.state.delay_us.store(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// Holds the next `requests` requests back until all of them have arrived, which asserts that they are concurrent.
    pub fn gather(&self, requests: usize) {
        *lock(&self.state.gathering) = Some((Arc::new(Barrier::new(requests)), requests));
    }

    /// Returns every request that arrived, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.state.traffic).exchanges.iter().map(|(_, exchange)| exchange.clone()).collect()
    }

    /// Removes and returns the exchanges that have a response, in the order of the requests.
    pub fn take(&self) -> Vec<Exchange> {
        let mut traffic = lock(&self.state.traffic);
        let has_response = |(_, exchange): &(u64, Exchange)| exchange.took.is_some();
        let (taken, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut traffic.exchanges).into_iter().partition(has_response);
        traffic.exchanges = left;
        taken.into_iter().map(|(_, exchange)| exchange).collect()
    }

    /// Returns the number of requests to the target that arrived.
    pub fn count(&self, target: Target) -> usize {
        lock(&self.state.traffic).exchanges.iter().filter(|(_, exchange)| target.matches(exchange)).count()
    }

    /// Returns `true` if two requests to the target were ever under way at the same time.
    pub fn overlapped(&self, target: Target) -> bool {
        let traffic = lock(&self.state.traffic);
        let matches = |number: u64| {
            let found = traffic.exchanges.iter().find(|(other, _)| *other == number);
            found.is_some_and(|(_, exchange)| target.matches(exchange))
        };
        traffic.overlaps.iter().any(|(one, other)| matches(*one) && matches(*other))
    }

    /// Returns the number of connections that clients opened.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let address = listener.local_addr().expect("a bound port");
    (listener, address)
}

/// Runs a future on a new thread with its own runtime.
fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work);
    });
}

/// Serves a router until the sender of `stopped` is dropped.
fn serve(router: Router, stopped: oneshot::Receiver<()>) -> SocketAddr {
    let (listener, address) = listen();
    on_a_thread(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        tokio::select! {
            ended = axum::serve(listener, router) => ended.expect("the server runs"),
            _ = stopped => {}
        }
    });
    address
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<State>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, acceptor) = (state.clone(), acceptor.clone());
        // Broken connections are expected: tests cut them, and clients give up.
        tokio::spawn(async move {
            match acceptor {
                None => pass(client, &state).await.unwrap_or_default(),
                Some(acceptor) => {
                    let Ok(client) = acceptor.accept(client).await else { return };
                    pass(client, &state).await.unwrap_or_default();
                }
            }
        });
    }
}

/// Serves one connection to its end.
async fn pass(client: impl AsyncRead + AsyncWrite + Unpin, state: &State) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut server = Upstream { state, connection: None };
    while let Some(request) = Message::read(&mut client).await? {
        let mut exchange = Exchange::of(&request, state.is_metering);
        let fault = {
            let mut faults = lock(&state.faults);
            let position = faults.queue.iter().position(|(target, _)| target.matches(&exchange));
            let queued = position.map(|position| faults.queue.remove(position).1);
            let lasting = faults.lasting.iter().find(|(target, _)| target.matches(&exchange));
            queued.or_else(|| Some(lasting?.1.clone())).or_else(|| faults.outage.clone())
        };
        exchange.fault.clone_from(&fault);
        let has_fault = fault.is_some();
        let number = lock(&state.traffic).begin(exchange);
        let result = respond(&mut client, &mut server, &request, fault, number).await;
        lock(&state.traffic).end(number);
        result?;
        if has_fault || !state.is_metering {
            return client.get_mut().shutdown().await;
        }
    }
    Ok(())
}

/// Responds to one request, with its fault if it has one.
async fn respond(
    client: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    server: &mut Upstream<'_>,
    request: &Message,
    fault: Option<Fault>,
    number: u64,
) -> io::Result<()> {
    let state = server.state;
    let arrived = Instant::now();
    let barrier = next_to_gather(&mut lock(&state.gathering));
    if let Some(barrier) = barrier {
        barrier.wait().await;
    }
    let response = match fault {
        None => server.forward(request).await?,
        Some(Fault::Status(status)) => Message::made_up(status, "application/json", REJECTION),
        Some(Fault::Refusal(status, body)) => Message::made_up(status, "application/json", body),
        Some(Fault::Response(status, media_type, body)) => Message::made_up(status, media_type, &body),
        Some(Fault::RateLimited { retry_after }) => {
            let mut response = Message::made_up(429, "application/json", REJECTION);
            let value = retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
            response.headers.extend(value);
            response
        }
        Some(Fault::Blocked) => {
            let mut response = Message::made_up(403, "text/html", PAGE);
            response.headers.push(("cf-ray".to_owned(), "7d0f".to_owned()));
            response
        }
        Some(Fault::Redirect(url)) => {
            let mut response = Message::made_up(307, "text/plain", "");
            response.headers.push(("location".to_owned(), url));
            response
        }
        Some(Fault::Html) => Message::made_up(200, "text/html", PAGE),
        Some(Fault::DropBeforeEffect) => return Ok(()),
        Some(Fault::DropBeforeAnswer) => return server.forward(request).await.map(drop),
        Some(Fault::LoseSuccess) => match server.forward(request).await? {
            response if response.first.contains(" 2") => return Ok(()),
            response => response,
        },
        Some(Fault::Truncated) => {
            let mut response = server.forward(request).await?;
            response.is_truncated = true;
            response
        }
        Some(Fault::NoId) => {
            server.forward(request).await?;
            Message::made_up(200, "application/json", r#"{"success": true, "data": {}}"#)
        }
        Some(Fault::Delay(time)) => {
            let response = server.forward(request).await?;
            tokio::time::sleep(time).await;
            response
        }
        Some(Fault::DelayEffect(time)) => {
            tokio::time::sleep(time).await;
            server.forward(request).await?
        }
        Some(Fault::Repeat) => {
            server.forward(request).await?;
            server.forward(request).await?
        }
    };
    let delay = state.delay_us.load(Ordering::Relaxed);
    if delay > 0 {
        // The runtime's own timer has a resolution of a millisecond.
        let asleep = tokio::task::spawn_blocking(move || thread::sleep(Duration::from_micros(delay)));
        asleep.await.map_err(io::Error::other)?;
    }
    if let Some(exchange) = lock(&state.traffic).get_mut(number) {
        exchange.took = Some(arrived.elapsed());
        exchange.units = operation(&exchange.headers).and_then(|_| consumed(&response.body));
    }
    client.get_mut().write_all(&response.bytes(!state.is_metering)).await?;
    client.get_mut().flush().await
}

fn next_to_gather(gathering: &mut Option<(Arc<Barrier>, usize)>) -> Option<Arc<Barrier>> {
    let (barrier, left) = gathering.take()?;
    if left > 1 {
        *gathering = Some((barrier.clone(), left - 1));
    }
    Some(barrier)
}

const REJECTION: &str = r#"{"success": false, "error": "A fault of the test", "code": "ERR_TEST"}"#;
const PAGE: &str = "<!DOCTYPE html><html><body><h1>Sorry</h1></body></html>";

/// The server, with the open connection if there is one.
struct Upstream<'a> {
    state: &'a State,
    connection: Option<BufReader<TcpStream>>,
}

impl Upstream<'_> {
    /// Sends the request to the server and returns the whole response.
    async fn forward(&mut self, request: &Message) -> io::Result<Message> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(self.state.upstream).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let closes = !self.state.is_metering;
        let bytes = if closes { request.bytes(true) } else { metered(request).bytes(false) };
        connection.get_mut().write_all(&bytes).await?;
        let response = Message::read(&mut connection).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if !response.closes {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}
