//! A record that a user's credential cannot find: it was deleted, or the CRM hides it from this user.

use crate::{
    adapters::{Effect, Error, ErrorKind},
    delivery::{attempt::Attempt, failure::Failure, tenancy, write},
    model::{CallLogId, UserId},
    store::{self, StoredUser},
};

impl Attempt<'_> {
    /// Gives the lease back after a failure to read or to change the record. A record that was not found counts as deleted
    /// only if the credential of its creator or its owner does not find it either.
    pub(crate) async fn fail_missing(&self, failure: Failure) -> Result<write::Outcome, store::Error> {
        let failure = match &self.claim.item.log_id {
            Some(record) if failure.kind() == Some(&ErrorKind::NotFound) => {
                self.judge_missing(record, failure).await
            }
            _ => failure,
        };
        self.claim.fail_write(failure).await
    }

    /// Returns the failure if the record was deleted, else the one of a record that this user cannot see. Another credential
    /// answers this one question, and nothing else that it reads is used.
    async fn judge_missing(&self, record: &CallLogId, failure: Failure) -> Failure {
        let item = &self.claim.item;
        let entitled: Vec<_> = [&item.owner, &item.creator].into_iter().flatten().collect();
        if entitled.is_empty() || entitled.contains(&&self.grant.user().user.id) {
            return failure;
        }
        for user in entitled {
            match self.is_shown_to(user, record).await {
                Ok(true) => {
                    let reason = "the record is in the CRM, but this user cannot see it";
                    return Error::new(ErrorKind::AlreadyExists(None), Effect::None, reason).into();
                }
                Ok(false) => return failure,
                Err(error) => {
                    tracing::warn!(%error, "a record could not be looked for with another credential")
                }
            }
        }
        Failure::unavailable("the record is not found, and neither its creator nor its owner can be asked")
    }

    async fn is_shown_to(&self, user: &UserId, record: &CallLogId) -> Result<bool, Failure> {
        let (claim, key) = (&self.claim, self.claim.lease.key);
        let user = tenancy::user(claim.services, None, &key.user(user), "update.entitled").await?;
        let is_usable = |user: &StoredUser| user.user.tenant() == key.call.tenant && !user.session_ended;
        let Some(user) = user.filter(is_usable) else { return Err(Failure::SessionEnded) };
        let mut grant = claim.grant(user, None).await?;
        match grant.read_record(record).await {
            Err(failure) if failure.kind() == Some(&ErrorKind::NotFound) => Ok(false),
            read => read.map(|_| true),
        }
    }
}
