//! The decisions of the administrators of a tenant for its people: settings, some of which are locked, and which extension at
//! RingCentral belongs to which user of the CRM.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Settings;

/// The settings of a tenant by their keys, as an administrator has entered them:
/// `{"addCallLogNote": {"value": false, "customizable": false}, ...}`.
///
/// An entry that is not customizable is *locked*: it replaces what a user has chosen. Any other entry is the default of users
/// who have chosen nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantSettings(pub BTreeMap<String, Value>);

impl TenantSettings {
    /// Returns `true` if users cannot choose the value of a setting.
    pub fn is_locked(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|entry| !is_customizable(entry))
    }

    /// Returns the settings that count for a user who has chosen these.
    pub fn over(&self, own: &Settings) -> Settings {
        if self.0.is_empty() {
            return own.clone();
        }
        let mut counting = own.0.clone();
        for (key, entry) in &self.0 {
            match counting.get_mut(key) {
                Some(chosen) if is_customizable(entry) => {
                    if let Value::Object(chosen) = chosen {
                        chosen.insert("customizable".to_owned(), json!(true));
                    }
                }
                _ if is_true(&entry["isRemoved"]) => drop(counting.remove(key)),
                _ => drop(counting.insert(key.clone(), entry.clone())),
            }
        }
        Settings(counting)
    }
}

fn is_customizable(entry: &Value) -> bool {
    is_true(&entry["customizable"]) && !is_true(&entry["isRemoved"])
}

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true)
}

/// The extensions at RingCentral of the users of a CRM, by the CRM's ids of the users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserMapping(pub BTreeMap<String, MappedUser>);

/// The extensions of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MappedUser {
    /// RingCentral's ids of the extensions. Empty: a person has decided that the user has none.
    #[serde(rename = "e")]
    pub extensions: Vec<String>,
    /// A person has decided it. Otherwise the names or the e-mail addresses are equal.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_chosen: bool,
}

/// A user of a CRM, as an administrator sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmUser {
    /// The id by which the CRM knows the user as the owner of records.
    pub id: String,
    /// The name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

/// An extension at RingCentral, as an administrator's browser describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingCentralUser {
    /// RingCentral's id of the extension.
    pub id: String,
    /// The name in full, or the first and the last name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The number of the extension.
    pub number: Option<String>,
}

impl UserMapping {
    /// Returns the CRM's id of the user to whom an extension belongs. `None`: none is known, or several.
    pub fn user_of(&self, extension: &str) -> Option<&str> {
        let mut users = self.0.iter().filter(|(_, user)| user.extensions.iter().any(|own| own == extension));
        let (id, _) = users.next()?;
        users.next().is_none().then_some(id)
    }

    /// Adds each user without an entry who has exactly one extension with the same e-mail address, or else with the same name.
    /// An address or a name that several users or several extensions have proves nothing, and an extension that belongs to a
    /// user is not given to another one.
    pub fn match_users(&mut self, users: &[CrmUser], extensions: &[RingCentralUser]) {
        for by_email in [true, false] {
            let trait_of_user = |user: &CrmUser| normal(if by_email { &user.email } else { &user.name });
            let trait_of = |extension: &RingCentralUser| {
                normal(if by_email { &extension.email } else { &extension.name })
            };
            for user in users {
                let Some(wanted) = trait_of_user(user).filter(|_| !self.0.contains_key(&user.id)) else {
                    continue;
                };
                let is_unique =
                    users.iter().filter(|other| trait_of_user(other).as_ref() == Some(&wanted)).count() == 1;
                let mut found =
                    extensions.iter().filter(|extension| trait_of(extension).as_ref() == Some(&wanted));
                if let (true, Some(extension), None) = (is_unique, found.next(), found.next())
                    && !self.0.values().any(|user| user.extensions.contains(&extension.id))
                {
                    let extensions = vec![extension.id.clone()];
                    self.0.insert(user.id.clone(), MappedUser { extensions, is_chosen: false });
                }
            }
        }
    }

    /// Applies the entries that a person's browser has sent: the whole list, in which a user without an extension may be named
    /// or not. Returns the mapping with what the person has changed.
    #[must_use]
    pub fn changed_to(&self, entries: &BTreeMap<String, Vec<String>>) -> UserMapping {
        let mut changed = self.clone();
        for user in self.0.keys().chain(entries.keys()) {
            let wanted = entries.get(user).map(Vec::as_slice).unwrap_or_default();
            let known = self.0.get(user).map(|known| known.extensions.as_slice()).unwrap_or_default();
            // A browser may know only the first extension of a user.
            let is_same = wanted == known || (wanted.len() == 1 && known.first() == wanted.first());
            if !is_same {
                let mapped = MappedUser { extensions: wanted.to_vec(), is_chosen: true };
                changed.0.insert(user.clone(), mapped);
            }
        }
        changed
    }
}

/// Returns a name or an address without what people write differently. `None`: there is none.
fn normal(text: &Option<String>) -> Option<String> {
    let words: Vec<_> = text.as_deref()?.split_whitespace().map(str::to_lowercase).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_locked_entry_replaces_what_a_user_has_chosen_and_any_other_is_a_default() {
        let own = json!({"value": 1});
        for (entry, chosen, expected) in [
            (Value::Null, own.clone(), own.clone()),
            (
                json!({"value": 2, "customizable": false}),
                own.clone(),
                json!({"value": 2, "customizable": false}),
            ),
            (json!({"value": 2}), own.clone(), json!({"value": 2})),
            (
                json!({"value": 2, "customizable": "yes"}),
                own.clone(),
                json!({"value": 2, "customizable": "yes"}),
            ),
            (
                json!({"value": 2, "customizable": true}),
                own.clone(),
                json!({"value": 1, "customizable": true}),
            ),
            (json!({"value": 2, "customizable": true}), json!("US"), json!("US")),
            // What a user stored under a lock is free again without it.
            (
                json!({"value": 2, "customizable": true}),
                json!({"value": 1, "customizable": false}),
                json!({"value": 1, "customizable": true}),
            ),
            (
                json!({"value": 2, "customizable": true}),
                Value::Null,
                json!({"value": 2, "customizable": true}),
            ),
            (
                json!({"value": 2, "customizable": false}),
                Value::Null,
                json!({"value": 2, "customizable": false}),
            ),
            (json!({"enable": true}), json!({"enable": false}), json!({"enable": true})),
            (json!({"isRemoved": true}), own.clone(), Value::Null),
            (json!({"isRemoved": true, "customizable": true}), own.clone(), Value::Null),
        ] {
            let present = |value: Value| if value.is_null() { json!({}) } else { json!({ "key": value }) };
            let tenant = TenantSettings(map(present(entry.clone())));
            let counting = tenant.over(&Settings(map(present(chosen.clone()))));
            assert_eq!(json!(counting.0), present(expected), "{entry} {chosen}");
            assert_eq!(tenant.over(&counting), counting, "{entry} {chosen}");
        }
    }

    fn user(id: &str, name: &str, email: &str) -> CrmUser {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        CrmUser { id: id.to_owned(), name: text(name), email: text(email) }
    }

    fn extension(id: &str, name: &str, email: &str) -> RingCentralUser {
        let CrmUser { id, name, email } = user(id, name, email);
        RingCentralUser { id, name, email, number: None }
    }

    #[test]
    fn users_are_matched_by_what_only_they_have_in_common() {
        for (case, users, extensions, expected) in [
            (
                "address before name",
                vec![user("1", "Ada", "ada@acme.example")],
                vec![extension("9", "Ada", ""), extension("8", "A. Agent", " ADA@acme.example ")],
                json!({"1": {"e": ["8"]}}),
            ),
            (
                "name",
                vec![user("1", "Ada  agent", "")],
                vec![extension("9", "Ada Agent", "")],
                json!({"1": {"e": ["9"]}}),
            ),
            (
                "missing values are not equal",
                vec![user("1", "", " ")],
                vec![extension("9", " ", "")],
                json!({}),
            ),
            (
                "two users with a name",
                vec![user("1", "Ada", ""), user("2", "ada", "")],
                vec![extension("9", "Ada", "")],
                json!({}),
            ),
            (
                "two extensions with a name",
                vec![user("1", "Ada", "")],
                vec![extension("8", "Ada", ""), extension("9", "Ada", "")],
                json!({}),
            ),
            (
                "an extension belongs to one user",
                vec![user("1", "Ada", "a@x.example"), user("2", "Bob", "")],
                vec![extension("9", "Bob", "a@x.example")],
                json!({"1": {"e": ["9"]}}),
            ),
        ] {
            let mut mapping = UserMapping::default();
            mapping.match_users(&users, &extensions);
            assert_eq!(json!(mapping), expected, "{case}");
        }
        // What a person has decided stays.
        let decided: UserMapping =
            serde_json::from_value(json!({"1": {"e": [], "p": true}, "2": {"e": ["9"], "p": true}})).unwrap();
        let mut mapping = decided.clone();
        let users = [user("1", "Ada", ""), user("3", "Bob", "")];
        mapping.match_users(&users, &[extension("8", "Ada", ""), extension("9", "Bob", "")]);
        assert_eq!(mapping, decided);
    }

    #[test]
    fn only_what_a_person_has_changed_counts_as_chosen() {
        let stored: UserMapping =
            serde_json::from_value(json!({"1": {"e": ["7"]}, "2": {"e": ["8", "9"], "p": true}})).unwrap();
        for (entries, expected) in [
            (json!({"1": ["7"], "2": ["8"]}), json!({"1": {"e": ["7"]}, "2": {"e": ["8", "9"], "p": true}})),
            // A user without an extension of whom nothing is stored can still be matched.
            (json!({"1": ["7"], "2": ["8", "9"], "3": []}), json!(stored)),
            (
                json!({"1": [], "2": ["8"]}),
                json!({"1": {"e": [], "p": true}, "2": {"e": ["8", "9"], "p": true}}),
            ),
            (
                json!({"2": ["9"], "3": ["7"]}),
                json!({"1": {"e": [], "p": true}, "2": {"e": ["9"], "p": true}, "3": {"e": ["7"], "p": true}}),
            ),
        ] {
            let entries: BTreeMap<_, _> = serde_json::from_value(entries).unwrap();
            assert_eq!(json!(stored.changed_to(&entries)), expected, "{entries:?}");
        }
    }

    #[test]
    fn an_extension_of_several_users_belongs_to_none() {
        let mapping: UserMapping =
            serde_json::from_value(json!({"1": {"e": ["7", "8"]}, "2": {"e": ["8"]}, "3": {"e": []}}))
                .unwrap();
        for (extension, user) in [("7", Some("1")), ("8", None), ("9", None), ("", None)] {
            assert_eq!(mapping.user_of(extension), user, "{extension}");
        }
    }
}
