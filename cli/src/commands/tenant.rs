//! `call-log tenant`: says whose people may connect by themselves.

use serde_json::json;

use super::tenant_key;
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
    let app = environment::app().await?;
    let key = tenant_key(&app, tenant)?;
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
