//! One execution environment of Lambda: a process that polls the Runtime API, and its measurements.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The time after which the benchmark gives up waiting for the process.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running environment. Its process ends when it is dropped.
pub(crate) struct Environment {
    process: Child,
    requests: Receiver<Request>,
    /// The open connection of a poll that waits for an event.
    poll: Option<TcpStream>,
    invocations: u64,
    log_bytes: Arc<AtomicU64>,
    /// The time from the start of the process to its first poll.
    pub(crate) init: Duration,
}

/// A request of the process to the Runtime API.
struct Request {
    at: Instant,
    path: String,
    body: Vec<u8>,
    stream: TcpStream,
}

impl Environment {
    /// Starts the command and waits for its first poll.
    pub(crate) fn start(command: &[String], variables: &BTreeMap<String, String>) -> Environment {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || accept(&listener, &sender));

        let started = Instant::now();
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log_bytes = Arc::new(AtomicU64::new(0));
        if let Some(log) = process.stdout.take() {
            let count = log_bytes.clone();
            thread::spawn(move || drain(log, &count));
        }
        let mut environment =
            Environment { process, requests, poll: None, invocations: 0, log_bytes, init: Duration::ZERO };
        let polled = environment.wait_for_poll();
        environment.init = polled - started;
        environment
    }

    /// Invokes the process with an event. Returns the time until the response, and the response.
    pub(crate) fn invoke(&mut self, event: &str) -> (Duration, Vec<u8>) {
        if self.poll.is_none() {
            self.wait_for_poll();
        }
        let mut poll = self.poll.take().expect("a poll waits");
        self.invocations += 1;
        let deadline =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(25);
        let message = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             lambda-runtime-aws-request-id: {}\r\nlambda-runtime-deadline-ms: {}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n\
             lambda-runtime-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0\r\n\r\n{event}",
            event.len(),
            self.invocations,
            deadline.as_millis(),
        );
        let started = Instant::now();
        poll.write_all(message.as_bytes()).expect("the process takes the event");
        let mut response = self.receive();
        assert!(
            response.path.ends_with("/response"),
            "{}: {}",
            response.path,
            String::from_utf8_lossy(&response.body)
        );
        let accepted = response.stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        accepted.expect("the process takes the receipt");
        (response.at - started, response.body)
    }

    /// Waits until the process polls for another event: then it has finished the last one.
    pub(crate) fn settle(&mut self) {
        if self.poll.is_none() {
            self.wait_for_poll();
        }
    }

    /// Returns the CPU time of all its threads, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks =
            fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("the process is running");
        let nanoseconds = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Returns its peak memory, in kilobytes.
    pub(crate) fn peak_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("the process is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes")
    }

    /// Returns the number of bytes that it wrote on standard output.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    fn wait_for_poll(&mut self) -> Instant {
        let request = self.receive();
        assert!(request.path.ends_with("/invocation/next"), "{}: {:?}", request.path, request.body);
        self.poll = Some(request.stream);
        request.at
    }

    fn receive(&mut self) -> Request {
        match self.requests.recv_timeout(PATIENCE) {
            Ok(request) => request,
            Err(_) => panic!("the process does not respond: {:?}", self.process.try_wait()),
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn accept(listener: &TcpListener, requests: &Sender<Request>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let requests = requests.clone();
        // An error means that the process has ended.
        thread::spawn(move || serve(&stream, &requests).unwrap_or_default());
    }
}

fn serve(stream: &TcpStream, requests: &Sender<Request>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut is_chunked) = (0, false);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            is_chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if is_chunked {
            body = read_chunks(&mut reader)?;
        }
        let request = Request { at: Instant::now(), path, body, stream: stream.try_clone()? };
        if requests.send(request).is_err() {
            return Ok(());
        }
    }
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

/// Reads a log as Lambda does, so that writing it is as expensive as it is there.
fn drain(mut log: impl Read, count: &AtomicU64) {
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = log.read(&mut buffer) {
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}
