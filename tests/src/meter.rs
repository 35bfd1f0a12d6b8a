//! A meter in front of a server: it counts what passes, and makes the way as long as wanted.
//!
//! It speaks HTTP/1.1 with connections that stay open, as DynamoDB and CRMs do, with or without TLS, on a thread of
//! its own, so that other processes reach it too.

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

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Barrier,
};
use tokio_rustls::TlsAcceptor;

/// A running meter; it lives as long as the process.
#[derive(Debug)]
pub struct Meter {
    address: SocketAddr,
    is_tls: bool,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    connections: AtomicU64,
    delay_us: AtomicU64,
    passed: Mutex<Vec<Passed>>,
    gathering: Mutex<Option<(Arc<Barrier>, usize)>>,
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Passed {
    /// `POST`
    pub method: String,
    /// The path, or DynamoDB's operation.
    pub name: String,
    /// Head and body.
    pub request_bytes: usize,
    /// From the request's end to the answer's beginning, with the delay.
    pub took: Duration,
    /// What DynamoDB says that the operation consumed, in its units; of a refused write what it takes at most.
    pub units: Option<f64>,
}

impl Meter {
    /// A meter before `http://127.0.0.1:port`.
    pub fn before(url: &str) -> Meter {
        Meter::start(url, None)
    }

    /// The same, reached over TLS.
    pub fn before_with_tls(url: &str, acceptor: TlsAcceptor) -> Meter {
        Meter::start(url, Some(acceptor))
    }

    fn start(url: &str, acceptor: Option<TlsAcceptor>) -> Meter {
        let upstream = url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("the listener can be made non-blocking");
        let address = listener.local_addr().expect("the listener has an address");
        let state = Arc::new(State {
            upstream,
            connections: AtomicU64::new(0),
            delay_us: AtomicU64::new(0),
            passed: Mutex::default(),
            gathering: Mutex::default(),
        });
        let (shared, is_tls) = (state.clone(), acceptor.is_some());
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(accept(listener, acceptor, shared)).expect("accepting goes on");
        });
        Meter { address, is_tls, state }
    }

    /// By name, so that a certificate can be checked.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", if self.is_tls { "https" } else { "http" }, self.address.port())
    }

    /// From now on each answer comes so much later.
    pub fn delay(&self, time: Duration) {
        self.state.delay_us.store(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// The next so many requests are passed on only when all of them have come: they must be under way at once.
    pub fn gather(&self, requests: usize) {
        *lock(&self.state.gathering) = Some((Arc::new(Barrier::new(requests)), requests));
    }

    /// How many connections were opened.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// What has passed since the last time, in the order of the answers.
    pub fn take(&self) -> Vec<Passed> {
        std::mem::take(&mut lock(&self.state.passed))
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<State>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        client.set_nodelay(true)?;
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (state, acceptor) = (state.clone(), acceptor.clone());
        // A client that goes away is none of the meter's business.
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
    let mut server: Option<BufReader<TcpStream>> = None;
    while let Some(request) = Message::read(&mut client).await? {
        let came = Instant::now();
        let gathering = next_to_gather(&mut lock(&state.gathering));
        if let Some(barrier) = gathering {
            barrier.wait().await;
        }
        let mut upstream = match server.take() {
            Some(server) => server,
            None => {
                let stream = TcpStream::connect(state.upstream).await?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        upstream.get_mut().write_all(&request.bytes()).await?;
        let Some(answer) = Message::read(&mut upstream).await? else { return Ok(()) };
        if !answer.closes {
            server = Some(upstream);
        }
        let delay = state.delay_us.load(Ordering::Relaxed);
        if delay > 0 {
            // The runtime's own timer knows whole milliseconds only.
            let asleep = tokio::task::spawn_blocking(move || thread::sleep(Duration::from_micros(delay)));
            asleep.await.map_err(io::Error::other)?;
        }
        lock(&state.passed).push(Passed::new(&request, &answer, came.elapsed()));
        client.get_mut().write_all(&answer.bytes()).await?;
        client.get_mut().flush().await?;
    }
    Ok(())
}

fn next_to_gather(gathering: &mut Option<(Arc<Barrier>, usize)>) -> Option<Arc<Barrier>> {
    let (barrier, left) = gathering.take()?;
    if left > 1 {
        *gathering = Some((barrier.clone(), left - 1));
    }
    Some(barrier)
}

impl Passed {
    fn new(request: &Message, answer: &Message, took: Duration) -> Passed {
        let mut words = request.first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        let operation = request.header("x-amz-target").and_then(|target| target.split('.').nth(1));
        Passed {
            method,
            name: operation.map_or(path, str::to_owned),
            request_bytes: request.bytes().len(),
            took,
            units: operation.and_then(|_| consumed(&answer.body)),
        }
    }
}

/// A write that is refused by its condition takes units too, by the size of the item that is there (DynamoDB developer
/// guide, "Capacity unit consumption for write operations"), but its answer does not say so. Its JSON is longer than it.
fn consumed(body: &[u8]) -> Option<f64> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    if answer["__type"].as_str().is_some_and(|kind| kind.ends_with("ConditionalCheckFailedException")) {
        return Some((answer["Item"].to_string().len() as f64 / 1_024.0).ceil());
    }
    answer.pointer("/ConsumedCapacity/CapacityUnits")?.as_f64()
}

/// A request or an answer, whole.
#[derive(Debug)]
struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    closes: bool,
}

impl Message {
    /// `None`: the connection has ended.
    async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Option<Message>> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let mut message = Message {
            first: line.trim_end().to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            closes: false,
        };
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            match name.as_str() {
                "connection" => message.closes = value.eq_ignore_ascii_case("close"),
                "content-length" => message.body = vec![0; value.parse().map_err(io::Error::other)?],
                "transfer-encoding" => return Err(io::Error::other("chunks are not understood")),
                _ => message.headers.push((name, value)),
            }
        }
        stream.read_exact(&mut message.body).await?;
        Ok(Some(message))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// As it goes on. DynamoDB is asked what each operation consumes; the answer to the client has it too, and no
    /// client minds.
    fn bytes(&self) -> Vec<u8> {
        let mut body = self.body.clone();
        if self.header("x-amz-target").is_some() && body.len() > 2 {
            body.splice(1..1, *b"\"ReturnConsumedCapacity\":\"TOTAL\",");
        }
        let mut head = format!("{}\r\ncontent-length: {}\r\n", self.first, body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(body);
        bytes
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
