//! The errors of the start of a process.

use crate::{
    model::Explanation,
    startup::{config::ConfigError, data_keys::DataKeyError, parameters::ParameterError},
};

/// The reason why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An environment variable is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client cannot be built.
    #[error("the HTTP client could not be built ({0}): check the file that SSL_CERT_FILE names")]
    Http(#[from] reqwest::Error),
    /// Parameter Store does not return a secret.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The secret that signs tokens can be guessed.
    #[error(
        "JWT_SECRET is shorter than 32 bytes: set a longer one, and the present one as JWT_SECRET_PREVIOUS"
    )]
    WeakSecret,
    /// A key that encrypts values in the table cannot be used.
    #[error(transparent)]
    DataKey(#[from] DataKeyError),
}

impl StartError {
    /// Returns the cause of the error, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            StartError::Config(_) => (
                "An environment variable is missing or has an invalid value. The message names it.",
                "Set the variable to a valid value. `docs/reference.md` lists all variables.",
            ),
            StartError::Http(_) => (
                "The TLS set-up of the HTTP client is invalid, usually because of SSL_CERT_FILE.",
                "Set SSL_CERT_FILE to a PEM file of certificate authorities, or remove it.",
            ),
            StartError::Parameters(_) => (
                "A parameter does not exist in the region, the role may not read or decrypt it, or Parameter Store did \
                 not respond.",
                "Compare the name with the `..._PARAMETER` variables, and allow `ssm:GetParameters` and `kms:Decrypt`.",
            ),
            StartError::WeakSecret => (
                "HS256 requires a secret of at least 32 bytes (RFC 7518, section 3.2). A shorter one can be guessed from a \
                 single token, and then anyone can sign tokens.",
                "Create one, for example with `openssl rand -hex 32`. Tokens of the present secret stay valid while it is \
                 JWT_SECRET_PREVIOUS.",
            ),
            StartError::DataKey(_) => (
                "KMS does not decrypt the data key, or the key file is missing, invalid or readable by others. The \
                 message says which.",
                "Follow the message. `docs/security.md` describes how to create a key.",
            ),
        };
        Explanation { cause, action }
    }
}
