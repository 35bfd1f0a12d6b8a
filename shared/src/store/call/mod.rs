//! Call logs in the table: one item for each call log of ours.
//!
//! - [`item`]: an item as it is read; [`transition`]: the states and what leads from one to another;
//! - [`basis`]: the ground on which a write belongs to a log;
//! - [`claim`]: the beginning of an attempt; [`release`]: its end; [`due`]: when the redrive takes a call up;
//! - [`payload`]: what a request to create brought, kept until the call is logged;
//! - [`queue`]: the updates that wait to be written; [`logs`]: the logs of a call;
//! - [`moved`]: the work of users who have moved to another CRM account; [`erased`]: the traces of a person.

pub(super) mod basis;
pub(super) mod claim;
mod due;
mod erased;
pub(super) mod item;
mod logs;
mod moved;
mod payload;
mod queue;
mod release;
mod transition;

pub use basis::{Basis, Origin};
pub use claim::{Change, ClaimCreate, ClaimUpdate, Earlier, Enqueued, Lease, Purpose, Queued, Undo};
pub use due::{Due, Rearmed};
pub use item::{CallItem, HistoryEntry, LastWritten, QueuedUpdate, RecoveryCriteria, SWEEP_AFTER_MS};
pub use queue::AuthoredNote;
pub use release::{Finish, Release};
pub use transition::{Event, State, TRANSITIONS};

use super::{
    Error, Store,
    attributes::{PK, SK, text},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableKey, call_partition},
};
use crate::model::{CallKey, LogKey};

impl Store {
    /// Reads the item of a call log; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn call(&self, key: &LogKey) -> Result<Option<CallItem>, Error> {
        let item = self.get(TableKey::log(key)).await?;
        item.map(|item| self.read_call(&item)).transpose()
    }

    /// Reads the items of all logs of a call, for the operator. An item from which everything was taken back is left out.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if an item cannot be read.
    pub async fn logs_of_call(&self, call: &CallKey) -> Result<Vec<(LogKey, CallItem)>, Error> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :partition"))
            .expression_attribute_values(":partition", text(call_partition(call)))
            .send()
            .await
            .map_err(from_sdk_error)?;
        let mut logs = Vec::new();
        for item in page.items.iter().flatten() {
            let reader = ItemReader(item);
            let key = reader.key()?.log_key().ok_or_else(|| reader.unreadable(SK))?;
            let call = self.read_call(item)?;
            if call.state != State::Queued || !(call.queue.is_empty() && call.waiting.is_empty()) {
                logs.push((key, call));
            }
        }
        Ok(logs)
    }
}
