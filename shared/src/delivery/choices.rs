//! Choices: what a person chose in the form of a call log, such as a deal.
//!
//! A choice is an update of the log like any other, with one difference: it is what a person decided just now, so it replaces
//! what the record shows. The extension sends all choices again with each edit, therefore those that were sent last are no
//! change.

use crate::{
    adapters::Crm,
    delivery::{
        form,
        services::Services,
        tenancy::{Admitted, Tenancy},
        update,
    },
    model::{CallKey, Deadline, Match, Sender, UpdateCallLog, match_log},
    store::{self, Depth, LookedUp},
};

/// The result of a request to change the choices of a log.
#[derive(Debug)]
pub enum Outcome {
    /// There is nothing to change.
    Nothing,
    /// The result of the update.
    Update(update::Outcome),
}

/// Changes the choices of a log for the sender of the request.
///
/// # Errors
/// Fails if the table fails.
pub async fn run(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    command: UpdateCallLog,
    deadline: Deadline,
) -> Result<Outcome, store::Error> {
    if command.details.choices.is_empty() || is_last_sent(services, crm, sender, &command).await? {
        return Ok(Outcome::Nothing);
    }
    update::run(services, crm, sender, command, deadline).await.map(Outcome::Update)
}

/// Returns `true` if the log has these choices as far as we know. What a person changed in the CRM since then stays.
async fn is_last_sent(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    command: &UpdateCallLog,
) -> Result<bool, store::Error> {
    let Some(tenancy) = Tenancy::of(services, sender).await? else { return Ok(false) };
    let call =
        CallKey { tenant: tenancy.tenant.clone(), session: command.session.clone(), header_user: None };
    let (key, breaker) = (call.log(0), tenancy.breaker_key(crm, &sender.user));
    let read = services.store.look_up(&sender.user, &breaker, std::slice::from_ref(&key), Depth::Content);
    let LookedUp { user, mut logs, .. } = services.sync_points.reach("choices.read", read).await?;
    let (Admitted::User(_), Some(first)) = (tenancy.admit(services, Ok(user))?, logs.remove(&key)) else {
        return Ok(false);
    };
    let item = match match_log(&first.known_logs(), &sender.identity, Some(&sender.user.id)) {
        Match::Log(0) => Some(first),
        Match::Log(slot) => {
            let key = call.log(slot);
            let read = services.store.logs(std::slice::from_ref(&key), Depth::Content);
            services.sync_points.reach("choices.further", read).await?.remove(&key)
        }
        Match::NoLog | Match::Several(_) => None,
    };
    Ok(item.is_some_and(|item| form::shows(&item, &command.details.choices)))
}
