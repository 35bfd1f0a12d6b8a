//! One signed request to an AWS service that speaks its JSON 1.1 protocol.
//!
//! Parameter Store and KMS are asked a question each when a process starts: their SDK crates would weigh more than all
//! else that the functions do.

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

const TIMEOUT: Duration = Duration::from_secs(4);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    /// The service, as it is signed for and as its host begins: `ssm`.
    pub(crate) service: &'static str,
    /// `AmazonSSM.GetParameters`
    pub(crate) target: &'static str,
    /// Another service than the region's own.
    pub(crate) endpoint: Option<&'a str>,
}

/// Why there is no answer. It names nothing of the request or the answer but an error's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the request could not be made: {0}")]
    Request(&'static str),
    #[error("no answer")]
    NoAnswer,
    #[error("status {status}{}", if code.is_empty() { String::new() } else { format!(" {code}") })]
    Refused { status: u16, code: String },
    #[error("the answer is not JSON")]
    Malformed,
}

/// Asks once; nothing is repeated.
pub(crate) async fn call(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    operation: Operation<'_>,
    body: &Value,
) -> Result<Value, Failure> {
    let url = operation.endpoint.map_or_else(|| host(operation.service, &config.region), str::to_owned);
    let mut request = http::Request::post(format!("{}/", url.trim_end_matches('/')))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", operation.target)
        .body(body.to_string())
        .map_err(|_| Failure::Request("the endpoint is not a URL"))?;
    sign_request(&mut request, operation.service, config, clock)
        .map_err(|_| Failure::Request("it could not be signed"))?;
    let mut request =
        reqwest::Request::try_from(request).map_err(|_| Failure::Request("the endpoint is not a URL"))?;
    *request.timeout_mut() = Some(TIMEOUT);

    let answer = http.execute(request).await.map_err(|_| Failure::NoAnswer)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|_| Failure::NoAnswer)?;
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    if status.is_success() {
        return body.ok_or(Failure::Malformed);
    }
    Err(Failure::Refused { status: status.as_u16(), code: body.as_ref().map(error_code).unwrap_or_default() })
}

fn host(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{suffix}")
}

/// `DisabledException` of `com.amazonaws.kms#DisabledException`.
fn error_code(body: &Value) -> String {
    let kind = body.get("__type").and_then(Value::as_str).unwrap_or_default();
    let code = kind.rsplit('#').next().unwrap_or_default();
    if is_error_code(code) { code.to_owned() } else { String::new() }
}

/// AWS Signature Version 4.
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
    fn an_error_is_named_without_what_stands_around_it() {
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
    fn each_region_has_its_host() {
        assert_eq!(host("kms", "eu-central-1"), "https://kms.eu-central-1.amazonaws.com");
        assert_eq!(host("ssm", "cn-north-1"), "https://ssm.cn-north-1.amazonaws.com.cn");
    }
}
