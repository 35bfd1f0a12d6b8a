//! Typed reading of an item's attributes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Error, Keyring,
    attributes::{PK, SK},
    keys::{TableItem, TableKey},
};

/// Reads one item. An attribute of a wrong type makes the item [`Error::Unreadable`].
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemReader<'a>(pub(super) &'a TableItem);

impl ItemReader<'_> {
    pub(super) fn unreadable(&self, attribute: &str) -> Error {
        // The sort key alone: the partition key names a person.
        let sort = self.0.get(SK).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        Error::Unreadable(sort, format!("attribute {attribute}"))
    }

    pub(super) fn undecryptable(&self, attribute: &str) -> Error {
        self.unreadable(&format!("{attribute}, which none of the encryption keys decrypts"))
    }

    pub(super) fn key(&self) -> Result<TableKey, Error> {
        TableKey::of_item(self.0).ok_or_else(|| self.unreadable(PK))
    }

    pub(super) fn text(&self, attribute: &str) -> Result<Option<String>, Error> {
        self.read(attribute, |value| value.as_s().ok().cloned())
    }

    pub(super) fn number(&self, attribute: &str) -> Result<Option<i64>, Error> {
        self.read(attribute, |value| value.as_n().ok()?.parse().ok())
    }

    /// An absent boolean is `false`.
    pub(super) fn boolean(&self, attribute: &str) -> Result<bool, Error> {
        Ok(self.read(attribute, |value| value.as_bool().ok().copied())?.unwrap_or(false))
    }

    pub(super) fn bytes(&self, attribute: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read(attribute, |value| Some(value.as_b().ok()?.as_ref().to_vec()))
    }

    /// A list of texts; an absent one is empty.
    pub(super) fn list(&self, attribute: &str) -> Result<Vec<String>, Error> {
        let entries = |value: &AttributeValue| {
            value.as_l().ok()?.iter().map(|entry| entry.as_s().ok().cloned()).collect::<Option<Vec<_>>>()
        };
        Ok(self.read(attribute, entries)?.unwrap_or_default())
    }

    /// A set of texts; an absent one is empty.
    pub(super) fn set(&self, attribute: &str) -> Result<Vec<String>, Error> {
        Ok(self.read(attribute, |value| value.as_ss().ok().cloned())?.unwrap_or_default())
    }

    /// A map of texts; an absent one is empty.
    pub(super) fn texts(&self, attribute: &str) -> Result<HashMap<String, String>, Error> {
        let entries = |value: &AttributeValue| {
            let entries = value.as_m().ok()?.iter();
            entries
                .map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone())))
                .collect::<Option<HashMap<_, _>>>()
        };
        Ok(self.read(attribute, entries)?.unwrap_or_default())
    }

    /// Encrypted bytes, decrypted.
    pub(super) fn encrypted(&self, keyring: &Keyring, attribute: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(ciphertext) = self.bytes(attribute)? else { return Ok(None) };
        let plaintext = keyring.decrypt(&self.key()?.associated_data(attribute), &ciphertext);
        plaintext.map(Some).map_err(|_| self.undecryptable(attribute))
    }

    fn read<T>(
        &self,
        attribute: &str,
        value: impl FnOnce(&AttributeValue) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(stored) = self.0.get(attribute) else { return Ok(None) };
        value(stored).map(Some).ok_or_else(|| self.unreadable(attribute))
    }
}
