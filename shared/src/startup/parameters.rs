//! Secrets in the AWS Systems Manager Parameter Store, read by name with few signed requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::{
    model::{Clock, Secret},
    startup::{
        aws::{self, Operation},
        config::Config,
    },
};

/// The largest number of parameters in one request (`GetParameters`, API reference).
const MAX_NAMES: usize = 10;

/// The problem of a response that lacks a requested parameter.
pub(crate) const NOT_CONTAINED: &str = "the response does not contain it";

/// Parameters that could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the parameters {names} could not be read from Parameter Store ({problem}): check their names, the region and the \
     permission ssm:GetParameters"
)]
pub struct ParameterError {
    /// The names of the parameters, separated by commas.
    pub names: String,
    /// The reason of the failure.
    pub problem: String,
}

/// The response to `GetParameters`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParametersResponse {
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

/// Returns the decrypted values of the parameters, by name.
///
/// # Errors
///
/// If a parameter does not exist or Parameter Store returns no usable response.
pub(crate) async fn read(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    names: &[&str],
) -> Result<BTreeMap<String, Secret>, ParameterError> {
    let mut secrets = BTreeMap::new();
    for names in names.chunks(MAX_NAMES) {
        let response = request(http, config, clock, names).await?;
        if !response.invalid_parameters.is_empty() {
            let problem = format!("{} does not exist", response.invalid_parameters.join(", "));
            return Err(ParameterError { names: names.join(", "), problem });
        }
        let values = response.parameters.into_iter();
        secrets.extend(values.map(|parameter| (parameter.name, Secret::new(parameter.value))));
    }
    Ok(secrets)
}

/// Returns the decrypted value of a parameter, or `None` if it does not exist.
///
/// # Errors
///
/// If Parameter Store returns no usable response.
pub(crate) async fn find(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    name: &str,
) -> Result<Option<Secret>, ParameterError> {
    let response = request(http, config, clock, &[name]).await?;
    let found = response.parameters.into_iter().find(|parameter| parameter.name == name);
    if found.is_none() && response.invalid_parameters.is_empty() {
        return Err(ParameterError { names: name.to_owned(), problem: NOT_CONTAINED.to_owned() });
    }
    Ok(found.map(|parameter| Secret::new(parameter.value)))
}

/// Requests at most [`MAX_NAMES`] parameters.
async fn request(
    http: &reqwest::Client,
    config: &Config,
    clock: &Clock,
    names: &[&str],
) -> Result<GetParametersResponse, ParameterError> {
    let operation = Operation {
        service: "ssm",
        target: "AmazonSSM.GetParameters",
        endpoint: config.ssm_endpoint.as_deref(),
    };
    let failed = |problem: String| ParameterError { names: names.join(", "), problem };
    let body = json!({"Names": names, "WithDecryption": true});
    let response = aws::call(http, config, clock, operation, &body).await;
    let response = response.map_err(|error| failed(error.to_string()))?;
    serde_json::from_value(response)
        .map_err(|_| failed("the response is not a list of parameters".to_owned()))
}
