//! The one HTTP and TLS stack, for the CRMs and for DynamoDB alike.
//!
//! One stack means one TLS configuration, one connection pool and one place for timeouts; it also makes the
//! smallest binary and the quickest start. The ring provider is chosen over aws-lc because the latter spends tens of
//! milliseconds on the first handshake of a process.

use std::time::Duration;

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::startup::config;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an unused connection is kept. A frozen Lambda environment wakes with sockets whose other end has gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

pub use reqwest::Client;

/// The client that everything is sent with. It follows no redirect, because the credential would go along, and asks
/// no proxy.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut tls = ClientConfig::builder().with_root_certificates(authorities()).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("call-log/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Whom we believe who a server is: Mozilla's list as it was compiled in, because reading the system's takes every cold
/// start longer; or the operator's own.
fn authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    let Some(file) = config::authorities() else {
        authorities.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return authorities;
    };
    match CertificateDer::pem_file_iter(&file) {
        Ok(certificates) => drop(authorities.add_parsable_certificates(certificates.flatten())),
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "the certificate authorities cannot be read")
        }
    }
    authorities
}

/// The same client as the AWS SDK wants it.
pub fn for_sdk(client: reqwest::Client) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Connector(client.clone())))
}

#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = outgoing(request)?;
            let answer = client.execute(request).await.map_err(failed)?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let bytes = answer.bytes().await.map_err(failed)?;
            let mut response = http::Response::new(SdkBody::from(bytes));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// DynamoDB's requests are whole in memory, never streams.
fn outgoing(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    let bytes = body.bytes().map(bytes::Bytes::copy_from_slice).unwrap_or_default();
    reqwest::Request::try_from(http::Request::from_parts(head, bytes))
        .map_err(|error| ConnectorError::user(error.into()))
}

fn failed(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
