//! Settings that neither notes nor delivery read: they are the extension's own, and have an item of their own, so that the
//! user's item stays small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error, Store,
    attributes::{PK, SETTINGS, VERSION, number},
    expression::{Update, WriteOutcome},
    item_reader::ItemReader,
    keys::TableKey,
};
use crate::model::UserKey;

/// The settings of the extension, and the values that each browser has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtensionSettings {
    /// The settings. One that is null was removed.
    #[serde(rename = "s")]
    pub settings: BTreeMap<String, Value>,
    /// The logins that have read the settings, the last one at the end; each with a hash of every value that it was shown.
    #[serde(rename = "b")]
    pub seen: Vec<(String, BTreeMap<String, u64>)>,
    /// The count of writes.
    #[serde(skip)]
    version: i64,
}

impl Store {
    /// Reads a user's settings of the extension.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn extension_settings(&self, user: &UserKey) -> Result<ExtensionSettings, Error> {
        let Some(item) = self.get(TableKey::settings(user)).await? else {
            return Ok(ExtensionSettings::default());
        };
        let reader = ItemReader(&item);
        let json = reader.encrypted(&self.keyring(), SETTINGS)?.ok_or_else(|| reader.unreadable(SETTINGS))?;
        let read: ExtensionSettings =
            serde_json::from_slice(&json).map_err(|_| reader.unreadable(SETTINGS))?;
        Ok(ExtensionSettings { version: reader.number(VERSION)?.unwrap_or(0), ..read })
    }

    /// Stores a user's settings of the extension, unless others were stored since these were read. Returns `false` if they
    /// were.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn put_extension_settings(
        &self,
        user: &UserKey,
        settings: &ExtensionSettings,
    ) -> Result<bool, Error> {
        let key = TableKey::settings(user);
        let json = serde_json::to_vec(settings).unwrap_or_default();
        let condition = match settings.version {
            0 => format!("attribute_not_exists(#{PK})"),
            _ => format!("#{VERSION} = :before"),
        };
        let mut update = Update::when(condition);
        if settings.version > 0 {
            update = update.value("before", number(settings.version));
        }
        let update = update
            .set(SETTINGS, self.encrypt(&key, SETTINGS, &json)?)
            .set(VERSION, number(settings.version + 1));
        Ok(matches!(self.update(key, update).await?, WriteOutcome::Written { .. }))
    }
}
