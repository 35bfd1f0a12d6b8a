//! `call-log token`: prints a caller's token for a user, or revokes the issued ones.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::json;

use super::find_user;
use crate::{arguments::Output, environment, error::CommandError, output};

pub(super) async fn run(id: &str, days: u32, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let stored = find_user(&app, id).await?;
    let token = app.issue_valid_token(&stored, days);
    let user = stored.user;
    let end = app.clock.now() + Duration::days(i64::from(days));
    let value = json!({
        "token": token,
        "id": user.id.as_str(),
        "platform": user.platform.as_str(),
        "tenant": user.account.id,
        "expiresAt": end.to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    Ok(output::print_either(output.json, &token, &value)?)
}

pub(super) async fn revoke(id: &str, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let user = find_user(&app, id).await?.user;
    let valid_from = app.store.revoke_tokens(&user.key(), app.clock.now_ms()).await?;
    let valid_from = valid_from.ok_or_else(|| CommandError::UnknownUser(id.to_owned()))?;
    let valid_from = DateTime::<Utc>::from_timestamp_secs(valid_from).unwrap_or_default();
    let valid_from = valid_from.to_rfc3339_opts(SecondsFormat::Secs, true);
    let text = format!(
        "Tokens of {id} that were issued before {valid_from} are no longer accepted. `call-log token {id}` prints another one."
    );
    Ok(output::print_either(output.json, &text, &json!({"id": id, "validFrom": valid_from}))?)
}
