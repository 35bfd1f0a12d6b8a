//! `call-log ringcentral`: says which administrators at RingCentral administrate which CRM account.

use serde_json::json;

use super::tenant_key;
use crate::{
    arguments::{Output, RingCentral},
    environment,
    error::CommandError,
    output::{print, print_document, print_either, print_table},
};

pub(super) async fn run(command: RingCentral) -> Result<(), CommandError> {
    match command {
        RingCentral::Bind { tenant, account, output } => set(&tenant, &account, true, output).await,
        RingCentral::Unbind { tenant, account, output } => set(&tenant, &account, false, output).await,
        RingCentral::List { output } => list(output).await,
    }
}

async fn set(tenant: &str, account: &str, is_bound: bool, output: Output) -> Result<(), CommandError> {
    let account = account.trim();
    if account.is_empty() || account.len() > 30 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CommandError::InvalidAccount(account.to_owned()));
    }
    let app = environment::app().await?;
    let key = tenant_key(&app, tenant)?;
    let is_changed = app.store.bind_ringcentral_account(&key, account, is_bound).await?;
    let people = format!("The administrators of the account {account} at RingCentral");
    let text = match (is_bound, is_changed) {
        (true, true) => format!("{people} administrate {key}."),
        (true, false) => format!("{people} administrate {key} already."),
        (false, true) => format!("{people} no longer administrate {key}."),
        (false, false) => format!("{people} do not administrate {key}."),
    };
    let value =
        json!({ "tenant": key.to_string(), "account": account, "bound": is_bound, "changed": is_changed });
    Ok(print_either(output.json, text, &value)?)
}

async fn list(output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let bindings = app.store.ringcentral_bindings().await?;
    if output.json {
        let row = |(tenant, accounts)| json!({ "tenant": format!("{tenant}"), "accounts": accounts });
        return Ok(print_document(
            &bindings.iter().map(|(tenant, accounts)| row((tenant, accounts))).collect(),
        )?);
    }
    if bindings.is_empty() {
        return Ok(print("No account at RingCentral is bound to a CRM account.")?);
    }
    let rows: Vec<_> =
        bindings.iter().map(|(tenant, accounts)| [tenant.to_string(), accounts.join(" ")]).collect();
    Ok(print_table(Some(["TENANT", "ACCOUNTS AT RINGCENTRAL"]), &rows)?)
}
