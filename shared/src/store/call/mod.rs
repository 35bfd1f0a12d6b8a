//! Call logs in the table: one item for each call log of ours.
//!
//! - [`item`]: an item as it is read; [`transition`]: the states and what leads from one to another;
//! - [`claim`]: the beginning of an attempt; [`release`]: its end; [`due`]: when the redrive takes a call up;
//! - [`payload`]: what a request to create brought, kept until the call is logged.

pub(super) mod claim;
mod due;
pub(super) mod item;
mod payload;
mod release;
mod transition;

pub use claim::{Change, ClaimCreate, ClaimUpdate, Enqueued, Lease, Purpose, Queued};
pub use due::{Due, Rearmed};
pub use item::{CallItem, HistoryEntry, LastWritten, RecoveryCriteria, SWEEP_AFTER_MS};
pub use release::{Finish, Release};
pub use transition::{Event, State, TRANSITIONS};

use super::{
    Error, Store,
    attributes::{PK, SK, text},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableKey, session_prefix, user_partition},
};
use crate::model::{CallKey, Extension, SessionId, UserKey};

impl Store {
    /// Reads the item of a call; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn call(&self, key: &CallKey) -> Result<Option<CallItem>, Error> {
        let item = self.get(TableKey::call(key)).await?;
        item.map(|item| self.read_call(&item)).transpose()
    }

    /// Reads a user's items of a session, one for each extension that logged it, for the operator.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if an item cannot be read.
    pub async fn calls_of_session(
        &self,
        user: &UserKey,
        session: &SessionId,
    ) -> Result<Vec<(Option<Extension>, CallItem)>, Error> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :partition AND begins_with({SK}, :prefix)"))
            .expression_attribute_values(":partition", text(user_partition(user)))
            .expression_attribute_values(":prefix", text(session_prefix(session)))
            .send()
            .await
            .map_err(from_sdk_error)?;
        let items = page.items.unwrap_or_default();
        items
            .iter()
            .map(|item| {
                let reader = ItemReader(item);
                let key = reader.key()?.call_key().ok_or_else(|| reader.unreadable(SK))?;
                Ok((key.extension, self.read_call(item)?))
            })
            .collect()
    }
}
