//! The requests and responses about the caller's connection.

use serde::Serialize;

use super::{InputError, ReturnMessage, query::Query};

/// Reads the query of `GET /userInfoHash`: RingCentral's ids of the extension and of the account, each with its name.
///
/// # Errors
///
/// If an id is missing, or is the word that a program writes for an id that it does not know.
pub fn read_hashed_ids(query: &str) -> Result<[(&'static str, String); 2], InputError> {
    let query = Query::of(query);
    let read = |name| {
        let id = query.get(name).map(str::trim).filter(|id| !["undefined", "null"].contains(id));
        let id = id
            .filter(|id| id.len() <= 100)
            .ok_or_else(|| InputError::new(format!("`{name}` is missing: expected the id at RingCentral")));
        Ok::<_, InputError>((name, id?.to_owned()))
    };
    Ok([read("extensionId")?, read("accountId")?])
}

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
