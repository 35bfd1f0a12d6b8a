//! `call-log crms`: lists the CRMs, what each can do, and how one connects.

use call_log::adapters::{Crm, Finish, LimitScope, REGISTRY, presentation::Connect};
use serde_json::{Value, json};

use crate::{arguments::Output, error::CommandError, output};

pub(super) fn run(output: Output) -> Result<(), CommandError> {
    if output.json {
        let crms: Vec<_> = REGISTRY.iter().map(|crm| document(*crm)).collect();
        return Ok(output::print_document(&Value::Array(crms))?);
    }
    let headings = ["PLATFORM", "CRM", "CONNECT WITH", "FIND A LOST CALL", "DETECT EDITS", "TEXT"];
    let rows: Vec<_> = REGISTRY.iter().map(|crm| row(*crm)).collect();
    Ok(output::print_table(Some(headings), &rows)?)
}

fn row(crm: &dyn Crm) -> [String; 6] {
    let capabilities = crm.capabilities();
    let connect = crm.presentation().connect.iter().map(|way| match way {
        Connect::OAuth { .. } => "OAuth",
        Connect::ApiKey { .. } => "API key",
    });
    let recovery: Vec<_> = capabilities.recovery.iter().map(ToString::to_string).collect();
    [
        crm.platform().to_owned(),
        crm.display_name().to_owned(),
        connect.collect::<Vec<_>>().join(" or "),
        recovery.join(", else "),
        capabilities.compare_and_set.to_string(),
        format!("{:?}", capabilities.format).to_lowercase(),
    ]
}

fn document(crm: &dyn Crm) -> Value {
    let capabilities = crm.capabilities();
    let recovery: Vec<_> = capabilities.recovery.iter().map(ToString::to_string).collect();
    json!({
        "platform": crm.platform(),
        "displayName": crm.display_name(),
        "format": format!("{:?}", capabilities.format).to_lowercase(),
        "recovery": recovery,
        "compareAndSet": capabilities.compare_and_set.to_string(),
        "finishStep": match capabilities.finish {
            Finish::None => "none",
            Finish::WithDuration => "when the duration is known",
            Finish::AfterEachChange => "after each change",
        },
        "rateLimitsOf": match capabilities.limit_scope {
            LimitScope::Account => "account",
            LimitScope::User => "user",
        },
        "presentation": crm.presentation(),
    })
}
