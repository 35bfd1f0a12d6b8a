//! `call-log doctor`: checks what a deployment needs, and says what to do.

use std::{collections::BTreeSet, fmt};

use call_log::{
    adapters::{Crm, presentation::Connect},
    delivery::connection,
    login::AllowedTenants,
    model::Deadline,
    startup::app::App,
    store::StoredUser,
};
use serde_json::{Value, json};

use super::user::{CHECK_MS, State, check_user};
use crate::{arguments::Output, environment, error::CommandError, output};

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, and an operator should know.
    Notice,
    Bad,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Verdict::Good => "ok",
            Verdict::Notice => "note",
            Verdict::Bad => "BAD",
        })
    }
}

struct Check {
    verdict: Verdict,
    subject: String,
    finding: String,
}

pub(super) async fn run(output: Output) -> Result<(), CommandError> {
    // Without configuration, secrets and keys the program does not come further: the error says what is missing.
    let app = environment::app().await?;
    let users = app.store.users().await?;
    let mut checks = vec![
        good("environment", "configuration, secrets and keys are complete"),
        good("table", "it can be read"),
    ];
    checks.push(address(&app));
    checks.push(tenants(&app).await?);
    for crm in app.crms {
        checks.extend(registration(&app, *crm).await);
    }
    let mut tenants = BTreeSet::new();
    for (key, user) in &users {
        if let Ok(user) = user
            && tenants.insert(user.user.tenant())
        {
            checks.extend(setup(&app, user).await);
        }
        checks.push(match user {
            Ok(user) => user_check(&app, user).await,
            Err(error) => {
                Check { verdict: Verdict::Bad, subject: key.to_string(), finding: error.to_string() }
            }
        });
    }
    let bad = checks.iter().filter(|check| check.verdict == Verdict::Bad).count();
    print(&checks, output)?;
    if bad > 0 { Err(CommandError::Unwell(bad)) } else { Ok(()) }
}

fn good(subject: &str, finding: &str) -> Check {
    Check { verdict: Verdict::Good, subject: subject.to_owned(), finding: finding.to_owned() }
}

fn address(app: &App) -> Check {
    match &app.api.site.url {
        Some(url) => good("address", url),
        None => Check {
            verdict: Verdict::Notice,
            subject: "address".to_owned(),
            finding: "PUBLIC_URL is not set: the functions use API Gateway's own address".to_owned(),
        },
    }
}

async fn tenants(app: &App) -> Result<Check, CommandError> {
    let allowed = app.store.tenants().await?.into_iter().filter(|(_, is_allowed)| *is_allowed).count();
    let (verdict, finding) = match &app.api.site.allowed {
        AllowedTenants::All => (Verdict::Notice, "the people of every company may connect".to_owned()),
        AllowedTenants::Named(names) if names.is_empty() && allowed == 0 => {
            (Verdict::Notice, "no company is allowed yet; allow one with `call-log tenant allow`".to_owned())
        }
        AllowedTenants::Named(names) => {
            (Verdict::Good, format!("the people of {} companies may connect", names.len() + allowed))
        }
    };
    Ok(Check { verdict, subject: "who may connect".to_owned(), finding })
}

/// Checks our registration with a CRM, if people connect it at the CRM's own page.
async fn registration(app: &App, crm: &dyn Crm) -> Option<Check> {
    let ways = crm.presentation().connect;
    if !ways.iter().any(|way| matches!(way, Connect::OAuth { .. })) {
        return None;
    }
    let (verdict, finding) = match app.secrets.oauth_client(crm.platform()).await {
        Ok(_) => (Verdict::Good, "people can sign in".to_owned()),
        Err(error) => (Verdict::Notice, error.to_string()),
    };
    Some(Check { verdict, subject: crm.display_name().to_owned(), finding })
}

/// Asks the CRM what is still to be set up in the account of a user. A credential that does not work has a check of its own.
async fn setup(app: &App, user: &StoredUser) -> Option<Check> {
    let crm = app.crm(user.user.platform.as_str()).filter(|_| State::of(user) == State::Connected)?;
    let deadline = Deadline(app.clock.now_ms() + CHECK_MS);
    let missing = connection::missing_setup(app, crm, user.clone(), deadline).await.ok()??;
    Some(Check { verdict: Verdict::Notice, subject: user.user.tenant().to_string(), finding: missing })
}

/// Asks the CRM whether a user's credential works.
async fn user_check(app: &App, user: &StoredUser) -> Check {
    let state = match State::of(user) {
        State::Connected => check_user(app, user).await,
        state => Ok(state.to_string()),
    };
    let is_tenant_known = user.user.known_tenant().is_some();
    let (verdict, finding) = match (State::of(user), state) {
        (State::Connected, Ok(_)) if !is_tenant_known => (
            Verdict::Notice,
            "works, but the account is not known, so the user shares no calls with colleagues; store the user again".to_owned(),
        ),
        (State::Connected, Ok(name)) => (Verdict::Good, name),
        (State::Disconnected, Ok(state)) => (Verdict::Notice, state),
        (_, Ok(state)) => (Verdict::Bad, format!("{state}; the person has to connect again")),
        (_, Err(reason)) => (Verdict::Bad, reason),
    };
    Check { verdict, subject: user.user.id.to_string(), finding }
}

fn print(checks: &[Check], output: Output) -> Result<(), CommandError> {
    if output.json {
        let rows: Vec<Value> = checks
            .iter()
            .map(|check| json!({ "verdict": check.verdict.to_string(), "subject": check.subject, "finding": check.finding }))
            .collect();
        return Ok(output::print_document(&json!(rows))?);
    }
    let rows: Vec<_> = checks
        .iter()
        .map(|check| [check.verdict.to_string(), check.subject.clone(), check.finding.clone()])
        .collect();
    Ok(output::print_table(None, &rows)?)
}
