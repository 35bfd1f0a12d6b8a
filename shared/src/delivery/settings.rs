//! A user's settings, as the extension reads and writes them.
//!
//! The extension sends back the whole map that it was shown, each quarter of an hour and from each browser. So a value counts as
//! changed only if it differs from the one that this login was last shown: otherwise two browsers would undo each other's
//! changes. Settings that notes and delivery read are in the user's item, all others in an item of their own.
//!
//! What a user is shown are the settings that count: an administrator of the tenant can lock a setting, or give it a default. The
//! extension sends these back too. They are never stored as the user's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    adapters::Crm,
    delivery::services::Services,
    model::{Settings, TenantSettings, User, UserKey, hash::stable_hash},
    note,
    store::{self, ExtensionSettings},
};

/// The largest number of settings of a user.
const MOST_SETTINGS: usize = 300;
/// The longest key and value of one setting, in bytes.
const LONGEST_SETTING: usize = 8 << 10;
/// The length of all keys and values, in bytes.
const LONGEST_MAP: usize = 64 << 10;
/// The number of logins whose view is remembered.
const MOST_LOGINS: usize = 10;
/// The number of attempts to store settings that other requests change at the same time.
const ATTEMPTS: usize = 8;

/// A change of settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingsChange {
    /// The values that the caller has now, the changed ones among them. `Null` removes a setting.
    pub values: BTreeMap<String, Value>,
    /// The keys of settings to remove.
    pub removed: Vec<String>,
}

/// Returns a user's settings, and remembers what this login was shown. `login`: the name of the login, if the caller has one.
///
/// # Errors
/// Fails if the table does.
pub async fn show(
    services: &Services,
    crm: &dyn Crm,
    user: &User,
    login: Option<&str>,
) -> Result<Settings, store::Error> {
    change(services, crm, user, login, &SettingsChange::default()).await
}

/// Changes a user's settings and returns all that count. A value that is locked, or that cannot be stored, because it or the map
/// would be too long, is ignored: the caller sees it in what is returned.
///
/// # Errors
/// Fails if the table does, and with [`store::Error::Unavailable`] if other requests keep changing the settings.
pub async fn change(
    services: &Services,
    crm: &dyn Crm,
    user: &User,
    login: Option<&str>,
    change: &SettingsChange,
) -> Result<Settings, store::Error> {
    let (key, mut own) = (user.key(), user.settings.0.clone());
    let tenant = user.tenant();
    for _ in 0..ATTEMPTS {
        let (before, tenant) = tokio::join!(
            services.sync_points.reach("settings.read", services.store.extension_settings(&key)),
            services.sync_points.reach("settings.tenant", services.store.administrator_settings(&tenant)),
        );
        let (before, tenant) = (before?, tenant?);
        let counting = |own: &BTreeMap<_, _>, extension: &ExtensionSettings| {
            tenant.over(&Settings(merged(crm, own, extension))).0
        };
        let seen = login.and_then(|login| before.seen.iter().find(|(known, _)| known == login));
        let chosen = merged(crm, &own, &before);
        let mut changes = changes(&counting(&own, &before), seen.map(|(_, seen)| seen), change);
        changes.retain(|name, value| is_choice(&tenant, &chosen, name, value));
        let (hot, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            changes.into_iter().partition(|(name, _)| is_hot(crm, name));
        if !hot.is_empty() {
            let stored = services.store.change_settings(&key, &hot);
            services.sync_points.reach("settings.user", stored).await?;
            apply(&mut own, hot);
        }
        let mut after = before.clone();
        after.settings.extend(others);
        let shown = counting(&own, &after);
        if let Some(login) = login {
            after.remember_shown(login, &shown);
        }
        if after == before {
            return Ok(Settings(shown));
        }
        let stored = services.store.put_extension_settings(&key, &after);
        if services.sync_points.reach("settings.store", stored).await? {
            return Ok(Settings(shown));
        }
        own = current(services, &key).await?.unwrap_or(own);
    }
    Err(store::Error::Unavailable("other requests keep changing the settings".to_owned()))
}

/// Returns `true` if a user can change a setting in this way: it is not locked, the value is not one that a browser was shown
/// while it was locked, and there is something to remove.
fn is_choice(tenant: &TenantSettings, chosen: &BTreeMap<String, Value>, name: &str, value: &Value) -> bool {
    let is_lock = value["customizable"] == Value::Bool(false);
    !tenant.is_locked(name) && !is_lock && (!value.is_null() || chosen.contains_key(name))
}

/// Returns the settings in the user's item as they are now.
async fn current(
    services: &Services,
    key: &UserKey,
) -> Result<Option<BTreeMap<String, Value>>, store::Error> {
    let user = services.sync_points.reach("settings.reread", services.store.user(key)).await?;
    Ok(user.map(|stored| stored.user.settings.0))
}

/// Returns `true` if notes or delivery read a setting, or the adapter.
pub(super) fn is_hot(crm: &dyn Crm, name: &str) -> bool {
    note::is_setting(name) || crm.presentation().settings.iter().any(|field| field.key == name)
}

/// Returns the map of both items. Outside of the user's item, what the extension has stored later counts.
fn merged(
    crm: &dyn Crm,
    own: &BTreeMap<String, Value>,
    extension: &ExtensionSettings,
) -> BTreeMap<String, Value> {
    let mut map = own.clone();
    let others = extension.settings.iter().filter(|(name, _)| !is_hot(crm, name));
    apply(&mut map, others.map(|(name, value)| (name.clone(), value.clone())));
    map
}

fn apply(map: &mut BTreeMap<String, Value>, changes: impl IntoIterator<Item = (String, Value)>) {
    for (name, value) in changes {
        match value {
            Value::Null => map.remove(&name),
            value => map.insert(name, value),
        };
    }
}

/// Returns the values that differ from those that are stored and from those that the caller was shown, as far as the map has
/// room for them.
fn changes(
    stored: &BTreeMap<String, Value>,
    seen: Option<&BTreeMap<String, u64>>,
    change: &SettingsChange,
) -> BTreeMap<String, Value> {
    let length = |name: &str, value: &Value| name.len() + value.to_string().len();
    let is_unchanged = |name: &str, value: &Value| {
        stored.get(name) == Some(value)
            || seen.is_some_and(|seen| seen.get(name) == Some(&hash(value)))
            || (value.is_null() && !stored.contains_key(name))
    };
    let removed: BTreeSet<_> = change.removed.iter().filter(|name| stored.contains_key(*name)).collect();
    let mut changes: BTreeMap<_, _> = removed.into_iter().map(|name| (name.clone(), Value::Null)).collect();
    let mut count = stored.len();
    let mut total: usize = stored.iter().map(|(name, value)| length(name, value)).sum();
    for (name, value) in &change.values {
        if is_unchanged(name, value) || changes.contains_key(name) || length(name, value) > LONGEST_SETTING {
            continue;
        }
        let replaced = stored.get(name).map_or(0, |before| length(name, before));
        let (count_after, total_after) =
            (count + usize::from(!stored.contains_key(name)), total - replaced + length(name, value));
        if count_after <= MOST_SETTINGS && total_after <= LONGEST_MAP {
            (count, total) = (count_after, total_after);
            changes.insert(name.clone(), value.clone());
        }
    }
    changes
}

fn hash(value: &Value) -> u64 {
    stable_hash([value.to_string().as_bytes()])
}

impl ExtensionSettings {
    /// Remembers what a login was shown.
    fn remember_shown(&mut self, login: &str, shown: &BTreeMap<String, Value>) {
        let hashes: BTreeMap<_, _> = shown.iter().map(|(name, value)| (name.clone(), hash(value))).collect();
        if self.seen.iter().any(|(known, seen)| known == login && *seen == hashes) {
            return;
        }
        self.seen.retain(|(known, _)| known != login);
        self.seen.push((login.to_owned(), hashes));
        let surplus = self.seen.len().saturating_sub(MOST_LOGINS);
        self.seen.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(json: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_values_that_the_caller_has_changed_are_changes() {
        let seen: BTreeMap<_, _> =
            map(json!({"a": 1, "b": 1})).iter().map(|(k, v)| (k.clone(), hash(v))).collect();
        for (stored, posted, removed, expected) in [
            (json!({"a": 1}), json!({"a": 1}), vec![], json!({})),
            (json!({"a": 1}), json!({"a": 2}), vec![], json!({"a": 2})),
            // Another browser has changed it, and this one sends what it was shown.
            (json!({"a": 2}), json!({"a": 1}), vec![], json!({})),
            (json!({"a": 2}), json!({"a": 3}), vec![], json!({"a": 3})),
            // Another browser has removed it.
            (json!({}), json!({"a": 1}), vec![], json!({})),
            (json!({}), json!({"c": 1}), vec![], json!({"c": 1})),
            (json!({"a": 1}), json!({"a": null}), vec![], json!({"a": null})),
            (json!({}), json!({"c": null}), vec![], json!({})),
            (json!({"a": 1, "b": 1}), json!({"a": 5, "b": 5}), vec!["a", "z"], json!({"a": null, "b": 5})),
        ] {
            let removed = removed.into_iter().map(str::to_owned).collect();
            let change = SettingsChange { values: map(posted.clone()), removed };
            assert_eq!(changes(&map(stored), Some(&seen), &change), map(expected), "{posted}");
        }
    }

    #[test]
    fn a_map_has_limits() {
        let many: BTreeMap<_, _> = (0..400).map(|at| (format!("k{at:03}"), json!(true))).collect();
        let change = |values| SettingsChange { values, removed: Vec::new() };
        assert_eq!(changes(&BTreeMap::new(), None, &change(many)).len(), MOST_SETTINGS);
        let long = |length| map(json!({"a": "x".repeat(length), "b": 1}));
        assert_eq!(changes(&BTreeMap::new(), None, &change(long(LONGEST_SETTING))).len(), 1);
        let large: BTreeMap<_, _> =
            (0..20).map(|at| (format!("{at:02}"), json!("x".repeat(8_000)))).collect();
        assert_eq!(changes(&BTreeMap::new(), None, &change(large)).len(), 8);
    }

    #[test]
    fn the_views_of_the_last_logins_are_remembered() {
        let mut settings = ExtensionSettings::default();
        for login in 0..12 {
            settings.remember_shown(&login.to_string(), &map(json!({"a": login})));
        }
        settings.remember_shown("5", &map(json!({"a": 6})));
        let logins: Vec<_> = settings.seen.iter().map(|(login, _)| login.as_str()).collect();
        assert_eq!(logins, ["2", "3", "4", "6", "7", "8", "9", "10", "11", "5"]);
    }
}
