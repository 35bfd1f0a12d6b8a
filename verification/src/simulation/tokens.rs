//! A token host that rotates refresh tokens (RFC 6749, section 6). Each refresh token is valid once, and the one before the
//! newest once more, as the FAPI 2.0 Security Profile requires.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use call_log::adapters::Effect;
use http::{Response, StatusCode};

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

/// A token host. Its clones are the same host.
#[derive(Clone, Debug, Default)]
pub struct TokenHost(Arc<Mutex<State>>);

impl TokenHost {
    /// Starts over with the token `refresh-0`.
    pub fn reset(&self, accepts_previous: bool) {
        *self.state() = State { accepts_previous, ..State::default() };
    }

    /// Sets the results of the next exchanges.
    pub fn set_next(&self, exchanges: &[TokenExchange]) {
        self.state().next = exchanges.iter().rev().copied().collect();
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Returns `true` if this is the newest access token.
    pub fn is_valid(&self, access_token: &str) -> bool {
        access_token == format!("access-{}", self.state().renewals)
    }

    /// Carries out the exchange of a refresh token, given by a form.
    ///
    /// # Errors
    ///
    /// The possible effect of the request, if no response arrives.
    pub(super) fn exchange(&self, form: &[u8]) -> Result<Response<Bytes>, Effect> {
        self.meet_next(|| self.renew(form), invalid_grant)
    }

    /// Gives an exchange the next result. `carry_out` is the exchange itself, `reject` the host's refusal.
    pub(super) fn meet_next(
        &self,
        carry_out: impl FnOnce() -> Response<Bytes>,
        reject: impl FnOnce() -> Response<Bytes>,
    ) -> Result<Response<Bytes>, Effect> {
        let next = {
            let mut state = self.state();
            state.requests += 1;
            state.next.pop().unwrap_or_default()
        };
        match next {
            TokenExchange::Succeeds => Ok(carry_out()),
            TokenExchange::ResponseLost => {
                carry_out();
                Err(Effect::Unknown)
            }
            TokenExchange::NotDelivered => Err(Effect::Unknown),
            TokenExchange::Rejected => Ok(reject()),
            TokenExchange::Overloaded => Ok(response(StatusCode::SERVICE_UNAVAILABLE, "{}")),
        }
    }

    fn renew(&self, form: &[u8]) -> Response<Bytes> {
        let mut state = self.state();
        let is_sent = |number: u64| {
            let field = format!("refresh_token=refresh-{number}");
            form.split(|byte| *byte == b'&').any(|pair| pair == field.as_bytes())
        };
        let is_newest = is_sent(state.renewals);
        let is_previous = state.renewals > 0 && is_sent(state.renewals - 1);
        if !(is_newest || is_previous && state.accepts_previous) {
            return invalid_grant();
        }
        state.renewals += u64::from(is_newest);
        let number = state.renewals;
        let grant = format!(
            r#"{{"access_token":"access-{number}","refresh_token":"refresh-{number}","token_type":"Bearer","expires_in":3600}}"#
        );
        response(StatusCode::OK, grant)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn invalid_grant() -> Response<Bytes> {
    response(StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#)
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}
