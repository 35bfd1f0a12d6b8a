//! A token host on the loopback interface that rotates refresh tokens (RFC 6749, section 6). Each refresh token is valid
//! once, and the one before the newest once more, as the FAPI 2.0 Security Profile requires.
//!
//! Grants are renewed over HTTP, so the token host is the only part of the simulation with a socket and a thread of its
//! own. No simulated time passes while the driver waits for it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// The result of an exchange of a refresh token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenExchange {
    /// It succeeds.
    #[default]
    Succeeds,
    /// The token is renewed, and the response is lost.
    ResponseLost,
    /// The request does not reach the host.
    NotDelivered,
    /// The host answers that the refresh token is invalid.
    Rejected,
    /// The host is overloaded.
    Overloaded,
}

#[derive(Debug, Default)]
struct State {
    /// The number of renewals. The newest refresh token is `refresh-<renewals>`.
    renewals: u64,
    requests: u64,
    /// The results of the next exchanges, the last one first.
    next: Vec<TokenExchange>,
    accepts_previous: bool,
}

/// A running token host.
#[derive(Clone, Debug)]
pub struct TokenHost {
    /// The token URL. It is static because an adapter names its token host by a constant.
    pub url: &'static str,
    state: Arc<Mutex<State>>,
}

impl TokenHost {
    /// Starts a token host that runs as long as the program.
    ///
    /// # Panics
    ///
    /// Panics if no port on the loopback interface is free.
    pub fn start() -> TokenHost {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/token", listener.local_addr().expect("the address of the listener"));
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

    /// Starts over with the token `refresh-0`.
    pub fn reset(&self, accepts_previous: bool) {
        *lock(&self.state) = State { accepts_previous, ..State::default() };
    }

    /// Sets the results of the next exchanges.
    pub fn set_next(&self, exchanges: &[TokenExchange]) {
        lock(&self.state).next = exchanges.iter().rev().copied().collect();
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> u64 {
        lock(&self.state).requests
    }

    /// Returns `true` if this is the newest access token.
    pub fn is_valid(&self, access_token: &str) -> bool {
        access_token == format!("access-{}", lock(&self.state).renewals)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one request. Returns `None` if the connection is to be closed.
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
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).ok()
}

fn exchange(state: &mut State, token: &str) -> Option<(&'static str, String)> {
    state.requests += 1;
    let invalid_grant = || Some(("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned()));
    let next = state.next.pop().unwrap_or_default();
    match next {
        TokenExchange::NotDelivered => return None,
        TokenExchange::Overloaded => return Some(("503 Service Unavailable", "{}".to_owned())),
        TokenExchange::Rejected => return invalid_grant(),
        TokenExchange::Succeeds | TokenExchange::ResponseLost => {}
    }
    let is_newest = token == format!("refresh-{}", state.renewals);
    let is_previous = state.renewals > 0 && token == format!("refresh-{}", state.renewals - 1);
    if !(is_newest || is_previous && state.accepts_previous) {
        return invalid_grant();
    }
    state.renewals += u64::from(is_newest);
    let number = state.renewals;
    let body = format!(
        r#"{{"access_token":"access-{number}","refresh_token":"refresh-{number}","token_type":"Bearer","expires_in":3600}}"#
    );
    (next != TokenExchange::ResponseLost).then_some(("200 OK", body))
}
