//! `call-log connect`: connects a CRM account with a key, which is checked against the CRM first.

use call_log::{
    adapters,
    login::{AllowedTenants, Login, LoginError, Proof},
    model::{Deadline, Secret},
};
use serde_json::json;

use super::{ACCOUNT_MS, unknown_platform};
use crate::{arguments::Output, environment, error::CommandError, output::print_either};

pub(super) async fn run(platform: &str, key: Option<String>, output: Output) -> Result<(), CommandError> {
    let crm = adapters::find(platform)
        .ok_or_else(|| CommandError::NotConnected(platform.to_owned(), unknown_platform()))?;
    let Some(key) = key else { return Err(CommandError::NoKey(crm.display_name())) };
    let app = environment::app().await?;
    // The operator decides who may connect.
    let allowed = AllowedTenants::All;
    let deadline = Deadline(app.clock.now_ms() + ACCOUNT_MS);
    let login = Login { services: &app, crm, allowed: &allowed, deadline };
    let connected = login.connect(Proof::Key(Secret::new(key))).await.map_err(|error| match error {
        LoginError::Store(error) => error.into(),
        LoginError::Refused(words) if !words.is_empty() => {
            CommandError::NotConnected(crm.display_name().to_owned(), words)
        }
        error => CommandError::NotConnected(crm.display_name().to_owned(), error.to_string()),
    })?;
    let user = &connected.stored.user;
    let token = app.issue_valid_token(&connected.stored, 14);
    let text = format!(
        "{} is connected as {} ({}): user {}, tenant {}.\nToken for 14 days: {token}",
        crm.display_name(),
        connected.name,
        connected.account,
        user.id,
        user.tenant(),
    );
    let value = json!({
        "id": user.id.as_str(), "platform": user.platform.as_str(), "tenant": user.tenant().to_string(),
        "name": connected.name, "account": connected.account, "token": token,
    });
    Ok(print_either(output.json, text, &value)?)
}
