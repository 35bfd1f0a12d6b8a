//! Rows of App Connect's table `callLogs`.

use std::collections::HashMap;

use call_log::{
    adapters,
    api::wire,
    model::{CallKey, CallLogId, Extension, Platform, UserKey},
};
use serde_json::{Value, json};

use super::rows::{Bad, Row};
use crate::commands::unknown_platform;

/// Without these a row is no call log.
pub(super) const COLUMNS: [&str; 4] = ["userId", "platform", "sessionId", "thirdPartyLogId"];
/// The longest id of a log, in bytes.
const LONGEST_ID: usize = 256;

/// A call, and its log in the CRM.
#[derive(Debug)]
pub(super) struct CallLog {
    pub(super) key: CallKey,
    pub(super) log: CallLogId,
    /// The extension is known by its number only.
    is_by_number: bool,
}

pub(super) fn read(row: &Row) -> Result<CallLog, Bad> {
    let platform = row.text("platform").map(|name| name.trim().to_lowercase()).unwrap_or_default();
    if adapters::find(&platform).is_none() {
        return Err(row.bad(unknown_platform()));
    }
    // The same words identify a call in a request.
    let call = json!({
        "sessionId": row.get("sessionId"),
        "hashedExtensionId": row.get("hashedExtensionId"),
        "extensionNumber": row.get("extensionNumber"),
        "user": {"id": row.get("userId")},
    });
    let call = wire::read_update(call.to_string().as_bytes())
        .map_err(|invalid| row.bad(invalid.to_string().replace("`user.id`", "`userId`")))?;
    let user = call.user.ok_or_else(|| row.bad("`userId` is missing: whose log is it?"))?;
    let log = row
        .text("thirdPartyLogId")
        .map(|id| id.trim().to_owned())
        .filter(|id| id.len() <= LONGEST_ID)
        .and_then(CallLogId::new)
        .ok_or_else(|| row.bad(format!("`thirdPartyLogId` is missing, or longer than {LONGEST_ID} bytes")))?;
    let is_by_number = call.extension.is_some() && row.get("hashedExtensionId") == Value::Null;
    let platform = Platform::new(platform).ok_or_else(|| row.bad(unknown_platform()))?;
    let user = UserKey { platform, id: user };
    let key = CallKey { user, session: call.session, extension: call.extension };
    Ok(CallLog { key, log, is_by_number })
}

/// Today's senders know an extension by its hash. One that is known by its number only would not be found by them, so
/// where it is the session's only one its log becomes the one that belongs to no extension, which all of them find.
pub(super) fn settle_extensions(calls: &mut [(u64, CallLog)]) {
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
