//! `call-log tenant`: says whose people may connect by themselves.

use call_log::model::TenantKey;
use serde_json::json;

use super::unknown_platform;
use crate::{
    arguments::{Output, Tenant},
    environment,
    error::CommandError,
    output::{self, print_either},
};

pub(super) async fn run(command: Tenant) -> Result<(), CommandError> {
    match command {
        Tenant::Allow { tenant, output } => set(&tenant, true, output).await,
        Tenant::Forbid { tenant, output } => set(&tenant, false, output).await,
        Tenant::List { output } => list(output).await,
    }
}

async fn set(tenant: &str, is_allowed: bool, output: Output) -> Result<(), CommandError> {
    let invalid = |reason: String| CommandError::InvalidTenant { tenant: tenant.to_owned(), reason };
    let key = TenantKey::parse(tenant)
        .ok_or_else(|| invalid("expected the CRM and the account, such as example:3151823".to_owned()))?;
    let app = environment::app().await?;
    if app.crm(key.platform.as_str()).is_none() {
        return Err(invalid(unknown_platform()));
    }
    app.store.allow_tenant(&key, is_allowed).await?;
    let text = match is_allowed {
        true => format!("The people of {key} may connect."),
        false => format!("The people of {key} may no longer connect. Those who are connected stay so."),
    };
    Ok(print_either(output.json, text, &json!({ "tenant": key.to_string(), "allowed": is_allowed }))?)
}

async fn list(output: Output) -> Result<(), CommandError> {
    let app = environment::app().await?;
    let tenants = app.store.tenants().await?;
    if output.json {
        let rows: Vec<_> = tenants
            .iter()
            .map(|(tenant, is_allowed)| json!({ "tenant": tenant.to_string(), "allowed": is_allowed }))
            .collect();
        return Ok(output::print_document(&json!(rows))?);
    }
    if tenants.is_empty() {
        return Ok(output::print(
            "No tenant is allowed here. ALLOWED_TENANTS of the functions may name others.",
        )?);
    }
    let rows: Vec<_> = tenants
        .iter()
        .map(|(tenant, is_allowed)| {
            [tenant.to_string(), if *is_allowed { "may connect" } else { "may not connect" }.to_owned()]
        })
        .collect();
    Ok(output::print_table(Some(["TENANT", "ITS PEOPLE"]), &rows)?)
}
