//! Rows of App Connect's table `callLogs`.

use call_log::{
    adapters,
    api::wire::{self, InputError, Read},
    model::{CallLogId, NamedExtension, Platform, SessionId, UserKey},
};
use serde_json::json;

use super::rows::{Row, RowProblem};
use crate::commands::unknown_platform;

/// The columns that every row needs.
pub(super) const COLUMNS: [&str; 4] = ["userId", "platform", "sessionId", "thirdPartyLogId"];
/// The longest id of a CRM record, in bytes.
const LONGEST_ID: usize = 256;

/// A call, and its record in the CRM.
#[derive(Debug)]
pub(super) struct ImportedCall {
    /// The user who logged it.
    pub(super) user: UserKey,
    pub(super) session: SessionId,
    pub(super) extension: NamedExtension,
    pub(super) log: CallLogId,
}

impl ImportedCall {
    /// Returns what identifies the call log in the file.
    pub(super) fn key(&self) -> (UserKey, SessionId, NamedExtension) {
        (self.user.clone(), self.session.clone(), self.extension.clone())
    }
}

/// Reads a row.
pub(super) fn read(row: &Row) -> Result<ImportedCall, RowProblem> {
    let platform = row.text("platform").map(|name| name.trim().to_lowercase()).unwrap_or_default();
    if adapters::find(&platform).is_none() {
        return Err(RowProblem::Field(unknown_platform()));
    }
    // The API reads the same names, so that a call has the same key there.
    let call = json!({
        "sessionId": row.get("sessionId"),
        "hashedExtensionId": row.get("hashedExtensionId"),
        "extensionNumber": row.get("extensionNumber"),
        "user": {"id": row.get("userId")},
    });
    let problem =
        |invalid: InputError| RowProblem::Field(invalid.to_string().replace("`user.id`", "`userId`"));
    let Read { command: call, unread } = wire::read_update(call.to_string().as_bytes()).map_err(problem)?;
    // A request is accepted without a name that cannot be read. The history of a call must have all of them.
    if let Some(invalid) = unread.into_iter().next() {
        return Err(problem(invalid));
    }
    let missing = || RowProblem::Field("`userId` is missing: expected the id of the user".to_owned());
    let user = call.user.ok_or_else(missing)?;
    let log = row
        .text("thirdPartyLogId")
        .map(|id| id.trim().to_owned())
        .filter(|id| id.len() <= LONGEST_ID)
        .and_then(CallLogId::new)
        .ok_or_else(|| {
            RowProblem::Field(format!(
                "`thirdPartyLogId` is missing or too long: expected the id of the CRM record, at most {LONGEST_ID} bytes"
            ))
        })?;
    let platform = Platform::new(platform).ok_or_else(|| RowProblem::Field(unknown_platform()))?;
    let user = UserKey { platform, id: user };
    Ok(ImportedCall { user, session: call.session, extension: call.extension, log })
}
