//! The activity type that calls are logged as: each company names its own.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::{data, refused};
use crate::adapters::{Access, Error};

/// How long a company's activity type is believed.
const TYPE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// From so many companies on, what is no longer believed is forgotten.
const MANY_COMPANIES: usize = 1_000;

/// The key of each company's activity type, and until when it is believed, by base URL.
static CALL_TYPES: Mutex<BTreeMap<String, (String, i64)>> = Mutex::new(BTreeMap::new());

/// The key of the type that calls are logged as, from Pipedrive or from memory.
pub(super) async fn call_type(access: &Access<'_>) -> Result<String, Error> {
    if let Some(known) = known_call_type(access) {
        return Ok(known);
    }
    let answer = access.get("/v1/activityTypes", &[]).await?;
    let types = data(&answer).ok().and_then(Value::as_array).ok_or_else(|| Error::malformed().harmless())?;
    let is_call = |entry: &&Value| {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
        entry.get("active_flag") == Some(&Value::Bool(true)) && name.to_lowercase().contains("call")
    };
    let key =
        types.iter().find(is_call).and_then(|entry| entry.get("key_string")?.as_str()).ok_or_else(|| {
            refused("Call logging requires an active activity type whose name contains \"call\".")
        })?;
    keep_call_type(access, key);
    Ok(key.to_owned())
}

fn known_call_type(access: &Access<'_>) -> Option<String> {
    let types = CALL_TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let (key, until) = types.get(&access.base_url)?;
    (access.clock.now_ms() < *until).then(|| key.clone())
}

fn keep_call_type(access: &Access<'_>, key: &str) {
    let now = access.clock.now_ms();
    let mut types = CALL_TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    if types.len() >= MANY_COMPANIES {
        types.retain(|_, (_, until)| now < *until);
    }
    types.insert(access.base_url.clone(), (key.to_owned(), now + TYPE_KEPT.as_millis() as i64));
}

pub(super) fn forget_call_type(access: &Access<'_>) {
    CALL_TYPES.lock().unwrap_or_else(PoisonError::into_inner).remove(&access.base_url);
}
