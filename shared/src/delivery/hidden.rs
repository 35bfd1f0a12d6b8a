//! A record that a user's credential cannot find: it was deleted, or the CRM hides it from this user.

use crate::{
    adapters::{Effect, Error, ErrorKind},
    delivery::{attempt::Attempt, failure::Failure, tenancy},
    model::{CallLogId, UserId},
    store::StoredUser,
};

impl Attempt<'_> {
    /// Returns what it means that the record was not found. It counts as deleted only if the credential of its creator or
    /// its owner does not find it either. That credential answers this one question, and nothing that it reads is used.
    pub(crate) async fn judge_missing(&self, record: &CallLogId, failure: Failure) -> Failure {
        let item = &self.claim.item;
        let entitled = [&item.owner, &item.creator].map(Option::as_ref).into_iter().flatten();
        let entitled: Vec<_> = entitled.collect();
        let is_entitled = entitled.is_empty() || entitled.contains(&&self.grant.user().user.id);
        if failure.kind() != Some(&ErrorKind::NotFound) || is_entitled {
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
