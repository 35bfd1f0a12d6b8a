//! The connection of a caller to the CRM, as the table has it.

use crate::{
    delivery::{
        services::Services,
        tenancy::{self, Admitted, Tenancy},
    },
    model::{Sender, User},
    store,
};

/// The connection of a caller to the CRM.
#[derive(Clone, Debug, PartialEq)]
pub enum Connection {
    /// The user has credentials that the CRM has not rejected.
    Connected(Box<User>),
    /// The CRM has rejected the grant: the user has to connect again.
    Ended,
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
            Admitted::User(user) if user.session_ended => Connection::Ended,
            Admitted::User(user) => Connection::Connected(Box::new(user.user)),
            Admitted::NotConnected => Connection::NotConnected,
            Admitted::Moved => Connection::Moved,
            Admitted::Outdated => continue,
        });
    }
}
