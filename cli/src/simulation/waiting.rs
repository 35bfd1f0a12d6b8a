//! The calls that wait for the CRM, and when each is tried next.

use call_log::store::{self, Store};
use serde::Serialize;

use crate::state_words;

/// The number of calls that are described. The others are only counted.
const MAX_DESCRIBED: usize = 20;

/// All that waits.
#[derive(Debug, Serialize)]
pub(super) struct Waiting {
    count: usize,
    /// The calls that are tried first.
    calls: Vec<WaitingCall>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitingCall {
    session_id: String,
    /// The state in words: what is to be done.
    meaning: &'static str,
    /// Why the last attempt failed, for a developer.
    reason: Option<String>,
    /// The number of failed attempts since the last success.
    tries: i64,
    /// When it is tried next, in milliseconds since 1970.
    next: i64,
}

/// Finds what waits. A duplicate sweep is no waiting.
///
/// # Errors
/// Fails if the table does.
pub(super) async fn find(store: &Store, now_ms: i64) -> Result<Waiting, store::Error> {
    let (due, _) = store.unsettled(now_ms).await?;
    let mut waiting = Waiting { count: 0, calls: Vec::new() };
    for call in due.iter().filter(|call| call.waiting_since_ms.is_some()) {
        waiting.count += 1;
        if waiting.calls.len() == MAX_DESCRIBED {
            continue;
        }
        let Some(item) = store.call(&call.key).await? else { continue };
        waiting.calls.push(WaitingCall {
            session_id: call.key.call.session.to_string(),
            meaning: state_words::meaning(&item, now_ms),
            reason: item.reason.clone(),
            tries: item.tries,
            next: call.due_ms,
        });
    }
    Ok(waiting)
}
