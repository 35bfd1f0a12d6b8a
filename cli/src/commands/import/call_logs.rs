//! Rows of App Connect's table `callLogs`.

use std::collections::HashMap;

use call_log::{
    adapters,
    api::wire,
    model::{CallKey, CallLogId, Extension, Platform, UserKey},
};
use serde_json::{Value, json};

use super::rows::{Row, RowProblem};
use crate::commands::unknown_platform;

/// The columns that every row needs.
pub(super) const COLUMNS: [&str; 4] = ["userId", "platform", "sessionId", "thirdPartyLogId"];
/// The longest id of a CRM record, in bytes.
const LONGEST_ID: usize = 256;

/// A call, and its record in the CRM.
#[derive(Debug)]
pub(super) struct ImportedCall {
    pub(super) key: CallKey,
    pub(super) log: CallLogId,
    /// The row has the extension's number but not its hash.
    is_by_number: bool,
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
    let call = wire::read_update(call.to_string().as_bytes())
        .map_err(|invalid| RowProblem::Field(invalid.to_string().replace("`user.id`", "`userId`")))?;
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
    let is_by_number = call.extension.is_some() && row.get("hashedExtensionId") == Value::Null;
    let platform = Platform::new(platform).ok_or_else(|| RowProblem::Field(unknown_platform()))?;
    let user = UserKey { platform, id: user };
    let key = CallKey { user, session: call.session, extension: call.extension };
    Ok(ImportedCall { key, log, is_by_number })
}

/// Moves a log to the key without an extension if it is the only one of its session and its extension is known by number
/// only. Current senders identify an extension by its hash: they would not find the number, but they all find the log
/// without an extension.
pub(super) fn settle_extensions(calls: &mut [(u64, ImportedCall)]) {
    let mut extensions: HashMap<CallKey, Vec<Option<Extension>>> = HashMap::new();
    for (_, call) in calls.iter() {
        let known = extensions.entry(call.key.without_extension()).or_default();
        if !known.contains(&call.key.extension) {
            known.push(call.key.extension.clone());
        }
    }
    for (_, call) in calls {
        if call.is_by_number && extensions[&call.key.without_extension()].len() == 1 {
            call.key = call.key.without_extension();
        }
    }
}
