//! The requests and responses of administrators. Unlike those of agents, a wrong value is refused, and the message names it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    InputError,
    json::{self as input, ReadObject},
    query::Query,
    value,
};
use crate::{
    delivery::administration::{AdministrationChange, State},
    model::{CrmUser, RingCentralUser, Secret, TenantSettings, UserMapping},
};

/// The header with a token of RingCentral.
const TOKEN_HEADER: &str = "x-rc-access-token";
/// The longest token of RingCentral, in bytes.
const LONGEST_TOKEN: usize = 4_096;
/// The most settings of a tenant.
const MOST_SETTINGS: usize = 200;
/// The longest key and entry of one setting, in bytes of JSON.
const LONGEST_SETTING: usize = 8 << 10;
/// The length of all keys and entries, in bytes of JSON.
const LONGEST_SETTINGS: usize = 32 << 10;
/// The longest URL, in bytes.
const LONGEST_URL: usize = 2_000;
/// The most users of a mapping, and the most extensions of a list.
const MOST_USERS: usize = 5_000;
/// The most extensions of one user.
const MOST_EXTENSIONS: usize = 20;
/// The word that the extension sends for a user without an extension.
const NO_EXTENSION: &str = "none";

/// Returns the token of RingCentral that a request brings: in a header, in the query, or in the body. One that can be no token is
/// left out.
pub fn read_ringcentral_token(request: &http::Request<bytes::Bytes>) -> Option<Secret> {
    let header = request.headers().get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let query = Query::of(request.uri().query().unwrap_or_default());
    let body = input::read_object(request.body(), "body").ok();
    let field = body.as_ref().and_then(|body| body.fields.get("rcAccessToken")?.as_str());
    let token = header.or_else(|| query.get("rcAccessToken")).or(field)?.trim();
    let is_possible = !["", "undefined", "null"].contains(&token)
        && token.len() <= LONGEST_TOKEN
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_possible.then(|| Secret::new(token))
}

/// Reads a change of what administrators decide: the whole object that `GET /admin/settings` returned, with the changes in it.
/// What is not named stays as it is.
///
/// # Errors
///
/// If the body is no such object, or a part of it is wrong.
pub fn read_administration_change(body: &[u8]) -> Result<AdministrationChange, InputError> {
    let body = whole(input::read_object(body, "body")?)?;
    let settings = body.fields.get("adminSettings");
    let Some(Value::Object(all)) = settings else {
        return Err(wrong("adminSettings", "the object that `GET /admin/settings` returns", settings));
    };
    let change = AdministrationChange {
        settings_version: version(all, "version")?,
        mapping_version: version(all, "userMappingsVersion")?,
        settings: present(all, "userSettings").map(read_settings).transpose()?,
        custom_manifest: present(all, "customAdapter").map(read_custom_manifest).transpose()?,
        mapping: present(all, "userMappings").map(read_mapping).transpose()?,
    };
    Ok(change)
}

/// Reads the extensions at RingCentral that an administrator's browser knows, to be matched with users of the CRM.
///
/// # Errors
///
/// If the list is missing, is none or is too long. An entry without an id is left out.
pub fn read_extensions(body: &[u8]) -> Result<Vec<RingCentralUser>, InputError> {
    let body = whole(input::read_object(body, "body")?)?;
    let list = body.fields.get("rcExtensionList");
    let Some(Value::Array(list)) = list else {
        return Err(wrong(
            "rcExtensionList",
            "a list of extensions, each with `id`, `name` and `email`",
            list,
        ));
    };
    if list.len() > MOST_USERS {
        return Err(InputError::new(format!(
            "`rcExtensionList` is too long: expected at most {MOST_USERS} extensions"
        )));
    }
    let read = |entry: &Value| {
        let text = |name: &str| {
            let text = (value::TEXT.read)(&entry[name]).ok().flatten();
            text.map(|text| text.trim().to_owned())
        };
        let name = text("name").or_else(|| {
            let names: Vec<_> = ["firstName", "lastName"].into_iter().filter_map(text).collect();
            (!names.is_empty()).then(|| names.join(" "))
        });
        let id = (value::ID.read)(&entry["id"]).ok().flatten()?;
        Some(RingCentralUser { id, name, email: text("email"), number: text("extensionNumber") })
    };
    Ok(list.iter().filter_map(read).collect())
}

/// Reads the additional values of server-side logging. No CRM has such fields yet, so there can be none.
///
/// # Errors
///
/// If the body is no object, or has a value.
pub fn read_logging_values(body: &[u8]) -> Result<(), InputError> {
    let body = whole(input::read_object(body, "body")?)?;
    match body.fields.get("additionalFieldValues") {
        Some(Value::Object(values)) if values.is_empty() => Ok(()),
        None | Some(Value::Null) => Ok(()),
        values => Err(wrong("additionalFieldValues", "no value: this CRM has no such fields", values)),
    }
}

/// The decisions of administrators, as they see and change them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdministrationBody<'a> {
    user_settings: &'a TenantSettings,
    user_mappings: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_adapter: Option<Value>,
    version: i64,
    user_mappings_version: i64,
}

impl<'a> From<&'a State> for AdministrationBody<'a> {
    fn from(state: &'a State) -> AdministrationBody<'a> {
        let row = |(id, user): (&String, &crate::model::MappedUser)| json!({ "crmUserId": id, "rcExtensionId": user.extensions });
        let custom_manifest = state.settings.content.custom_manifest.as_ref();
        AdministrationBody {
            user_settings: &state.settings.content.settings,
            user_mappings: state.mapping.content.0.iter().map(row).collect(),
            custom_adapter: custom_manifest.map(|url| json!({ "url": url })),
            version: state.settings.version,
            user_mappings_version: state.mapping.version,
        }
    }
}

/// A user of the CRM with the extension at RingCentral. The extension 1.6.6 reads one object, where App Connect 1.7 sends a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MappedUserEntry {
    crm_user: Value,
    rc_user: Option<Value>,
}

impl MappedUserEntry {
    /// Returns an entry for each user.
    pub fn all(users: &[CrmUser], mapping: &UserMapping, extensions: &[RingCentralUser]) -> Vec<Self> {
        let entry = |user: &CrmUser| {
            let mapped = mapping.0.get(&user.id).map(|mapped| mapped.extensions.as_slice());
            // An extension that the browser does not know is still the user's.
            let extension = mapped.and_then(<[_]>::first).map(|id| {
                let known = extensions.iter().find(|extension| extension.id == *id);
                known.cloned().unwrap_or_else(|| RingCentralUser {
                    id: id.clone(),
                    name: Some(id.clone()),
                    ..RingCentralUser::default()
                })
            });
            MappedUserEntry {
                crm_user: json!({ "id": user.id, "name": user.name, "email": user.email }),
                rc_user: extension.map(|RingCentralUser { id, name, email, number }| {
                    json!({ "extensionId": id, "name": name, "email": email, "extensionNumber": number })
                }),
            }
        };
        users.iter().map(entry).collect()
    }
}

/// Returns an object of which everything was read.
fn whole(read: ReadObject) -> Result<ReadObject, InputError> {
    match read.left_out {
        Some(error) => Err(error),
        None => Ok(read),
    }
}

fn wrong(name: &str, expected: &str, got: Option<&Value>) -> InputError {
    match got {
        None | Some(Value::Null) => InputError::new(format!("`{name}` is missing: expected {expected}")),
        Some(value) => InputError::new(format!(
            "`{name}` is wrong: expected {expected}, got {}",
            value::json_type(value)
        )),
    }
}

fn present<'a>(all: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    all.get(name).filter(|value| !value.is_null())
}

fn version(all: &Map<String, Value>, name: &str) -> Result<i64, InputError> {
    let version = all.get(name);
    let number = version.and_then(Value::as_i64).filter(|version| *version >= 0);
    let path = format!("adminSettings.{name}");
    number.ok_or_else(|| wrong(&path, "the number that `GET /admin/settings` returned", version))
}

fn read_settings(settings: &Value) -> Result<TenantSettings, InputError> {
    let Value::Object(settings) = settings else {
        return Err(wrong("adminSettings.userSettings", "an object", Some(settings)));
    };
    let refused = |problem: String| Err(InputError::new(problem));
    if settings.len() > MOST_SETTINGS {
        return refused(format!(
            "`adminSettings.userSettings` is too long: expected at most {MOST_SETTINGS} settings"
        ));
    }
    let mut total = 0;
    for (at, (key, entry)) in settings.iter().enumerate() {
        // The key is the sender's text, which must not be in a log, so its place names it.
        let named = |problem: &str| {
            let place = format!("the setting at place {} of `adminSettings.userSettings`", at + 1);
            InputError::with_value(
                format!("{place} {problem}"),
                Value::from(key.chars().take(40).collect::<String>()),
            )
        };
        let length = key.len() + entry.to_string().len();
        total += length;
        let customizable = &entry["customizable"];
        if !entry.is_object() {
            return Err(named(
                "is wrong: expected an object such as {\"value\": true, \"customizable\": false}",
            ));
        }
        if !(customizable.is_boolean() || customizable.is_null()) {
            return Err(named("is wrong: `customizable` must be true or false"));
        }
        if key.trim().is_empty() || length > LONGEST_SETTING {
            return Err(named("is empty or longer than 8 KiB"));
        }
    }
    if total > LONGEST_SETTINGS {
        return refused("`adminSettings.userSettings` is too long: expected at most 32 KiB".to_owned());
    }
    Ok(TenantSettings(settings.clone().into_iter().collect()))
}

/// Reads the URL of another manifest; it is empty if there is none.
fn read_custom_manifest(adapter: &Value) -> Result<String, InputError> {
    const EXPECTED: &str = "an https URL, or an empty text";
    let wrong = |got| wrong("adminSettings.customAdapter.url", EXPECTED, Some(got));
    let Value::Object(fields) = adapter else { return Err(wrong(adapter)) };
    let url = match fields.get("url") {
        None | Some(Value::Null) => return Ok(String::new()),
        Some(Value::String(url)) => url.trim(),
        Some(other) => return Err(wrong(other)),
    };
    let is_url = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let is_possible = url.len() <= LONGEST_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
    if url.is_empty() || (is_url && is_possible) { Ok(url.to_owned()) } else { Err(wrong(&fields["url"])) }
}

fn read_mapping(mapping: &Value) -> Result<BTreeMap<String, Vec<String>>, InputError> {
    const NAME: &str = "adminSettings.userMappings";
    let Value::Array(rows) = mapping else { return Err(wrong(NAME, "a list", Some(mapping))) };
    if rows.len() > MOST_USERS {
        return Err(InputError::new(format!("`{NAME}` is too long: expected at most {MOST_USERS} users")));
    }
    let id = |value: &Value| (value::ID.read)(value).ok().flatten();
    let mut users = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let path = |field: &str| format!("{NAME}[{at}].{field}");
        let user = id(&row["crmUserId"]);
        let user =
            user.ok_or_else(|| wrong(&path("crmUserId"), "the CRM's id of a user", row.get("crmUserId")))?;
        let extensions = match &row["rcExtensionId"] {
            Value::Null => Some(Vec::new()),
            Value::Array(ids) if ids.len() <= MOST_EXTENSIONS => ids.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        };
        let mut extensions: Vec<String> = extensions.ok_or_else(|| {
            wrong(
                &path("rcExtensionId"),
                "the id of an extension, a list of at most 20, or \"none\"",
                row.get("rcExtensionId"),
            )
        })?;
        extensions.retain(|id| id != NO_EXTENSION);
        if users.insert(user, extensions).is_some() {
            return Err(InputError::new(format!(
                "`{}` is the same as before: expected each user once",
                path("crmUserId")
            )));
        }
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(settings: Value) -> Result<AdministrationChange, String> {
        let mut all = json!({"version": 1, "userMappingsVersion": 2});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let body = json!({ "adminSettings": all }).to_string();
        read_administration_change(body.as_bytes()).map_err(|error| error.message)
    }

    #[test]
    fn a_change_names_what_it_changes() {
        let read = change(json!({
            "userSettings": {"addCallLogNote": {"value": false, "customizable": false}, "serverSideLogging": {"enable": true}},
            "userMappings": [
                {"crmUserId": 7, "rcExtensionId": "9"}, {"crmUserId": "8", "rcExtensionId": ["1", 2]},
                {"crmUserId": "9", "rcExtensionId": "none"}, {"crmUserId": "10"}, {"crmUserId": "11", "rcExtensionId": []}
            ],
            "customAdapter": {"url": " https://acme.example/manifest.json "}, "adminAccessToken": "s3cr3t",
        }));
        let read = read.unwrap();
        assert_eq!((read.settings_version, read.mapping_version), (1, 2));
        assert_eq!(read.settings.unwrap().0.len(), 2);
        assert_eq!(read.custom_manifest.as_deref(), Some("https://acme.example/manifest.json"));
        let mapping = json!({"7": ["9"], "8": ["1", "2"], "9": [], "10": [], "11": []});
        assert_eq!(json!(read.mapping.unwrap()), mapping);
        let nothing = change(json!({"customAdapter": null, "userSettings": null})).unwrap();
        assert_eq!((nothing.settings, nothing.mapping, nothing.custom_manifest), (None, None, None));
    }

    #[test]
    fn a_wrong_value_is_named() {
        let many = |count: usize| (0..count).map(|at| (at.to_string(), json!({}))).collect::<Map<_, _>>();
        let long: Map<_, _> =
            (0..20).map(|at| (at.to_string(), json!({"value": "x".repeat(2_000)}))).collect();
        let row = |row: Value| json!({ "userMappings": [row] });
        for (settings, message) in [
            (
                json!({"version": null}),
                "`adminSettings.version` is missing: expected the number that `GET /admin/settings` returned",
            ),
            (
                json!({"version": "1"}),
                "`adminSettings.version` is wrong: expected the number that `GET /admin/settings` returned, got a string",
            ),
            (
                json!({"userMappingsVersion": -1}),
                "`adminSettings.userMappingsVersion` is wrong: expected the number that `GET /admin/settings` returned, got a number",
            ),
            (
                json!({"userSettings": []}),
                "`adminSettings.userSettings` is wrong: expected an object, got a list",
            ),
            (
                json!({"userSettings": many(201)}),
                "`adminSettings.userSettings` is too long: expected at most 200 settings",
            ),
            (
                json!({"userSettings": long}),
                "`adminSettings.userSettings` is too long: expected at most 32 KiB",
            ),
            (
                json!({"userSettings": {"a": {}, "b": true}}),
                "the setting at place 2 of `adminSettings.userSettings` is wrong: expected an object such as {\"value\": true, \"customizable\": false}, got \"b\"",
            ),
            (
                json!({"userSettings": {"a": {"customizable": "no"}}}),
                "the setting at place 1 of `adminSettings.userSettings` is wrong: `customizable` must be true or false, got \"a\"",
            ),
            (
                json!({"userSettings": {"a": {"value": "x".repeat(9_000)}}}),
                "the setting at place 1 of `adminSettings.userSettings` is empty or longer than 8 KiB, got \"a\"",
            ),
            (
                json!({"customAdapter": "x"}),
                "`adminSettings.customAdapter.url` is wrong: expected an https URL, or an empty text, got a string",
            ),
            (
                json!({"customAdapter": {"url": "http://acme.example"}}),
                "`adminSettings.customAdapter.url` is wrong: expected an https URL, or an empty text, got a string",
            ),
            (
                json!({"userMappings": {}}),
                "`adminSettings.userMappings` is wrong: expected a list, got an object",
            ),
            (
                row(json!(7)),
                "`adminSettings.userMappings[0].crmUserId` is missing: expected the CRM's id of a user",
            ),
            (
                row(json!({"crmUserId": "1", "rcExtensionId": {}})),
                "`adminSettings.userMappings[0].rcExtensionId` is wrong: expected the id of an extension, a list of at most 20, or \"none\", got an object",
            ),
            (
                json!({"userMappings": [{"crmUserId": "1"}, {"crmUserId": 1}]}),
                "`adminSettings.userMappings[1].crmUserId` is the same as before: expected each user once",
            ),
        ] {
            assert_eq!(change(settings.clone()).err().as_deref(), Some(message), "{settings}");
        }
        for (body, message) in [
            (json!({}), "`adminSettings` is missing: expected the object that `GET /admin/settings` returns"),
            (
                json!({"adminSettings": []}),
                "`adminSettings` is wrong: expected the object that `GET /admin/settings` returns, got a list",
            ),
        ] {
            let read = read_administration_change(body.to_string().as_bytes());
            assert_eq!(read.map_err(|error| error.message).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn extensions_without_an_id_are_left_out() {
        let list = json!([
            {"id": 9, "firstName": "Ada", "lastName": "Agent", "email": "ada@acme.example", "extensionNumber": "101"},
            {"id": "8", "name": " Bob ", "firstName": "B"}, {"name": "no id"}, 7, null, {"id": ""},
        ]);
        let read = read_extensions(json!({ "rcExtensionList": list }).to_string().as_bytes()).unwrap();
        let names: Vec<_> = read.iter().map(|one| (one.id.as_str(), one.name.as_deref().unwrap())).collect();
        assert_eq!(names, [("9", "Ada Agent"), ("8", "Bob")]);
        for (body, message) in [
            (
                json!({}),
                "`rcExtensionList` is missing: expected a list of extensions, each with `id`, `name` and `email`",
            ),
            (
                json!({"rcExtensionList": vec![0; 5_001]}),
                "`rcExtensionList` is too long: expected at most 5000 extensions",
            ),
        ] {
            let read = read_extensions(body.to_string().as_bytes());
            assert_eq!(read.map_err(|error| error.message), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_token_of_ringcentral_is_read_from_all_its_places() {
        let long = "x".repeat(LONGEST_TOKEN + 1);
        for (header, query, body, expected) in [
            ("h", "q", "b", Some("h")),
            ("", "q", "b", None),
            ("-", "q", "b", Some("q")),
            ("-", "-", "b", Some("b")),
            ("-", "undefined", "-", None),
            ("-", "a%20b", "-", None),
            ("-", "a%0d%0ab", "-", None),
            ("-", &long, "-", None),
            ("-", "-", "-", None),
        ] {
            let given = |text: &str| (text != "-").then(|| text.to_owned());
            let uri = match given(query) {
                Some(query) => format!("/admin/settings?rcAccessToken={query}"),
                None => "/admin/settings".to_owned(),
            };
            let mut request = http::Request::builder().uri(uri);
            if let Some(header) = given(header) {
                request = request.header(TOKEN_HEADER, header);
            }
            let body =
                given(body).map_or(String::new(), |token| json!({ "rcAccessToken": token }).to_string());
            let token = read_ringcentral_token(&request.body(body.into()).unwrap());
            assert_eq!(token.as_ref().map(Secret::expose), expected, "{header} {query}");
        }
    }
}
