//! The configuration: environment variables, read once when the process starts. Nothing else in the crate reads the
//! environment.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    adapters,
    login::AllowedTenants,
    model::{OAuthClient, Secret},
};

/// The configuration of a process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the table (`TABLE_NAME`).
    pub table: String,
    /// The region of AWS (`AWS_REGION`).
    pub region: String,
    /// The endpoint of DynamoDB, if it is not the region's own (`AWS_ENDPOINT_URL_DYNAMODB`).
    pub dynamodb_endpoint: Option<String>,
    /// The credentials that sign requests to AWS.
    pub aws: AwsCredentials,
    /// The address of the API for people's browsers, if the platform does not know it, as behind CloudFront (`PUBLIC_URL`).
    pub public_url: Option<String>,
    /// The tenants whose people may connect by themselves (`ALLOWED_TENANTS`).
    pub allowed_tenants: AllowedTenants,
    /// The secrets by which callers are known. `None`: the process takes no requests.
    pub callers: Option<CallerSecrets>,
    /// The data key that encrypts values in the table, itself encrypted by KMS, in base64 (`CREDENTIALS_DATA_KEY`).
    pub data_key: Option<SecretSource>,
    /// Data keys that only decrypt, separated by commas (`CREDENTIALS_DATA_KEY_PREVIOUS`).
    pub previous_data_keys: Vec<SecretSource>,
    /// A file with 32 random bytes in base64, for machines without KMS (`CREDENTIALS_KEY_FILE`). Its key encrypts if
    /// there is no data key.
    pub key_file: Option<PathBuf>,
    /// Files whose keys only decrypt, separated by commas (`CREDENTIALS_KEY_FILE_PREVIOUS`).
    pub previous_key_files: Vec<PathBuf>,
    /// URLs that replace the hosts of CRMs, by platform, for local runs and tests (`CRM_BASE_URL_<PLATFORM>`).
    pub crm_base_urls: BTreeMap<String, String>,
    /// The URL that replaces RingCentral's host, for local runs and tests (`RINGCENTRAL_BASE_URL`).
    pub ringcentral_base_url: Option<String>,
    /// Our OAuth clients, by platform (`<PLATFORM>_CLIENT_ID`, `<PLATFORM>_CLIENT_SECRET`).
    pub oauth_clients: BTreeMap<String, OAuthClient>,
    /// The names of the parameters with our other OAuth clients, without the slash and the platform at their ends
    /// (`CRM_SECRETS_PREFIX`).
    pub crm_secrets_prefix: Option<String>,
    /// The endpoint of Parameter Store, if it is not the region's own (`AWS_ENDPOINT_URL_SSM`).
    pub ssm_endpoint: Option<String>,
    /// The endpoint of KMS, if it is not the region's own (`AWS_ENDPOINT_URL_KMS`).
    pub kms_endpoint: Option<String>,
}

/// The secrets by which callers are known.
#[derive(Clone, Debug)]
pub struct CallerSecrets {
    /// The secret that signs and verifies callers' tokens (`JWT_SECRET`).
    pub jwt_secret: SecretSource,
    /// The secret before it, which only verifies, while a secret is rotated (`JWT_SECRET_PREVIOUS`).
    pub jwt_secret_previous: Option<SecretSource>,
    /// The key of the hashes of RingCentral extension ids (`HASH_KEY`).
    pub hash_key: SecretSource,
}

/// The work of a process, which decides the secrets that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It answers callers.
    Requests,
    /// It delivers what is due, and knows no callers.
    Redrive,
}

/// AWS credentials, under the names that Lambda uses.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`, for temporary credentials.
    pub session_token: Option<Secret>,
}

/// The value of a secret, or the name of the parameter that holds it.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The secret itself.
    Value(Secret),
    /// The name of a parameter in the AWS Systems Manager Parameter Store.
    Parameter(String),
}

/// A missing or invalid environment variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A required variable is not set.
    #[error("{variable} is missing: {hint}")]
    Missing {
        /// The name of the variable.
        variable: String,
        /// Its value or its purpose.
        hint: &'static str,
    },
    /// A variable should be a URL and is not.
    #[error("{variable} is invalid: expected an http or https URL")]
    NotAUrl {
        /// The name of the variable.
        variable: String,
    },
    /// No key is configured that can encrypt values in the table.
    #[error(
        "the encryption key is missing: set CREDENTIALS_DATA_KEY to a data key from KMS, or CREDENTIALS_KEY_FILE to a \
         file that `call-log credentials new-key-file FILE` creates"
    )]
    NoEncryptionKey,
}

impl ConfigError {
    pub(crate) fn missing(variable: &str, hint: &'static str) -> ConfigError {
        ConfigError::Missing { variable: variable.to_owned(), hint }
    }
}

/// The hint for a missing key of hashes.
pub(crate) const HASH_KEY_HINT: &str = "set it to the key that hashes RingCentral extension ids: the HASH_KEY of your App \
                                        Connect server, or else a random text that all functions share";
/// The hint for a missing token secret.
pub(crate) const JWT_SECRET_HINT: &str = "set it to the secret that signs callers' tokens";

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    ///
    /// If a required variable is missing, or a variable is invalid.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env(purpose: Purpose) -> Result<Config, ConfigError> {
        Config::read_for(purpose, |name| std::env::var(name).ok())
    }

    /// Reads the environment that `lookup` returns, for a process that answers callers. An empty value counts as absent.
    ///
    /// # Errors
    ///
    /// If a required variable is missing, or a variable is invalid.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        Config::read_for(Purpose::Requests, lookup)
    }

    /// Reads the environment that `lookup` returns, for a process with this purpose. An empty value counts as absent.
    ///
    /// # Errors
    ///
    /// If a required variable is missing, or a variable is invalid.
    pub fn read_for(
        purpose: Purpose,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let require = |name: &str, hint| get(name).ok_or_else(|| ConfigError::missing(name, hint));
        let url = |name: &str| match get(name) {
            Some(url) if !is_http_url(&url) => Err(ConfigError::NotAUrl { variable: name.to_owned() }),
            url => Ok(url),
        };
        let secret = |name: &str| {
            get(name)
                .map(|value| SecretSource::Value(Secret::new(value)))
                .or_else(|| get(&format!("{name}_PARAMETER")).map(SecretSource::Parameter))
        };
        let list = |name: &str| -> Vec<String> {
            let parts = get(name).unwrap_or_default();
            parts.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        };

        let dynamodb_endpoint = match url("AWS_ENDPOINT_URL_DYNAMODB")? {
            None => url("AWS_ENDPOINT_URL")?,
            endpoint => endpoint,
        };
        // A local endpoint accepts any credentials and region; AWS itself needs real ones.
        let is_local = dynamodb_endpoint.is_some();
        let require_for_aws = |name: &str, default: &str, hint| {
            if is_local { Ok(get(name).unwrap_or_else(|| default.to_owned())) } else { require(name, hint) }
        };
        let aws_hint = "AWS credentials are required";
        let aws = AwsCredentials {
            access_key_id: require_for_aws("AWS_ACCESS_KEY_ID", "local", aws_hint)?,
            secret_access_key: Secret::new(require_for_aws("AWS_SECRET_ACCESS_KEY", "local", aws_hint)?),
            session_token: get("AWS_SESSION_TOKEN").map(Secret::new),
        };
        let region = match get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")) {
            Some(region) => region,
            None => require_for_aws("AWS_REGION", "us-east-1", "set it to the region of the table")?,
        };

        let mut crm_base_urls = BTreeMap::new();
        let mut oauth_clients = BTreeMap::new();
        for crm in adapters::REGISTRY {
            let platform = crm.platform();
            if let Some(url) = url(&base_url_variable(platform))? {
                crm_base_urls.insert(platform.to_owned(), url.trim_end_matches('/').to_owned());
            }
            if let [Some(id), Some(secret)] = client_variables(platform).map(|name| get(&name)) {
                let client = OAuthClient { id, secret: Secret::new(secret) };
                oauth_clients.insert(platform.to_owned(), client);
            }
        }

        let table = require("TABLE_NAME", "set it to the name of the DynamoDB table")?;
        let callers = match purpose {
            Purpose::Redrive => None,
            Purpose::Requests => Some(CallerSecrets {
                jwt_secret: secret("JWT_SECRET")
                    .ok_or_else(|| ConfigError::missing("JWT_SECRET", JWT_SECRET_HINT))?,
                jwt_secret_previous: secret("JWT_SECRET_PREVIOUS"),
                hash_key: secret("HASH_KEY")
                    .ok_or_else(|| ConfigError::missing("HASH_KEY", HASH_KEY_HINT))?,
            }),
        };
        let config = Config {
            table,
            region,
            dynamodb_endpoint,
            aws,
            public_url: url("PUBLIC_URL")?.map(|url| url.trim_end_matches('/').to_owned()),
            allowed_tenants: AllowedTenants::parse(&get("ALLOWED_TENANTS").unwrap_or_default()),
            callers,
            data_key: secret("CREDENTIALS_DATA_KEY"),
            previous_data_keys: {
                let values = list("CREDENTIALS_DATA_KEY_PREVIOUS").into_iter();
                let values = values.map(|value| SecretSource::Value(Secret::new(value)));
                let parameters = list("CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER").into_iter();
                values.chain(parameters.map(SecretSource::Parameter)).collect()
            },
            key_file: get("CREDENTIALS_KEY_FILE").map(PathBuf::from),
            previous_key_files: list("CREDENTIALS_KEY_FILE_PREVIOUS")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            crm_base_urls,
            ringcentral_base_url: url("RINGCENTRAL_BASE_URL")?
                .map(|url| url.trim_end_matches('/').to_owned()),
            oauth_clients,
            crm_secrets_prefix: get("CRM_SECRETS_PREFIX")
                .map(|prefix| prefix.trim_end_matches('/').to_owned()),
            ssm_endpoint: url("AWS_ENDPOINT_URL_SSM")?,
            kms_endpoint: url("AWS_ENDPOINT_URL_KMS")?,
        };
        if config.data_key.is_none() && config.key_file.is_none() {
            return Err(ConfigError::NoEncryptionKey);
        }
        Ok(config)
    }
}

/// Returns the variable with the URL that replaces a CRM's host.
fn base_url_variable(platform: &str) -> String {
    format!("CRM_BASE_URL_{}", platform.to_ascii_uppercase())
}

/// Returns the variables with the id and the secret of our OAuth client of a CRM.
pub(crate) fn client_variables(platform: &str) -> [String; 2] {
    let platform = platform.to_ascii_uppercase();
    [format!("{platform}_CLIENT_ID"), format!("{platform}_CLIENT_SECRET")]
}

/// Returns the file of the certificate authorities to trust instead of the compiled-in ones (`SSL_CERT_FILE`).
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn certificate_authorities() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the stack that metrics are counted for (`METRICS_STACK`). Without it, no line has metrics.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn metrics_stack() -> Option<String> {
    std::env::var("METRICS_STACK").ok().filter(|name| !name.trim().is_empty())
}

/// Returns `true` if debug lines are requested (`AWS_LAMBDA_LOG_LEVEL`, which Lambda sets from a function's logging
/// configuration). Levels above INFO are ignored: an omitted line is a metric that is not counted.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn is_debug() -> bool {
    std::env::var("AWS_LAMBDA_LOG_LEVEL").is_ok_and(|level| matches!(&*level, "DEBUG" | "TRACE"))
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
        ("HASH_KEY", "h4sh"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:8000"),
        ("CREDENTIALS_KEY_FILE", "/credentials.key"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let values: BTreeMap<_, _> = LOCAL.iter().chain(changes).copied().collect();
        Config::read(|name| values.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn an_error_names_the_missing_or_invalid_variable() {
        for (change, message) in [
            (("TABLE_NAME", ""), "TABLE_NAME is missing: set it to the name of the DynamoDB table"),
            (("JWT_SECRET", " "), "JWT_SECRET is missing: set it to the secret that signs callers' tokens"),
            (
                ("HASH_KEY", " "),
                "HASH_KEY is missing: set it to the key that hashes RingCentral extension ids: the HASH_KEY of your \
                 App Connect server, or else a random text that all functions share",
            ),
            (
                ("CREDENTIALS_KEY_FILE", ""),
                "the encryption key is missing: set CREDENTIALS_DATA_KEY to a data key from KMS, or \
                 CREDENTIALS_KEY_FILE to a file that `call-log credentials new-key-file FILE` creates",
            ),
            (
                ("AWS_ENDPOINT_URL_DYNAMODB", "8000"),
                "AWS_ENDPOINT_URL_DYNAMODB is invalid: expected an http or https URL",
            ),
            (("AWS_ENDPOINT_URL_DYNAMODB", ""), "AWS_ACCESS_KEY_ID is missing: AWS credentials are required"),
            (
                ("CRM_BASE_URL_EXAMPLE", "file:///etc"),
                "CRM_BASE_URL_EXAMPLE is invalid: expected an http or https URL",
            ),
            (("AWS_ENDPOINT_URL_SSM", "x"), "AWS_ENDPOINT_URL_SSM is invalid: expected an http or https URL"),
            (("AWS_ENDPOINT_URL_KMS", "x"), "AWS_ENDPOINT_URL_KMS is invalid: expected an http or https URL"),
        ] {
            assert_eq!(
                read(&[change]).map(|_| ()).map_err(|error| error.to_string()),
                Err(message.to_owned())
            );
        }
    }

    #[test]
    fn a_general_endpoint_that_is_not_a_url_is_named() {
        let changes = [("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ENDPOINT_URL", "x")];
        let expected = ConfigError::NotAUrl { variable: "AWS_ENDPOINT_URL".to_owned() };
        assert_eq!(read(&changes).map(|_| ()), Err(expected));
    }

    #[test]
    fn a_secret_is_a_value_or_the_name_of_a_parameter() {
        let callers = |changes| read(changes).unwrap().callers.unwrap();
        assert!(matches!(callers(&[]).jwt_secret, SecretSource::Value(_)));
        let named = callers(&[("JWT_SECRET", ""), ("JWT_SECRET_PARAMETER", "/call-log/jwt")]);
        assert!(matches!(named.jwt_secret, SecretSource::Parameter(name) if name == "/call-log/jwt"));
        let named = callers(&[("HASH_KEY", ""), ("HASH_KEY_PARAMETER", "/call-log/hash-key")]);
        assert!(matches!(named.hash_key, SecretSource::Parameter(name) if name == "/call-log/hash-key"));
        assert!(!format!("{:?}", read(&[])).contains("h4sh"));
    }

    #[test]
    fn the_redrive_reads_no_secret_of_callers() {
        let without = |name: &str| {
            assert!(!name.starts_with("JWT_SECRET") && !name.starts_with("HASH_KEY"), "{name}");
            LOCAL.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert!(Config::read_for(Purpose::Redrive, without).unwrap().callers.is_none());
    }

    #[test]
    fn previous_keys_are_lists_and_do_not_replace_the_current_key() {
        let previous = [
            ("CREDENTIALS_DATA_KEY_PREVIOUS", "YQ=="),
            ("CREDENTIALS_DATA_KEY_PREVIOUS_PARAMETER", " /a, /b,"),
            ("CREDENTIALS_KEY_FILE_PREVIOUS", "/one, two"),
        ];
        let config = read(&previous).unwrap();
        assert_eq!(
            format!("{:?}", config.previous_data_keys),
            r#"[Value([redacted]), Parameter("/a"), Parameter("/b")]"#
        );
        assert_eq!(config.previous_key_files, [PathBuf::from("/one"), PathBuf::from("two")]);
        assert!(config.data_key.is_none());

        let only_previous = [&previous[..], &[("CREDENTIALS_KEY_FILE", "")]].concat();
        assert_eq!(read(&only_previous).map(|_| ()), Err(ConfigError::NoEncryptionKey));
        let parameter = [("CREDENTIALS_KEY_FILE", ""), ("CREDENTIALS_DATA_KEY_PARAMETER", "/a")];
        assert!(read(&parameter).is_ok());
    }

    #[test]
    fn each_adapter_has_its_own_variables() {
        for crm in adapters::REGISTRY {
            let (platform, name) = (crm.platform(), crm.platform().to_uppercase());
            let [base_url, id, secret] = ["CRM_BASE_URL_{}", "{}_CLIENT_ID", "{}_CLIENT_SECRET"]
                .map(|variable| variable.replace("{}", &name));
            let own =
                [(base_url.as_str(), "http://127.0.0.1:7001/"), (id.as_str(), "id"), (secret.as_str(), "s")];
            let config = read(&own).unwrap();
            assert_eq!(
                config.crm_base_urls,
                [(platform.to_owned(), "http://127.0.0.1:7001".to_owned())].into()
            );
            let client = OAuthClient { id: "id".to_owned(), secret: Secret::new("s") };
            assert_eq!(config.oauth_clients, [(platform.to_owned(), client)].into());
            assert!(!format!("{config:?}").contains("\"s\""));
            assert!(read(&own[..2]).unwrap().oauth_clients.is_empty(), "{secret} is missing");
        }
    }

    #[test]
    fn the_prefix_of_parameters_has_no_slash_at_its_end() {
        for (given, expected) in [("/a/crm", Some("/a/crm")), ("/a/crm/", Some("/a/crm")), ("", None)] {
            let config = read(&[("CRM_SECRETS_PREFIX", given)]).unwrap();
            assert_eq!(config.crm_secrets_prefix.as_deref(), expected);
        }
    }
}
