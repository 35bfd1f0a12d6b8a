//! The network of the simulation: it takes each HTTP request of the application to this thread's CRM, or to its token host.

use async_trait::async_trait;
use bytes::Bytes;
use call_log::{
    adapters::{Effect, Transport, exchange::Method},
    model::{CallLogId, Deadline},
};
use http::{Response, StatusCode};
use tests::contrary_crm::memory::refusal;

use super::{
    Account, deliver,
    message::{Reply, Request, Write},
    with,
};

/// The network of this thread.
#[derive(Debug)]
pub struct Network;

#[async_trait]
impl Transport for Network {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Option<Deadline>,
    ) -> Result<Response<Bytes>, Effect> {
        if request.uri().path().ends_with("/token") {
            return with(|crm| crm.exchange_token(&request));
        }
        let Some((step, write, record)) = write_of(&request) else {
            return Ok(with(|crm| match crm.next_read_fails.take() {
                Some(error) => refusal(&error.kind),
                None => crm.carry_out_http(&request),
            }));
        };
        let deadline = deadline.expect("a request to the CRM is sent before a deadline");
        match deliver(step, Account::Own, deadline, Request::Http(write, record, request)).await {
            Ok(Reply::Http(response)) => Ok(response),
            Ok(Reply::Record(_)) => unreachable!("a request of HTTP has a response of HTTP"),
            Err(error) if error.effect == Effect::None => Ok(refusal(&error.kind)),
            Err(_) => lost_response(),
        }
    }
}

/// Returns what a client sees of a lost response: the connection ends, or a gateway responds in the CRM's place.
fn lost_response() -> Result<Response<Bytes>, Effect> {
    if fastrand::bool() {
        return Err(Effect::Unknown);
    }
    let mut response = Response::new(Bytes::from_static(b"<h1>Bad gateway</h1>"));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    Ok(response)
}

/// Returns the step that sends a request of the Contrary CRM's adapter, the purpose of the request, and the record that it
/// changes. `None`: the request reads, or logs in.
///
/// # Panics
///
/// Panics if the request is none of the adapter's.
fn write_of(request: &http::Request<Bytes>) -> Option<(&'static str, Write, Option<CallLogId>)> {
    let path: Vec<_> = request.uri().path().split('/').skip(1).collect();
    let (step, write) = match (request.method(), path.as_slice()) {
        (&Method::GET, _) => return None,
        (&Method::PUT, ["v3", "calls", _]) | (&Method::POST, ["v3", "calls"]) => {
            return Some(("crm.create_log", Write::Create, None));
        }
        (&Method::POST, ["v3", "calls", _]) => ("crm.update_log", Write::Change),
        (&Method::POST, ["v3", "calls", _, "time", ..]) => ("crm.finish_log", Write::Complete),
        (&Method::DELETE, ["v3", "calls", _]) => ("crm.remove_log", Write::Remove),
        other => panic!("the simulation has no step for {other:?}"),
    };
    Some((step, write, CallLogId::new(path[2])))
}
