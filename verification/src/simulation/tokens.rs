//! A token host on loopback that rotates refresh tokens (RFC 6749, section 6): each is good once, and the one before
//! once more, as FAPI 2.0 wants it.
//!
//! Grants are renewed over HTTP, so this is the one thing here that has a socket and a thread of its own. No time
//! passes while the driver waits for it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// What becomes of the next exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exchange {
    #[default]
    Fine,
    /// It is done, and the answer does not arrive.
    Unanswered,
    /// It does not arrive.
    Fails,
    /// The host answers that the token is worth nothing any more.
    Refused,
    /// The host is overloaded.
    Busy,
}

#[derive(Debug, Default)]
struct State {
    /// How many tokens were given out; the newest is `refresh-<count>`.
    count: u64,
    exchanges: u64,
    next: Vec<Exchange>,
    honours_previous: bool,
}

/// A running token host.
#[derive(Clone, Debug)]
pub struct TokenHost {
    /// For as long as the program runs: an adapter names its host by a constant.
    pub url: &'static str,
    state: Arc<Mutex<State>>,
}

impl TokenHost {
    /// Starts one; it lives as long as the program.
    pub fn start() -> TokenHost {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/token", listener.local_addr().expect("it has an address"));
        let host = TokenHost { url: url.leak(), state: Arc::default() };
        let state = host.state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = state.clone();
                thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        host
    }

    /// Forgets everything; the first token is `refresh-0`.
    pub fn reset(&self, honours_previous: bool) {
        *lock(&self.state) = State { honours_previous, ..State::default() };
    }

    /// The next exchanges go like this.
    pub fn next(&self, exchanges: &[Exchange]) {
        lock(&self.state).next = exchanges.iter().rev().copied().collect();
    }

    /// How often somebody asked.
    pub fn exchanges(&self) -> u64 {
        lock(&self.state).exchanges
    }

    /// Whether an access token is the newest.
    pub fn is_good(&self, access_token: &str) -> bool {
        access_token == format!("access-{}", lock(&self.state).count)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one request; nothing when the connection is to be closed.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let form = String::from_utf8(body).ok()?;
    let token = form.split('&').find_map(|pair| pair.strip_prefix("refresh_token="))?;
    let (status, body) = exchange(&mut lock(state), token)?;
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).ok()
}

fn exchange(state: &mut State, token: &str) -> Option<(&'static str, String)> {
    state.exchanges += 1;
    let next = state.next.pop().unwrap_or_default();
    match next {
        Exchange::Fails => return None,
        Exchange::Busy => return Some(("503 Service Unavailable", "{}".to_owned())),
        Exchange::Refused => return Some(("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned())),
        Exchange::Fine | Exchange::Unanswered => {}
    }
    let is_newest = token == format!("refresh-{}", state.count);
    let is_previous = state.count > 0 && token == format!("refresh-{}", state.count - 1);
    if !(is_newest || is_previous && state.honours_previous) {
        return Some(("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned()));
    }
    state.count += u64::from(is_newest);
    let count = state.count;
    let body = format!(
        r#"{{"access_token":"access-{count}","refresh_token":"refresh-{count}","token_type":"Bearer","expires_in":3600}}"#
    );
    (next != Exchange::Unanswered).then_some(("200 OK", body))
}
