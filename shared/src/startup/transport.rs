//! The HTTP client with its TLS configuration, for the CRMs and for AWS.
//!
//! One client means one TLS configuration, one connection pool and one place for timeouts, a small binary and a fast
//! start. It uses ring and not aws-lc, which spends tens of milliseconds on the first handshake of a process
//! (`docs/decisions/0008-rustls-with-ring.md`).

use std::{fmt, sync::Arc, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::startup::config;

/// The time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time that an idle connection is kept. When Lambda thaws a frozen environment, the peers have closed its
/// connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

pub use aws_smithy_runtime_api::client::http::SharedHttpClient;
pub use reqwest::Client;

/// Returns the HTTP client of the process. It uses no proxy, and it follows no redirects, because they could send
/// credentials to another host.
///
/// # Errors
///
/// If the TLS configuration is invalid.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    builder().build()
}

fn builder() -> reqwest::ClientBuilder {
    // The provider is global. An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut tls =
        ClientConfig::builder().with_root_certificates(certificate_authorities()).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("call-log/", env!("CARGO_PKG_VERSION")))
}

/// Returns the certificate authorities to trust: those of the configured file, or else Mozilla's, which are compiled
/// in, because reading the system's would slow down every cold start.
fn certificate_authorities() -> RootCertStore {
    let mut authorities = RootCertStore::empty();
    let Some(file) = config::certificate_authorities() else {
        authorities.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return authorities;
    };
    match CertificateDer::pem_file_iter(&file) {
        Ok(certificates) => drop(authorities.add_parsable_certificates(certificates.flatten())),
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "SSL_CERT_FILE cannot be read")
        }
    }
    authorities
}

/// Returns an HTTP client for the AWS SDK that sends its requests through a socket file.
///
/// # Errors
///
/// If the client cannot be built.
#[cfg(unix)]
pub fn through_socket(path: &std::path::Path) -> Result<SharedHttpClient, reqwest::Error> {
    Ok(for_sdk(builder().unix_socket(path.to_owned()).build()?))
}

/// Returns an HTTP client for the AWS SDK whose requests are answered by a function of this process.
pub fn in_process(
    answer: impl Fn(http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> + Send + Sync + 'static,
) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Function(Arc::new(answer)));
    http_client_fn(move |_, _| connector.clone())
}

/// Returns an HTTP client for the AWS SDK that sends its requests with `client`.
pub fn for_sdk(client: reqwest::Client) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Connector(client.clone())))
}

#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let received = client.execute(to_reqwest(request)?).await.map_err(failed)?;
            let (status, headers) = (received.status(), received.headers().clone());
            let bytes = received.bytes().await.map_err(failed)?;
            let mut response = http::Response::new(SdkBody::from(bytes));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

type Answer = dyn Fn(http::Request<bytes::Bytes>) -> http::Response<bytes::Bytes> + Send + Sync;

struct Function(Arc<Answer>);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl HttpConnector for Function {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let response = to_http(request).and_then(|request| {
            HttpResponse::try_from((self.0)(request).map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        });
        HttpConnectorFuture::ready(response)
    }
}

/// Converts a request of the SDK. DynamoDB's requests are completely in memory, never streams.
fn to_http(request: HttpRequest) -> Result<http::Request<bytes::Bytes>, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    Ok(request.map(|body| body.bytes().map(bytes::Bytes::copy_from_slice).unwrap_or_default()))
}

fn to_reqwest(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    reqwest::Request::try_from(to_http(request)?).map_err(|error| ConnectorError::user(error.into()))
}

fn failed(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
