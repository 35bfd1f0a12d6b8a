//! `call-log token`: prints a caller's token for a user.

use chrono::{Duration, SecondsFormat};
use serde_json::json;

use super::find_user;
use crate::{arguments::Output, environment, error::CommandError, output};

pub(super) async fn run(id: &str, days: u32, output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let user = find_user(&app, id).await?.user;
    let token = app.issue_token(&user, days);
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
