//! The decisions of the administrators of a tenant. Settings that notes and delivery read are also in an item of their own,
//! which each call reads, so that it stays small.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Error, Store,
    attributes::{ADMINISTRATION, PK, SETTINGS, VERSION, number},
    expression::Update,
    item_reader::ItemReader,
    keys::{TableItem, TableKey},
    packing::{pack, unpack},
    users::{read_settings, settings_value},
};
use crate::model::{Settings, TenantKey, TenantSettings, UserMapping, hash::stable_hash};

/// The number of administrators whose last version is remembered.
const MOST_VIEWS: usize = 20;

/// Content that several administrators change, with the count of changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The content.
    #[serde(rename = "c")]
    pub content: T,
    /// The count of changes. 0: nothing is stored.
    #[serde(skip)]
    pub version: i64,
    /// The hashes of the logins that have changed it or were shown a change, each with the last version.
    #[serde(rename = "w")]
    views: Vec<(u64, i64)>,
}

/// The settings of a tenant's people, and what else an administrator enters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Administration {
    /// The settings.
    #[serde(rename = "s")]
    pub settings: TenantSettings,
    /// The URL of a manifest that the extension loads instead of this server's.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub custom_manifest: Option<String>,
}

impl<T> Versioned<T> {
    /// Returns `true` if a login has seen this version: it names the version, or was the last one to change it. `login`: the name
    /// of the login.
    pub fn is_seen_by(&self, login: &str, named: i64) -> bool {
        let last = self.views.iter().find(|(known, _)| *known == stable_hash([login.as_bytes()]));
        named == self.version || last.is_some_and(|(_, version)| *version == self.version)
    }

    /// Returns the next version, with this content, which a login has seen.
    #[must_use]
    pub fn next(&self, content: T, login: &str) -> Versioned<T> {
        let (login, version) = (stable_hash([login.as_bytes()]), self.version + 1);
        let mut views = self.views.clone();
        views.retain(|(known, _)| *known != login);
        views.push((login, version));
        views.drain(..views.len().saturating_sub(MOST_VIEWS));
        Versioned { content, version, views }
    }
}

impl Store {
    /// Reads what the administrators of a tenant have decided, and the mapping of its users.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if an item cannot be read.
    pub async fn administration(
        &self,
        tenant: &TenantKey,
    ) -> Result<(Versioned<Administration>, Versioned<UserMapping>), Error> {
        let (settings, mapping) = (TableKey::administration(tenant), TableKey::mapping(tenant));
        let (settings, mapping) = tokio::join!(self.get(settings), self.get(mapping));
        Ok((self.read_versioned(settings?)?, self.read_versioned(mapping?)?))
    }

    /// Reads what the administrators of a tenant have decided about the settings.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn administrator_settings(&self, tenant: &TenantKey) -> Result<TenantSettings, Error> {
        let item = self.get(TableKey::administration(tenant)).await?;
        Ok(self.read_versioned::<Administration>(item)?.content.settings)
    }

    /// Reads the mapping of a tenant's users.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn user_mapping(&self, tenant: &TenantKey) -> Result<Versioned<UserMapping>, Error> {
        let item = self.get(TableKey::mapping(tenant)).await?;
        self.read_versioned(item)
    }

    /// Reads those settings of a tenant that notes and delivery read.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn tenant_settings(&self, tenant: &TenantKey) -> Result<TenantSettings, Error> {
        let item = self.get(TableKey::tenant_settings(tenant)).await?;
        item.as_ref().map_or(Ok(TenantSettings::default()), read_tenant_settings)
    }

    /// Stores the next version of what the administrators of a tenant have decided, of the mapping of its users, or of both, at
    /// once. `hot`: the settings that notes and delivery read. Returns `false`, and stores nothing, if another version was stored
    /// meanwhile.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn put_administration(
        &self,
        tenant: &TenantKey,
        settings: Option<(&Versioned<Administration>, TenantSettings)>,
        mapping: Option<&Versioned<UserMapping>>,
    ) -> Result<bool, Error> {
        let mut updates = Vec::new();
        if let Some((next, hot)) = settings {
            let key = TableKey::administration(tenant);
            updates.push((key.clone(), self.versioned(&key, next)?));
            let hot = Update::default().set(SETTINGS, settings_value(&Settings(hot.0)));
            updates.push((TableKey::tenant_settings(tenant), hot));
        }
        if let Some(next) = mapping {
            let key = TableKey::mapping(tenant);
            updates.push((key.clone(), self.versioned(&key, next)?));
        }
        if updates.is_empty() { Ok(true) } else { self.update_all(updates).await }
    }

    /// Returns the update that stores a version after the one before it.
    pub(super) fn versioned<T: Serialize>(
        &self,
        key: &TableKey,
        next: &Versioned<T>,
    ) -> Result<Update, Error> {
        let packed = pack(next).map_err(|error| Error::Rejected(error.to_string()))?;
        let update = match next.version {
            1 => Update::when(format!("attribute_not_exists(#{PK})")),
            version => Update::when(format!("#{VERSION} = :before")).value("before", number(version - 1)),
        };
        Ok(update
            .set(ADMINISTRATION, self.encrypt(key, ADMINISTRATION, &packed)?)
            .set(VERSION, number(next.version)))
    }

    pub(super) fn read_versioned<T: DeserializeOwned + Default>(
        &self,
        item: Option<TableItem>,
    ) -> Result<Versioned<T>, Error> {
        let Some(item) = item else { return Ok(Versioned::default()) };
        let reader = ItemReader(&item);
        let packed = reader.encrypted(&self.keyring(), ADMINISTRATION)?;
        let read: Option<Versioned<T>> = packed.and_then(|packed| unpack(&packed));
        let read = read.ok_or_else(|| reader.unreadable(ADMINISTRATION))?;
        Ok(Versioned { version: reader.number(VERSION)?.unwrap_or(0), ..read })
    }
}

pub(super) fn read_tenant_settings(item: &TableItem) -> Result<TenantSettings, Error> {
    Ok(TenantSettings(read_settings(ItemReader(item))?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_seen_by_the_login_that_names_it_or_made_it() {
        let first = Versioned::<UserMapping>::default();
        assert!(first.is_seen_by("a", 0) && !first.is_seen_by("a", 1));
        let second = first.next(UserMapping::default(), "a");
        for (login, named, expected) in
            [("a", 1, true), ("a", 0, true), ("b", 1, true), ("b", 0, false), ("b", 2, false)]
        {
            assert_eq!(second.is_seen_by(login, named), expected, "{login} {named}");
        }
        let third = second.next(UserMapping::default(), "b");
        assert!(!third.is_seen_by("a", 1) && third.is_seen_by("b", 1));
        let last =
            (0..30).fold(third, |before, login| before.next(UserMapping::default(), &login.to_string()));
        assert_eq!((last.version, last.views.len()), (32, MOST_VIEWS));
    }
}
