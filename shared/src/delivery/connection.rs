//! The connection of a caller to the CRM, as the table has it.

use crate::{
    adapters::{Crm, Profile},
    delivery::{
        failure::Failure,
        grant::Grant,
        services::Services,
        tenancy::{self, Admitted, Tenancy},
    },
    model::{Deadline, Sender, random_name},
    store::{self, StoredUser},
};

/// The connection of a caller to the CRM.
#[derive(Clone, Debug, PartialEq)]
pub enum Connection {
    /// The user has credentials that the CRM has not rejected.
    Connected(Box<StoredUser>),
    /// The CRM has rejected the grant: the user has to connect again.
    Ended(Box<StoredUser>),
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The token was issued before the user moved to another CRM account, or was revoked.
    Moved,
}

/// Returns the connection of the sender of a request.
///
/// # Errors
/// Fails if the table fails.
pub async fn of(services: &Services, sender: &Sender) -> Result<Connection, store::Error> {
    loop {
        let Some(tenancy) = Tenancy::of(services, sender).await? else { return Ok(Connection::NotConnected) };
        let read = tenancy::user(services, tenancy.user.clone(), &sender.user, "connection.user").await;
        return Ok(match tenancy.admit(services, read)? {
            Admitted::User(user) if user.session_ended => Connection::Ended(user),
            Admitted::User(user) => Connection::Connected(user),
            Admitted::NotConnected => Connection::NotConnected,
            Admitted::Moved => Connection::Moved,
            Admitted::Outdated => continue,
        });
    }
}

/// Asks the CRM which person a stored credential belongs to. It is renewed first if it has expired.
///
/// # Errors
/// The failure of the renewal or of the request.
pub async fn check(
    services: &Services,
    crm: &'static dyn Crm,
    user: StoredUser,
    deadline: Deadline,
) -> Result<Profile, Failure> {
    let holder = random_name();
    Grant::obtain(services, crm, user, None, deadline, &holder).await?.identify().await
}

/// Returns what an administrator still has to set up in the CRM account of a user, as a sentence.
///
/// # Errors
/// The failure of a renewal or of the request.
pub async fn missing_setup(
    services: &Services,
    crm: &'static dyn Crm,
    user: StoredUser,
    deadline: Deadline,
) -> Result<Option<String>, Failure> {
    let holder = random_name();
    Grant::obtain(services, crm, user, None, deadline, &holder).await?.missing_setup().await
}

/// Sets up the CRM account of a user, with the user's own credential.
///
/// # Errors
/// The failure of a renewal or of the requests.
pub async fn set_up(
    services: &Services,
    crm: &'static dyn Crm,
    user: StoredUser,
    deadline: Deadline,
) -> Result<(), Failure> {
    let holder = random_name();
    Grant::obtain(services, crm, user, None, deadline, &holder).await?.set_up().await
}
