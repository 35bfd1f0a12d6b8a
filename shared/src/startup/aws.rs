//! Signed requests to AWS services that use the JSON 1.1 protocol.
//!
//! The start of a process needs one request each to Parameter Store and KMS. Their SDK crates would be larger than all
//! the rest of a function.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use serde_json::Value;

use crate::{
    model::Clock,
    startup::config::{AwsCredentials, Config},
    store::is_error_code,
};

/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(4);

/// An operation of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    /// The name of the service in signatures and host names, such as `ssm`.
    pub(crate) service: &'static str,
    /// The value of `X-Amz-Target`, such as `AmazonSSM.GetParameters`.
    pub(crate) target: &'static str,
    /// The endpoint, if it is not the region's own.
    pub(crate) endpoint: Option<&'a str>,
}

/// A request that returned no result. The text contains nothing of the request or the response except an error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AwsError {
    #[error("the request could not be built: {0}")]
    Request(&'static str),
    #[error("no response")]
    NoResponse,
    #[error("status {status}{}", if code.is_empty() { String::new() } else { format!(" {code}") })]
    Rejected { status: u16, code: String },
    #[error("the response is not JSON")]
    Malformed,
}

/// Sends a request once and returns the response's body.
///
/// # Errors
///
/// If the request cannot be built, or the response is missing, an error or not JSON.
pub(crate) async fn call(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    operation: Operation<'_>,
    body: &Value,
) -> Result<Value, AwsError> {
    let url = operation.endpoint.map_or_else(|| host(operation.service, &config.region), str::to_owned);
    let mut request = http::Request::post(format!("{}/", url.trim_end_matches('/')))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", operation.target)
        .body(body.to_string())
        .map_err(|_| AwsError::Request("the endpoint is not a URL"))?;
    sign_request(&mut request, operation.service, config, clock)
        .map_err(|_| AwsError::Request("signing failed"))?;
    let mut request =
        reqwest::Request::try_from(request).map_err(|_| AwsError::Request("the endpoint is not a URL"))?;
    *request.timeout_mut() = Some(TIMEOUT);

    let response = http.execute(request).await.map_err(|_| AwsError::NoResponse)?;
    let status = response.status();
    let body = response.bytes().await.map_err(|_| AwsError::NoResponse)?;
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    if status.is_success() {
        return body.ok_or(AwsError::Malformed);
    }
    Err(AwsError::Rejected {
        status: status.as_u16(),
        code: body.as_ref().map(error_code).unwrap_or_default(),
    })
}

fn host(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{suffix}")
}

/// Returns the error code of a response, such as `DisabledException` in `com.amazonaws.kms#DisabledException`.
fn error_code(body: &Value) -> String {
    let error_type = body.get("__type").and_then(Value::as_str).unwrap_or_default();
    let code = error_type.rsplit('#').next().unwrap_or_default();
    if is_error_code(code) { code.to_owned() } else { String::new() }
}

/// Signs a request with AWS Signature Version 4.
fn sign_request(
    request: &mut http::Request<String>,
    service: &str,
    config: &Config,
    clock: &Clock,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let AwsCredentials { access_key_id, secret_access_key, session_token } = &config.aws;
    let token = session_token.as_ref().map(|token| token.expose().to_owned());
    let identity =
        Credentials::new(access_key_id.as_str(), secret_access_key.expose(), token, None, "environment")
            .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(&config.region)
        .name(service)
        .time(clock.now().into())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        SignableBody::Bytes(request.body().as_bytes()),
    )?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_code_is_read_without_the_text_around_it() {
        for (body, code) in [
            (json!({"__type": "DisabledException"}), "DisabledException"),
            (json!({"__type": "com.amazonaws.kms#DisabledException", "message": "x"}), "DisabledException"),
            (json!({"__type": "DisabledException: it says more"}), ""),
            (json!({"__type": "a".repeat(65)}), ""),
            (json!({"__type": ""}), ""),
            (json!({"message": "x"}), ""),
            (json!(["x"]), ""),
        ] {
            assert_eq!(error_code(&body), code, "{body}");
        }
    }

    #[test]
    fn the_host_depends_on_the_region() {
        assert_eq!(host("kms", "eu-central-1"), "https://kms.eu-central-1.amazonaws.com");
        assert_eq!(host("ssm", "cn-north-1"), "https://ssm.cn-north-1.amazonaws.com.cn");
    }
}
