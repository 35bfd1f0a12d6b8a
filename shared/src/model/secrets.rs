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

/// Reads secrets when they are needed. `startup` implements it, so that the use cases do not know where secrets are
/// kept.
#[async_trait]
pub trait SecretReader: fmt::Debug + Send + Sync {
    /// Returns our registration with this CRM, or `None` if there is none.
    async fn oauth_client(&self, platform: &str) -> Option<OAuthClient>;
}
