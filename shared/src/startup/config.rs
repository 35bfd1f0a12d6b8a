//! The environment, read once. Nothing else in the crate reads it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use crate::{adapters, model::Secret};

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`
    pub table: String,
    /// `AWS_REGION`
    pub region: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another DynamoDB than the region's own.
    pub dynamodb_endpoint: Option<String>,
    pub aws: AwsCredentials,
    /// `JWT_SECRET`: signs and verifies the callers' tokens.
    pub jwt_secret: SecretSource,
    /// `JWT_SECRET_PREVIOUS`: still verifies, while a secret is rotated.
    pub jwt_secret_previous: Option<SecretSource>,
    /// `CREDENTIALS_KEY`: what credentials are sealed with in the table, any long random text. Absent: a key derived
    /// from the token secrets.
    pub credentials_key: Option<SecretSource>,
    /// `CREDENTIALS_DATA_KEY`: a data key as KMS has encrypted it, in base64. It seals; of older ones, see below.
    pub data_key: Option<SecretSource>,
    /// `CREDENTIALS_DATA_KEY_PREVIOUS`, with commas between them: data keys that only open.
    pub other_data_keys: Vec<SecretSource>,
    /// `CREDENTIALS_KEY_FILE`: a file with 32 random bytes, for where there is no KMS.
    pub key_file: Option<PathBuf>,
    /// `CREDENTIALS_KEY_FILE_PREVIOUS`, with commas between them: files whose keys only open.
    pub other_key_files: Vec<PathBuf>,
    /// `CRM_BASE_URL_<PLATFORM>`, by platform; for local runs and tests.
    pub crm_base_urls: BTreeMap<String, String>,
    /// `<PLATFORM>_CLIENT_ID` and `<PLATFORM>_CLIENT_SECRET`, by platform: who we are when a grant is refreshed.
    pub oauth_clients: BTreeMap<String, OAuthClient>,
    /// `AWS_ENDPOINT_URL_SSM`: another parameter store than the region's own.
    pub ssm_endpoint: Option<String>,
    /// `AWS_ENDPOINT_URL_KMS`: another KMS than the region's own.
    pub kms_endpoint: Option<String>,
}

/// Credentials for AWS, as Lambda puts them into the environment.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// A secret, or the name under which the Systems Manager Parameter Store has it.
#[derive(Clone, Debug)]
pub enum SecretSource {
    Value(Secret),
    Parameter(String),
}

/// Our registration with a CRM.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    pub id: String,
    pub secret: SecretSource,
}

/// A variable that is missing or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    pub variable: String,
    pub problem: &'static str,
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the environment variable {} {}", self.variable, self.problem)
    }
}

impl Invalid {
    /// A variable that names nothing.
    pub(crate) fn missing(variable: &str) -> Invalid {
        invalid(variable, "is empty")
    }
}

impl Config {
    /// Reads the environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env() -> Result<Config, Invalid> {
        Config::read(|name| std::env::var(name).ok())
    }

    /// Reads any environment; an empty value counts as absent.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, Invalid> {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let need = |name: &str, problem| get(name).ok_or(Invalid { variable: name.to_owned(), problem });
        let secret = |name: &str| {
            get(name)
                .map(|value| SecretSource::Value(Secret::new(value)))
                .or_else(|| get(&format!("{name}_PARAMETER")).map(SecretSource::Parameter))
        };

        let dynamodb_endpoint = get("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| get("AWS_ENDPOINT_URL"));
        if dynamodb_endpoint.as_deref().is_some_and(|url| !is_http_url(url)) {
            return Err(invalid("AWS_ENDPOINT_URL_DYNAMODB", "is not an http or https URL"));
        }
        let endpoint = |name: &str| match get(name) {
            Some(url) if !is_http_url(&url) => Err(invalid(name, "is not an http or https URL")),
            url => Ok(url),
        };
        let list = |name: &str| -> Vec<String> {
            let parts = get(name).unwrap_or_default();
            parts.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        };
        // An endpoint of one's own takes any credentials and region; AWS itself takes only real ones.
        let local = dynamodb_endpoint.is_some();
        let default = |name: &str, value: &str, problem| {
            if local { Ok(get(name).unwrap_or_else(|| value.to_owned())) } else { need(name, problem) }
        };
        let aws = AwsCredentials {
            access_key_id: default("AWS_ACCESS_KEY_ID", "local", "is missing: who calls AWS")?,
            secret_access_key: Secret::new(default(
                "AWS_SECRET_ACCESS_KEY",
                "local",
                "is missing: who calls AWS",
            )?),
            session_token: get("AWS_SESSION_TOKEN").map(Secret::new),
        };
        let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
        let region = match region {
            Some(region) => region,
            None => default("AWS_REGION", "us-east-1", "is missing: the region of the table")?,
        };

        let mut crm_base_urls = BTreeMap::new();
        let mut oauth_clients = BTreeMap::new();
        for crm in adapters::REGISTRY {
            let platform = crm.platform();
            let prefix = platform.to_ascii_uppercase();
            let name = format!("CRM_BASE_URL_{prefix}");
            if let Some(url) = get(&name) {
                if !is_http_url(&url) {
                    return Err(invalid(&name, "is not an http or https URL"));
                }
                crm_base_urls.insert(platform.to_owned(), url.trim_end_matches('/').to_owned());
            }
            if let (Some(id), Some(secret)) =
                (get(&format!("{prefix}_CLIENT_ID")), secret(&format!("{prefix}_CLIENT_SECRET")))
            {
                oauth_clients.insert(platform.to_owned(), OAuthClient { id, secret });
            }
        }

        Ok(Config {
            table: need("TABLE_NAME", "is missing: the name of the DynamoDB table")?,
            region,
            dynamodb_endpoint,
            aws,
            jwt_secret: secret("JWT_SECRET")
                .ok_or_else(|| invalid("JWT_SECRET", "is missing: the secret of the callers' tokens"))?,
            jwt_secret_previous: secret("JWT_SECRET_PREVIOUS"),
            credentials_key: secret("CREDENTIALS_KEY"),
            data_key: secret("CREDENTIALS_DATA_KEY"),
            other_data_keys: {
                let named = list("CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER").into_iter();
                let given = list("CREDENTIALS_DATA_KEY_PREVIOUS").into_iter();
                let given = given.map(|blob| SecretSource::Value(Secret::new(blob)));
                given.chain(named.map(SecretSource::Parameter)).collect()
            },
            key_file: get("CREDENTIALS_KEY_FILE").map(PathBuf::from),
            other_key_files: list("CREDENTIALS_KEY_FILE_PREVIOUS").into_iter().map(PathBuf::from).collect(),
            crm_base_urls,
            oauth_clients,
            ssm_endpoint: endpoint("AWS_ENDPOINT_URL_SSM")?,
            kms_endpoint: endpoint("AWS_ENDPOINT_URL_KMS")?,
        })
    }
}

/// `SSL_CERT_FILE`: the certificate authorities that are trusted, in place of those that are compiled in.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn authorities() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// `METRICS_STACK`: the stack that metrics are counted for; without it no line has metrics.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn metrics_stack() -> Option<String> {
    std::env::var("METRICS_STACK").ok().filter(|name| !name.trim().is_empty())
}

/// `AWS_LAMBDA_LOG_LEVEL`, which Lambda sets from a function's logging configuration: whether details are asked for.
/// Less than usual is not said: a line that is left out is a metric that is not counted.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn wants_details() -> bool {
    std::env::var("AWS_LAMBDA_LOG_LEVEL").is_ok_and(|level| matches!(&*level, "DEBUG" | "TRACE"))
}

fn invalid(variable: &str, problem: &'static str) -> Invalid {
    Invalid { variable: variable.to_owned(), problem }
}

fn is_http_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &[(&str, &str)] = &[
        ("TABLE_NAME", "calls"),
        ("JWT_SECRET", "s"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:8000"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, Invalid> {
        let values: BTreeMap<_, _> = LOCAL.iter().chain(changes).copied().collect();
        Config::read(|name| values.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (change, message) in [
            (
                ("TABLE_NAME", ""),
                "the environment variable TABLE_NAME is missing: the name of the DynamoDB table",
            ),
            (
                ("JWT_SECRET", " "),
                "the environment variable JWT_SECRET is missing: the secret of the callers' tokens",
            ),
            (
                ("AWS_ENDPOINT_URL_DYNAMODB", "8000"),
                "the environment variable AWS_ENDPOINT_URL_DYNAMODB is not an http or https URL",
            ),
            (
                ("AWS_ENDPOINT_URL_DYNAMODB", ""),
                "the environment variable AWS_ACCESS_KEY_ID is missing: who calls AWS",
            ),
            (
                ("CRM_BASE_URL_PIPEDRIVE", "file:///etc"),
                "the environment variable CRM_BASE_URL_PIPEDRIVE is not an http or https URL",
            ),
            (
                ("AWS_ENDPOINT_URL_SSM", "x"),
                "the environment variable AWS_ENDPOINT_URL_SSM is not an http or https URL",
            ),
            (
                ("AWS_ENDPOINT_URL_KMS", "x"),
                "the environment variable AWS_ENDPOINT_URL_KMS is not an http or https URL",
            ),
        ] {
            assert_eq!(
                read(&[change]).map(|_| ()).map_err(|error| error.to_string()),
                Err(message.to_owned())
            );
        }
    }

    #[test]
    fn a_secret_is_a_value_or_the_name_of_a_parameter() {
        assert!(matches!(read(&[]).unwrap().jwt_secret, SecretSource::Value(_)));
        let named = read(&[("JWT_SECRET", ""), ("JWT_SECRET_PARAMETER", "/call-log/jwt")]).unwrap();
        assert!(matches!(named.jwt_secret, SecretSource::Parameter(name) if name == "/call-log/jwt"));
    }

    #[test]
    fn older_data_keys_are_a_list() {
        let config = read(&[
            ("CREDENTIALS_DATA_KEY_PREVIOUS", "YQ=="),
            ("CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER", " /a, /b,"),
            ("CREDENTIALS_KEY_FILE_PREVIOUS", "/one, two"),
        ])
        .unwrap();
        assert_eq!(
            format!("{:?}", config.other_data_keys),
            r#"[Value([redacted]), Parameter("/a"), Parameter("/b")]"#
        );
        assert_eq!(config.other_key_files, [PathBuf::from("/one"), PathBuf::from("two")]);
        assert!(config.data_key.is_none() && config.key_file.is_none());
    }

    #[test]
    fn each_adapter_has_its_variables() {
        let config = read(&[
            ("CRM_BASE_URL_PIPEDRIVE", "http://127.0.0.1:7001/"),
            ("PIPEDRIVE_CLIENT_ID", "id"),
            ("PIPEDRIVE_CLIENT_SECRET", "s"),
        ])
        .unwrap();
        assert_eq!(config.crm_base_urls["pipedrive"], "http://127.0.0.1:7001");
        assert_eq!(config.oauth_clients["pipedrive"].id, "id");
        assert!(!format!("{config:?}").contains("\"s\""));
    }
}
