//! The owners of CRM records. A record belongs to one call log.
//!
//! A log that creates a record normally owns it, and its item names it. Where a record has no call tag, recovery may find a
//! record that resembles the one that is looked for. It asks the index which log's item names that record. The index is
//! eventually consistent, so recovery waits first. Two logs that recover at the same time find no name, so the one that
//! writes the record's own item first owns it.

use super::{
    Error, Store,
    attributes::{OWNING_LOG, PK, RECORD, RECORD_INDEX, TTL, number, text},
    call::claim::INDEX_TTL_S,
    expression::{Update, WriteOutcome},
    from_sdk_error,
    keys::{TableKey, record_partition},
};
use crate::model::{CallLogId, LogKey, TenantKey};

impl Store {
    /// Returns `true` if the item of another call log than `own` names this record. The index does not show what was written
    /// a moment ago.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn is_record_of_other(
        &self,
        tenant: &TenantKey,
        record: &CallLogId,
        own: &LogKey,
    ) -> Result<bool, Error> {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(RECORD_INDEX)
            .key_condition_expression("#record = :record")
            .expression_attribute_names("#record", RECORD)
            .expression_attribute_values(":record", text(record_partition(tenant, record)));
        let page = Box::pin(request.send()).await.map_err(from_sdk_error)?;
        let own = TableKey::log(own);
        Ok(page.items.iter().flatten().any(|item| TableKey::of_item(item).as_ref() != Some(&own)))
    }

    /// Makes a call log the owner of a record that recovery has found. Returns `false` if another log owns it. `now_ms`:
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn own_record(
        &self,
        tenant: &TenantKey,
        record: &CallLogId,
        own: &LogKey,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let own = text(TableKey::log(own).text());
        let update = Update::when(format!("attribute_not_exists(#{PK}) OR #{OWNING_LOG} = :own"))
            .value("own", own.clone())
            .set(OWNING_LOG, own)
            .set(TTL, number(now_ms / 1_000 + INDEX_TTL_S));
        let outcome = self.update(TableKey::record(tenant, record), update).await?;
        Ok(matches!(outcome, WriteOutcome::Written { .. }))
    }
}
