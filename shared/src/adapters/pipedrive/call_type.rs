//! The activity type of calls. Each Pipedrive account names its own types.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;

use super::wire::data;
use crate::adapters::{
    Access, CrmRequest, Error,
    json::{Few, lenient},
};

/// The setting with the key of the type, as App Connect names it.
pub(super) const SETTING: &str = "pipedriveCallActivityType";
/// The key and the icon of the type of calls, which each account has at first.
const CALL: &str = "call";
/// The words of a name that mean calls.
const CALL_WORDS: [&str; 2] = ["call", "calls"];
/// The time for which the activity types of an account are cached.
const CACHE_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The time for which cached types are new: they are not the reason for a rejection.
const NEW_FOR: Duration = Duration::from_secs(60);
/// The number of accounts from which on expired entries are removed.
const MANY_TENANTS: usize = 1_000;

/// The activity types of each account and the time at which they expire, in milliseconds since 1970, by base URL.
static TYPES: Mutex<BTreeMap<String, (Vec<ActivityType>, i64)>> = Mutex::new(BTreeMap::new());

/// An activity type, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
struct ActivityType {
    #[serde(default, deserialize_with = "lenient")]
    active_flag: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    key_string: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    icon_key: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    order_nr: Option<i64>,
}

impl ActivityType {
    /// Returns how well the type fits: the setting names it, it has the key of calls, or their icon, or their name.
    fn fit(&self, setting: Option<&str>) -> Option<u8> {
        let is = |text: &Option<String>, wanted: &str| {
            text.as_deref().is_some_and(|text| text.trim().eq_ignore_ascii_case(wanted))
        };
        let name = self.name.as_deref().unwrap_or_default().to_lowercase();
        let mut words = name.split(|letter: char| !letter.is_alphanumeric());
        match () {
            () if setting.is_some_and(|setting| is(&self.key_string, setting.trim())) => Some(4),
            () if is(&self.key_string, CALL) => Some(3),
            () if is(&self.icon_key, CALL) => Some(2),
            () if words.any(|word| CALL_WORDS.contains(&word)) => Some(1),
            () => None,
        }
    }
}

/// Returns the key of the activity type for calls, among the active ones: the one that the user's setting
/// `pipedriveCallActivityType` names; else the one with the key, the icon or the name "call"; of several, the first in the
/// account's order. `None`: no type means calls, and Pipedrive chooses one.
///
/// The types come from the endpoint "Get all activity types" of API v1; v2 has none.
///
/// # Errors
///
/// Those of the request.
pub(super) async fn call_type(access: &Access<'_>) -> Result<Option<String>, Error> {
    let types = match cached(access) {
        Some(types) => types,
        None => {
            let request = CrmRequest::read("activityTypes", "/v1/activityTypes");
            let Few(types) = data(&access.send(request).await?)?;
            cache(access, &types);
            types
        }
    };
    Ok(choose(types, access.user.settings.text(SETTING)))
}

fn choose(types: Vec<ActivityType>, setting: Option<&str>) -> Option<String> {
    let active = types.into_iter().filter(|entry| entry.active_flag == Some(true));
    let fitting = active.filter_map(|entry| {
        let rank = (Reverse(entry.fit(setting)?), entry.order_nr.unwrap_or(i64::MAX));
        Some((rank, entry.key_string?))
    });
    fitting.min_by_key(|(rank, _)| *rank).map(|(_, key)| key)
}

fn cached(access: &Access<'_>) -> Option<Vec<ActivityType>> {
    let known = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let (types, expires_ms) = known.get(&access.base_url)?;
    (access.clock.now_ms() < *expires_ms).then(|| types.clone())
}

fn cache(access: &Access<'_>, types: &[ActivityType]) {
    let now_ms = access.clock.now_ms();
    let mut known = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= MANY_TENANTS {
        known.retain(|_, (_, expires_ms)| now_ms < *expires_ms);
    }
    known.insert(access.base_url.clone(), (types.to_vec(), now_ms + CACHE_TIME.as_millis() as i64));
}

/// Removes the cached types of the account, unless they are new, so that the next request asks Pipedrive. Returns `true` if it
/// did.
pub(super) fn forget_types(access: &Access<'_>) -> bool {
    let new_until_ms = access.clock.now_ms() + (CACHE_TIME - NEW_FOR).as_millis() as i64;
    let mut known = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_old = known.get(&access.base_url).is_some_and(|(_, expires_ms)| *expires_ms <= new_until_ms);
    is_old && known.remove(&access.base_url).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chooses among active types, each with name, key and icon, in their order.
    fn check(types: &[(&str, &str, &str)], setting: Option<&str>, expected: Option<&str>) {
        let entry = |(order, (name, key, icon)): (usize, &(&str, &str, &str))| ActivityType {
            active_flag: Some(true),
            name: Some((*name).to_owned()),
            key_string: Some((*key).to_owned()),
            icon_key: Some((*icon).to_owned()),
            order_nr: Some(order as i64),
        };
        let all: Vec<_> = types.iter().enumerate().map(entry).collect();
        // Pipedrive may return them in any order.
        let reversed = all.iter().rev().cloned().collect();
        for types in [all, reversed] {
            assert_eq!(choose(types.clone(), setting).as_deref(), expected, "{types:?} {setting:?}");
        }
    }

    #[test]
    fn the_type_is_the_companys_own() {
        let anruf = ("Anruf", "call", "call");
        let recall = ("Product recall", "product_recall", "task");
        let sales = ("Sales call", "sales_call", "meeting");
        check(&[recall, anruf], None, Some("call"));
        check(&[recall, ("Telefonat", "telefonat", "call")], None, Some("telefonat"));
        check(&[recall, sales], None, Some("sales_call"));
        check(&[("Calls", "calls_2", "task"), sales], None, Some("calls_2"));
        check(&[recall, ("Callback later", "callback_later", "task")], None, None);
        check(&[], None, None);
        // The setting comes first, if there still is such a type.
        check(&[anruf, sales], Some("sales_call"), Some("sales_call"));
        check(&[anruf, sales], Some(" SALES_CALL "), Some("sales_call"));
        check(&[anruf, sales], Some("gone"), Some("call"));
        check(&[recall], Some("product_recall"), Some("product_recall"));
    }

    #[test]
    fn a_type_that_is_not_active_or_has_no_key_is_not_chosen() {
        let call = ActivityType {
            active_flag: Some(true),
            name: Some("Call".to_owned()),
            key_string: Some(CALL.to_owned()),
            ..ActivityType::default()
        };
        assert_eq!(choose(vec![call.clone()], None).as_deref(), Some(CALL));
        for entry in [
            ActivityType { active_flag: Some(false), ..call.clone() },
            ActivityType { active_flag: None, ..call.clone() },
            ActivityType { key_string: None, ..call },
        ] {
            assert_eq!(choose(vec![entry.clone()], Some(CALL)), None, "{entry:?}");
        }
    }
}
