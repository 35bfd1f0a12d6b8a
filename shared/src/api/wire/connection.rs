//! The responses to requests about the caller's connection.

use serde::Serialize;

use super::ReturnMessage;

/// The response to the question if the user is connected.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationBody {
    /// The user is connected.
    pub successful: bool,
    /// The message for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_message: Option<ReturnMessage>,
}

/// The response to the question for a licence: none is needed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LicenseBody {
    is_license_valid: bool,
    license_status: &'static str,
    license_status_description: &'static str,
}

impl Default for LicenseBody {
    fn default() -> LicenseBody {
        LicenseBody {
            is_license_valid: true,
            license_status: "Valid",
            license_status_description: "No licence is needed.",
        }
    }
}
