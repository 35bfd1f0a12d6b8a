//! Users, as `call-log user` reads and shows them.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{InputError, fields::Fields, json, time, value};
use crate::model::{Credentials, CrmAccount, Platform, Settings, User, UserId};

/// Reads a user.
///
/// # Errors
///
/// If the text is not a JSON object, or a field is missing or invalid.
pub fn read_user(bytes: &[u8]) -> Result<User, InputError> {
    let user = json::read_object(bytes, "user")?;
    let user = Fields::of_input(&user);
    let missing = |name| user.missing(name, "text");
    let platform = user.require("platform", &value::TEXT)?.trim().to_lowercase();
    let host = |name| Ok(user.text(name)?.map(|host| host.trim().to_lowercase()));
    Ok(User {
        id: UserId::new(user.require("id", &value::ID)?).ok_or_else(|| missing("id"))?,
        platform: Platform::new(platform).ok_or_else(|| missing("platform"))?,
        hostname: host("hostname")?,
        account: CrmAccount {
            api_host: host("apiHost")?,
            login_host: host("loginHost")?,
            id: read_account(&user)?,
            user_id: user.get("crmUserId", &value::ID)?,
            owner_id: user.get("ownerId", &value::ID)?,
        },
        zone: match user.get("timezone", &time::ZONE)? {
            None => user.get("timezoneOffset", &time::ZONE)?,
            zone => zone,
        },
        settings: read_settings(&user)?.unwrap_or_default(),
        credentials: read_credentials(&user.inside("credentials")?)?,
    })
}

/// Returns the CRM's id of the account, which has two names.
fn read_account(user: &Fields<'_>) -> Result<Option<String>, InputError> {
    let [account, tenant] = ["account", "tenant"].map(|name| user.get(name, &value::ID));
    match (account?, tenant?) {
        (Some(account), Some(tenant)) if account != tenant => Err(InputError::new(
            "`account` and `tenant` differ: both are the CRM's id of the account; leave one of them out",
        )),
        (account, tenant) => Ok(account.or(tenant)),
    }
}

/// Returns a user as JSON, without secrets. `account` is null if it is not known; what else is not known of the account is
/// left out.
pub fn show_user(user: &User) -> Value {
    let credentials = match &user.credentials {
        None => Value::Null,
        Some(Credentials::ApiKey(_)) => json!({"type": "apiKey"}),
        Some(Credentials::OAuth { refresh_token, expires_at, .. }) => json!({
            "type": "oauth",
            "canRefresh": refresh_token.is_some(),
            "expiresAt": expires_at.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        }),
    };
    let CrmAccount { api_host, login_host, id, user_id, owner_id } = &user.account;
    let account =
        [("apiHost", api_host), ("loginHost", login_host), ("crmUserId", user_id), ("ownerId", owner_id)];
    let head = [
        ("id", json!(user.id)),
        ("platform", json!(user.platform)),
        ("hostname", json!(user.hostname)),
        ("account", json!(id)),
    ];
    let account = account.into_iter().filter_map(|(name, value)| Some((name, json!(value.as_ref()?))));
    let tail = [
        ("timezone", json!(user.zone)),
        ("credentials", credentials),
        ("userSettings", json!(user.settings.0)),
    ];
    head.into_iter().chain(account).chain(tail).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the user's settings, or `None` if they are absent.
pub(super) fn read_settings(user: &Fields<'_>) -> Result<Option<Settings>, InputError> {
    let settings = user.get("userSettings", &value::OBJECT)?;
    Ok(settings.map(|settings| Settings(settings.into_iter().collect::<BTreeMap<_, _>>())))
}

fn read_credentials(credentials: &Fields<'_>) -> Result<Option<Credentials>, InputError> {
    if credentials.is_empty() {
        return Ok(None);
    }
    let expected = "\"oauth\" or \"apiKey\"";
    let credentials_type = credentials.text("type")?.ok_or_else(|| credentials.missing("type", expected))?;
    match credentials_type.trim().to_ascii_lowercase().as_str() {
        "apikey" => Ok(Some(Credentials::ApiKey(credentials.require("apiKey", &value::SECRET)?))),
        "oauth" => Ok(Some(Credentials::OAuth {
            access_token: credentials.require("accessToken", &value::SECRET)?,
            refresh_token: credentials.get("refreshToken", &value::SECRET)?,
            expires_at: credentials.get("expiresAt", &time::TIME)?,
        })),
        _ => Err(InputError::new(format!("`credentials.type` is unknown: expected {expected}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user: &Value) -> Result<User, InputError> {
        read_user(user.to_string().as_bytes())
    }

    #[test]
    fn a_user_is_shown_as_read_without_secrets() {
        let check = |mut user: Value, expected: Value| {
            user["id"] = json!("12345-example");
            user["platform"] = json!(" ExAmple ");
            let read = read(&user).unwrap();
            assert_eq!((read.id.as_str(), read.platform.as_str()), ("12345-example", "example"));
            let shown = show_user(&read);
            assert!(!format!("{shown} {read:?}").contains("s3cr3t"), "{shown}");
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(shown[name], *value, "{user}: {name}");
            }
        };
        check(
            json!({}),
            json!({"hostname": null, "timezone": null, "credentials": null, "userSettings": {}}),
        );
        check(json!({"hostname": " Acme.CRM.example"}), json!({"hostname": "acme.crm.example"}));
        check(
            json!({
                "apiHost": " API.crm.example\n", "loginHost": "Login.crm.example", "account": 7, "crmUserId": " 005A ",
                "ownerId": 77,
            }),
            json!({
                "apiHost": "api.crm.example", "loginHost": "login.crm.example", "account": "7", "crmUserId": "005A",
                "ownerId": "77",
            }),
        );
        for nothing in [json!({}), json!({"apiHost": " ", "account": "", "crmUserId": null})] {
            let names = ["apiHost", "loginHost", "account", "crmUserId", "ownerId"];
            check(nothing, names.map(|name| (name.to_owned(), Value::Null)).into_iter().collect());
        }
        for both in [
            json!({"tenant": 7}),
            json!({"tenant": " 7", "account": "7"}),
            json!({"account": 7, "tenant": ""}),
        ] {
            check(both, json!({"account": "7"}));
        }
        check(
            json!({"timezone": "Europe/Berlin", "timezoneOffset": 1}),
            json!({"timezone": "Europe/Berlin"}),
        );
        check(json!({"timezone": "", "timezoneOffset": -480}), json!({"timezone": "-08:00"}));
        check(
            json!({"userSettings": {"k": {"value": 1}, "z": 2}}),
            json!({"userSettings": {"k": {"value": 1}, "z": 2}}),
        );
        check(
            json!({"credentials": {"type": "apiKey", "apiKey": "s3cr3t"}}),
            json!({"credentials": {"type": "apiKey"}}),
        );
        check(
            json!({"credentials": {"type": "oauth", "accessToken": "s3cr3t"}}),
            json!({"credentials": {"type": "oauth", "canRefresh": false, "expiresAt": null}}),
        );
        for time in [json!("2025-03-12T15:45:25Z"), json!(1741794325000_i64)] {
            check(
                json!({"credentials": {"type": "OAuth", "accessToken": "s3cr3t-1", "refreshToken": "s3cr3t-2", "expiresAt": time}}),
                json!({"credentials": {"type": "oauth", "canRefresh": true, "expiresAt": "2025-03-12T15:45:25.000Z"}}),
            );
        }
    }

    #[test]
    fn an_invalid_field_is_named_and_secrets_are_not_quoted() {
        let secret = "expected a string of printable ASCII characters";
        for (fields, message) in [
            (json!({"id": null}), "`id` is missing: expected a string or a whole number, at most 256 bytes long".to_owned()),
            (json!({"platform": ""}), "`platform` is missing: expected a string".to_owned()),
            (json!({"loginHost": ["crm.example"]}), "`loginHost` is not text: expected a string, got a list".to_owned()),
            (json!({"account": {"id": 7}}), "`account` is not an identifier: expected a string or a whole number, at most 256 bytes long, got an object".to_owned()),
            (json!({"account": 7, "tenant": 8}), "`account` and `tenant` differ: both are the CRM's id of the account; leave one of them out".to_owned()),
            (json!({"timezone": "Mars"}), "`timezone` is not a time zone: expected an offset (\"+05:30\"), hours, minutes, or an IANA name, got \"Mars\"".to_owned()),
            (json!({"userSettings": [1]}), "`userSettings` is not an object: expected an object, got a list".to_owned()),
            (json!({"credentials": "s3cr3t"}), "`credentials` is not an object: expected an object, got a string".to_owned()),
            (json!({"credentials": {}}), "`credentials.type` is missing: expected \"oauth\" or \"apiKey\"".to_owned()),
            (json!({"credentials": {"type": "s3cr3t"}}), "`credentials.type` is unknown: expected \"oauth\" or \"apiKey\"".to_owned()),
            (json!({"credentials": {"type": "apiKey"}}), format!("`credentials.apiKey` is missing: {secret}")),
            (json!({"credentials": {"type": "oauth", "accessToken": ["s3cr3t"]}}), format!("`credentials.accessToken` is not a header value: {secret}, got a list")),
        ] {
            let mut user = json!({"id": 1, "platform": "example"});
            user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            assert_eq!(read(&user).map_err(|error| error.message), Err(message), "{user}");
        }
    }
}
