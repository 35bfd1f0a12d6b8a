//! The property of calls with the call tag. It must be unique: then HubSpot refuses a second call with the same tag, and a call
//! can be read by it.
//!
//! HubSpot has no such property of its own, so each account needs a custom one. A property that exists and is not unique would
//! be accepted in silence, and would prevent nothing. So it is checked before the first call of an account, once an hour.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;

use super::wire::{CALL_PROPERTIES, Call, Found, Property, PropertyGroup};
use crate::{
    adapters::{Access, Authorization, CrmRequest, Effect, Error, ErrorKind},
    model::{CallLogId, CallTag},
};

/// The name of the property.
pub(super) const KEY: &str = "rc_call_key";
/// The time for which it is known that the property of an account is unique.
const CACHE_TIME: Duration = Duration::from_secs(3_600);
/// The number of accounts from which on expired entries are removed.
const MANY_ACCOUNTS: usize = 1_000;

/// The accounts whose property is unique, and the time at which this is checked again, in milliseconds since 1970.
static UNIQUE: Mutex<BTreeMap<String, i64>> = Mutex::new(BTreeMap::new());

/// The state of the property in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Missing,
    NotUnique,
    Unique,
    /// The credential may not read properties.
    Unknown,
}

/// Fails with [`ErrorKind::KeyRefused`] unless the property of the account is unique.
pub(super) async fn check(access: &Access<'_>) -> Result<(), Error> {
    let account = account(access);
    let now_ms = access.clock.now_ms();
    if let Some(account) = &account
        && lock().get(account).is_some_and(|until_ms| now_ms < *until_ms)
    {
        return Ok(());
    }
    if state(access).await? != State::Unique {
        let reason = "the property for the call tag is not set up";
        return Err(Error::new(ErrorKind::KeyRefused, Effect::None, reason));
    }
    if let Some(account) = account {
        let mut unique = lock();
        if unique.len() >= MANY_ACCOUNTS {
            unique.retain(|_, until_ms| now_ms < *until_ms);
        }
        unique.insert(account, now_ms + CACHE_TIME.as_millis() as i64);
    }
    Ok(())
}

/// Forgets that the property of the account is unique.
pub(super) fn forget(access: &Access<'_>) {
    if let Some(account) = account(access) {
        lock().remove(&account);
    }
}

/// Asks for the property ("Read a property").
pub(super) async fn state(access: &Access<'_>) -> Result<State, Error> {
    let request = CrmRequest::read("properties/calls/{name}", format!("/crm/v3/properties/calls/{KEY}"));
    match access.send(request).await {
        Ok(response) if response.json::<Property>()?.has_unique_value => Ok(State::Unique),
        Ok(_) => Ok(State::NotUnique),
        Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(State::Missing),
        Err(Error { kind: ErrorKind::Forbidden { .. }, .. }) => Ok(State::Unknown),
        Err(error) => Err(error),
    }
}

/// Creates the property ("Create a property"). A property cannot be made unique later.
pub(super) async fn create(access: &Access<'_>) -> Result<(), Error> {
    let property = json!({
        "name": KEY, "label": "RingCentral call key", "type": "string", "fieldType": "text",
        "groupName": group(access).await?, "hasUniqueValue": true,
        "description": "Identifies the call, so that it is logged once. Do not change it.",
    });
    let request = CrmRequest::create("properties/calls", "/crm/v3/properties/calls", property);
    access.send(request).await?.json::<Property>().map(drop)
}

/// Returns the name of a group of properties of calls: the usual one, or else the first.
async fn group(access: &Access<'_>) -> Result<String, Error> {
    const USUAL: &str = "call_information";
    let request = CrmRequest::read("properties/calls/groups", "/crm/v3/properties/calls/groups").page();
    let found: Found<PropertyGroup> = access.send(request).await?.json()?;
    let names: Vec<_> = found.results.into_iter().map(|group| group.name).collect();
    let usual = names.iter().find(|name| *name == USUAL).or(names.first());
    usual.cloned().ok_or_else(|| Error::rejected("The account has no group of properties for calls."))
}

/// Returns the call with this tag, if the property has it.
pub(super) async fn find(access: &Access<'_>, tag: &CallTag) -> Result<Option<CallLogId>, Error> {
    let request = CrmRequest::read("calls/{key}", format!("/crm/v3/objects/calls/{tag}"))
        .query("idProperty", KEY)
        .query("properties", CALL_PROPERTIES);
    match access.send(request).await {
        Ok(response) => Ok(CallLogId::new(response.json::<Call>()?.id.0.to_string())),
        Err(Error { kind: ErrorKind::NotFound, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the name of the account in the cache. `None`: the account is not that of the user, but that of the caller's own
/// credential.
fn account(access: &Access<'_>) -> Option<String> {
    match &access.authorization {
        Authorization::Header(_) => None,
        _ => Some(format!("{} {}", access.base_url, access.user.tenant())),
    }
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<String, i64>> {
    UNIQUE.lock().unwrap_or_else(PoisonError::into_inner)
}
