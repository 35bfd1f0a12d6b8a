//! Access to secrets that are not needed in every request.

use std::fmt;

use async_trait::async_trait;

use super::Secret;

/// Our registration with a CRM's authorization server (RFC 6749, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthClient {
    /// The public client identifier.
    pub id: String,
    /// The client secret.
    pub secret: Secret,
}

/// The reason why there is no usable registration with a CRM. The text says where one is expected, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthClientError {
    /// This process is configured without registrations.
    #[error("{0}")]
    NotConfigured(String),
    /// This CRM has none.
    #[error("{0}")]
    Missing(String),
    /// It cannot be read now, or has another form.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads secrets when they are needed. `startup` implements it, so that the use cases do not know where secrets are
/// kept.
#[async_trait]
pub trait SecretReader: fmt::Debug + Send + Sync {
    /// Returns our registration with this CRM. May read it from another service first.
    ///
    /// # Errors
    ///
    /// If there is no registration, or if it cannot be read.
    async fn oauth_client(&self, platform: &str) -> Result<OAuthClient, OAuthClientError>;
}
