//! `call-log token`: a caller's token for a user.

use chrono::{Duration, SecondsFormat};
use serde_json::json;

use super::{Failure, find_user};
use crate::{arguments::Output, environment, output};

pub(super) async fn run(id: &str, days: u32, form: Output) -> Result<(), Failure> {
    let app = environment::app().await?;
    let user = find_user(&app, id).await?.user;
    let token = app.issue_token(&user, days);
    let end = app.clock.now() + Duration::days(i64::from(days));
    let value = json!({
        "token": token,
        "id": user.id.as_str(),
        "platform": user.platform.as_str(),
        "expiresAt": end.to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    Ok(output::say_or_document(form.json, &token, &value)?)
}
