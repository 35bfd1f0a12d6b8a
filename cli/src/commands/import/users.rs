//! Rows of App Connect's table `users`.

use call_log::{
    api::wire,
    model::{User, Zone},
};
use serde_json::{Map, Value, json};

use super::rows::{Row, RowProblem};
use crate::commands::check_hosts;

/// The columns that every row needs.
pub(super) const COLUMNS: [&str; 2] = ["id", "platform"];

/// Our name of a field, and the name of its column.
const NAMES: [(&str, &str); 4] = [
    ("`credentials.accessToken`", "`accessToken`"),
    ("`credentials.refreshToken`", "`refreshToken`"),
    ("`credentials.expiresAt`", "`tokenExpiry`"),
    ("`credentials.apiKey`", "`accessToken`"),
];

/// Reads a row.
pub(super) fn read(row: &Row) -> Result<User, RowProblem> {
    let mut user = Map::new();
    let columns =
        ["id", "platform", "hostname", "apiHost", "loginHost", "account", "tenant", "crmUserId", "ownerId"];
    for column in columns {
        user.insert(column.to_owned(), row.get(column));
    }
    if row.get("account").is_null() && row.get("tenant").is_null() {
        let known = row.json("platformAdditionalInfo").ok().and_then(|info| info.get("companyId").cloned());
        let known = known.filter(|id| id.is_string() || id.is_number());
        user.insert("account".to_owned(), known.unwrap_or_default());
    }
    // A name is correct across daylight saving; the offset is from the day when the user connected.
    let zone = row.text("timezoneName").filter(|name| Zone::parse(name).is_some());
    match (zone, row.get("timezoneOffset")) {
        (Some(name), _) => user.insert("timezone".to_owned(), name.into()),
        (None, Value::Null) => user.insert("timezone".to_owned(), row.get("timezoneName")),
        (None, offset) => user.insert("timezoneOffset".to_owned(), offset),
    };
    user.insert("userSettings".to_owned(), row.json("userSettings")?);
    user.insert("credentials".to_owned(), credentials(row));
    let invalid = |reason: String| {
        RowProblem::Field(NAMES.iter().fold(reason, |text, (ours, column)| text.replace(ours, column)))
    };
    let user = wire::read_user(Value::Object(user).to_string().as_bytes())
        .map_err(|error| invalid(error.to_string()))?;
    check_hosts(&user).map_err(invalid)?;
    Ok(user)
}

/// Returns the credentials of a row. A user who has disconnected has an empty access token. An API key never expires and
/// has no refresh token.
fn credentials(row: &Row) -> Value {
    let (access, refresh, expiry) = (row.get("accessToken"), row.get("refreshToken"), row.get("tokenExpiry"));
    match (&access, &refresh, &expiry) {
        (Value::Null, _, _) => Value::Null,
        (_, Value::Null, Value::Null) => json!({"type": "apiKey", "apiKey": access}),
        _ => json!({
            "type": "oauth",
            "accessToken": access,
            "refreshToken": refresh,
            "expiresAt": row.text("tokenExpiry").map(|time| whole_offset(&time)),
        }),
    }
}

/// Completes an offset of hours: PostgreSQL writes `+00` for `+00:00`.
fn whole_offset(time: &str) -> String {
    let time = time.trim();
    let is_short = time.contains(':')
        && time.len() > 3
        && time.is_char_boundary(time.len() - 3)
        && time[time.len() - 3..].starts_with(['+', '-'])
        && time[time.len() - 2..].bytes().all(|byte| byte.is_ascii_digit());
    if is_short { format!("{time}:00") } else { time.to_owned() }
}
