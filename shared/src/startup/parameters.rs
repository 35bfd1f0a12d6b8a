//! Secrets in the AWS Systems Manager Parameter Store, asked for by name: one signed request for all of them.

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

/// How many parameters one request may ask for (`GetParameters`, API reference).
const AT_ONCE: usize = 10;

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
    let operation = Operation {
        service: "ssm",
        target: "AmazonSSM.GetParameters",
        endpoint: config.ssm_endpoint.as_deref(),
    };
    let mut found = BTreeMap::new();
    for names in names.chunks(AT_ONCE) {
        let failed = |problem: String| Unreadable { names: names.join(", "), problem };
        let body = json!({"Names": names, "WithDecryption": true});
        let answer = aws::call(http, config, clock, operation, &body).await;
        let answer = answer.map_err(|failure| failed(failure.to_string()))?;
        let answer: Answer = serde_json::from_value(answer)
            .map_err(|_| failed("the answer is not a list of parameters".to_owned()))?;
        if !answer.invalid_parameters.is_empty() {
            return Err(failed(format!("there is no {}", answer.invalid_parameters.join(", "))));
        }
        let values = answer.parameters.into_iter();
        found.extend(values.map(|parameter| (parameter.name, Secret::new(parameter.value))));
    }
    Ok(found)
}
