//! The claims of a token (RFC 7519, section 4), as issuers write them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) id: IdClaim,
    pub(super) platform: String,
    #[serde(default, deserialize_with = "deserialize_present", skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<Number>,
    pub(super) exp: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
}

/// Reads a claim that is text if it is present. A claim that is null is invalid.
fn deserialize_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// The claim `id`, which some issuers write as a number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum IdClaim {
    Text(String),
    Number(i64),
}

impl IdClaim {
    pub(super) fn into_text(self) -> String {
        match self {
            IdClaim::Text(text) => text,
            IdClaim::Number(number) => number.to_string(),
        }
    }
}
