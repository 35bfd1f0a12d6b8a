//! The HTTP server of a port: a request has to begin in time, so that a peer that sends half of one holds nothing open.

use std::time::Duration;

use axum::{
    Json, Router,
    body::Body,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet, time};

/// The time limit for receiving the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The pause after the system has refused a connection, because it has too many.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until the future is dropped; they end with it.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (server, service) = (server.clone(), TowerToHyperService::new(router.clone()));
                connections.spawn(async move {
                    // A connection that breaks off concerns only its peer.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                time::sleep(PAUSE).await;
            }
        }
    }
}

/// Returns the response to a request that none of the functions gets.
pub(crate) fn reject(status: StatusCode, message: &str) -> Response<Body> {
    (status, Json(json!({"error": message}))).into_response()
}
