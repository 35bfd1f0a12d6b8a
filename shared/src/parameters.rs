//! Secrets in the AWS Systems Manager Parameter Store, asked for by name: one signed request for all of them.
//!
//! The API is called directly (`GetParameters`, JSON 1.1 protocol): its SDK crate would weigh more than all else that
//! the functions do.

use std::{collections::BTreeMap, time::Duration};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    config::{AwsCredentials, Config},
    model::{Clock, Secret},
};

const TIMEOUT: Duration = Duration::from_secs(4);

/// Parameters that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the parameters {names} could not be read from the parameter store ({problem})")]
pub struct Unreadable {
    pub names: String,
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameters: Vec<Parameter>,
    #[serde(default)]
    invalid_parameters: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: String,
}

/// Reads the parameters of these names, decrypted.
pub(crate) async fn read(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    names: &[&str],
) -> Result<BTreeMap<String, Secret>, Unreadable> {
    let failed = |problem: &str| Unreadable { names: names.join(", "), problem: problem.to_owned() };
    let url =
        config.ssm_endpoint.clone().unwrap_or_else(|| format!("https://ssm.{}.amazonaws.com", config.region));
    let body = json!({"Names": names, "WithDecryption": true}).to_string();
    let mut request = http::Request::post(format!("{}/", url.trim_end_matches('/')))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "AmazonSSM.GetParameters")
        .body(body)
        .map_err(|_| failed("the endpoint is not a URL"))?;
    sign_request(&mut request, config, clock).map_err(|_| failed("the request could not be signed"))?;
    let mut request = reqwest::Request::try_from(request).map_err(|_| failed("the endpoint is not a URL"))?;
    *request.timeout_mut() = Some(TIMEOUT);

    let answer = http.execute(request).await.map_err(|_| failed("no answer"))?;
    if !answer.status().is_success() {
        return Err(failed(&format!("status {}", answer.status().as_u16())));
    }
    let answer: Answer = answer.json().await.map_err(|_| failed("the answer is not a list of parameters"))?;
    if !answer.invalid_parameters.is_empty() {
        return Err(failed(&format!("there is no {}", answer.invalid_parameters.join(", "))));
    }
    Ok(answer
        .parameters
        .into_iter()
        .map(|parameter| (parameter.name, Secret::new(parameter.value)))
        .collect())
}

/// AWS Signature Version 4.
fn sign_request(
    request: &mut http::Request<String>,
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
        .name("ssm")
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
