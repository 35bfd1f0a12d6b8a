//! The activity type of calls. Each Pipedrive account names its own types.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;

use super::wire::data;
use crate::adapters::{Access, CrmRequest, Error, json::lenient};

/// The time for which the activity type of an account is cached.
const CACHE_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of accounts from which on expired entries are removed.
const MANY_TENANTS: usize = 1_000;

/// The key of each account's activity type and the time at which it expires, in milliseconds since 1970, by base URL.
static CALL_TYPES: Mutex<BTreeMap<String, (String, i64)>> = Mutex::new(BTreeMap::new());

/// An activity type, as far as we read it.
#[derive(Debug, Deserialize)]
struct ActivityType {
    #[serde(default, deserialize_with = "lenient")]
    active_flag: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    key_string: Option<String>,
}

impl ActivityType {
    fn is_call(&self) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        self.active_flag == Some(true) && name.to_lowercase().contains("call")
    }
}

/// Returns the key of the activity type for calls: the first active type whose name contains "call".
///
/// The types come from the endpoint "Get all activity types" of API v1; v2 has none.
///
/// # Errors
///
/// Those of the request; [`ErrorKind::Rejected`](crate::adapters::ErrorKind::Rejected) if the account has no such
/// type.
pub(super) async fn call_type(access: &Access<'_>) -> Result<String, Error> {
    if let Some(cached) = cached_call_type(access) {
        return Ok(cached);
    }
    let request = CrmRequest::read("activityTypes", "/v1/activityTypes");
    let types: Vec<ActivityType> = data(&access.send(request).await?)?;
    let key = types.into_iter().find(ActivityType::is_call).and_then(|entry| entry.key_string).ok_or_else(
        || Error::rejected("Call logging requires an active activity type whose name contains \"call\"."),
    )?;
    cache_call_type(access, &key);
    Ok(key)
}

fn cached_call_type(access: &Access<'_>) -> Option<String> {
    let types = CALL_TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let (key, expires_ms) = types.get(&access.base_url)?;
    (access.clock.now_ms() < *expires_ms).then(|| key.clone())
}

fn cache_call_type(access: &Access<'_>, key: &str) {
    let now = access.clock.now_ms();
    let mut types = CALL_TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    if types.len() >= MANY_TENANTS {
        types.retain(|_, (_, expires_ms)| now < *expires_ms);
    }
    types.insert(access.base_url.clone(), (key.to_owned(), now + CACHE_TIME.as_millis() as i64));
}

/// Removes the cached type, so that the next attempt asks Pipedrive.
pub(super) fn forget_call_type(access: &Access<'_>) {
    CALL_TYPES.lock().unwrap_or_else(PoisonError::into_inner).remove(&access.base_url);
}
