//! The decisions of the administrators of a tenant: settings of its people, and which extension at RingCentral belongs to which
//! user of the CRM. `login/administrator.rs` decides who is an administrator.
//!
//! The extension reads everything once, and sends everything back after each change. So what it sends is compared with what is
//! stored, and a change counts only from a browser that has seen the last one: administrators never undo each other's changes
//! without knowing it.

use std::collections::BTreeMap;

use crate::{
    adapters::Crm,
    delivery::{failure::Failure, grant::Grant, services::Services, settings::is_hot},
    model::{CrmUser, Deadline, RingCentralUser, TenantKey, TenantSettings, UserMapping, random_name},
    store::{self, Administration, StoredUser, Versioned},
};

/// The number of attempts to store a mapping that other requests change at the same time.
const ATTEMPTS: usize = 8;

/// Everything that an administrator sees and changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The settings.
    pub settings: Versioned<Administration>,
    /// The mapping of users.
    pub mapping: Versioned<UserMapping>,
}

/// A change of everything. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdministrationChange {
    /// The version of the settings that the administrator has seen.
    pub settings_version: i64,
    /// The version of the mapping that the administrator has seen.
    pub mapping_version: i64,
    /// The settings of the tenant's people.
    pub settings: Option<TenantSettings>,
    /// The URL of another manifest; empty: there is none.
    pub custom_manifest: Option<String>,
    /// The extensions of the users, by the CRM's ids of the users.
    pub mapping: Option<BTreeMap<String, Vec<String>>>,
}

/// The result of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// It is stored, or it changes nothing.
    Stored(Box<State>),
    /// Another administrator has changed the same meanwhile. Nothing is stored.
    Overtaken,
}

/// Returns what the administrators of a tenant have decided.
///
/// # Errors
/// Fails if the table does.
pub async fn show(services: &Services, tenant: &TenantKey) -> Result<State, store::Error> {
    let read = services.store.administration(tenant);
    let (settings, mapping) = services.sync_points.reach("administration.read", read).await?;
    Ok(State { settings, mapping })
}

/// Changes what the administrators of a tenant have decided. `login`: the name of the administrator's login.
///
/// # Errors
/// Fails if the table does.
pub async fn change(
    services: &Services,
    crm: &dyn Crm,
    tenant: &TenantKey,
    login: &str,
    change: &AdministrationChange,
) -> Result<Changed, store::Error> {
    let before = show(services, tenant).await?;
    let mut settings = before.settings.content.clone();
    if let Some(changed) = &change.settings {
        settings.settings = changed.clone();
    }
    if let Some(url) = &change.custom_manifest {
        settings.custom_manifest = Some(url.clone()).filter(|url| !url.is_empty());
    }
    let mapping = change.mapping.as_ref().map(|entries| before.mapping.content.changed_to(entries));
    let settings = (settings != before.settings.content).then_some(settings);
    let mapping = mapping.filter(|mapping| *mapping != before.mapping.content);
    let is_seen = (settings.is_none() || before.settings.is_seen_by(login, change.settings_version))
        && (mapping.is_none() || before.mapping.is_seen_by(login, change.mapping_version));
    if !is_seen {
        return Ok(Changed::Overtaken);
    }
    let settings = settings.map(|content| before.settings.next(content, login));
    let mapping = mapping.map(|content| before.mapping.next(content, login));
    let hot = settings.as_ref().map(|next| (next, hot(crm, &next.content.settings)));
    let put = services.store.put_administration(tenant, hot, mapping.as_ref());
    if !services.sync_points.reach("administration.store", put).await? {
        return Ok(Changed::Overtaken);
    }
    Ok(Changed::Stored(Box::new(State {
        settings: settings.unwrap_or(before.settings),
        mapping: mapping.unwrap_or(before.mapping),
    })))
}

/// Returns the settings that notes, delivery and the adapter read.
fn hot(crm: &dyn Crm, settings: &TenantSettings) -> TenantSettings {
    let hot = settings.0.iter().filter(|(name, _)| is_hot(crm, name));
    TenantSettings(hot.map(|(name, entry)| (name.clone(), entry.clone())).collect())
}

/// Returns the users of the CRM and the mapping of them, with those who could be matched with one of these extensions.
/// `is_reset`: what was decided before is forgotten.
///
/// # Errors
/// The failure of the CRM or the table.
pub async fn map_users(
    services: &Services,
    crm: &'static dyn Crm,
    user: StoredUser,
    login: &str,
    extensions: &[RingCentralUser],
    is_reset: bool,
    deadline: Deadline,
) -> Result<(Vec<CrmUser>, UserMapping), Failure> {
    let (tenant, holder) = (user.user.tenant(), random_name());
    let users =
        Grant::obtain(services, crm, user, None, deadline, &holder).await?.impatient().users().await?;
    for _ in 0..ATTEMPTS {
        let read = services.store.user_mapping(&tenant);
        let before = services.sync_points.reach("mapping.read", read).await?;
        let mut mapping = if is_reset { UserMapping::default() } else { before.content.clone() };
        mapping.match_users(&users, extensions);
        // The login has seen the whole mapping now, so its next change is of this version.
        if mapping == before.content && before.is_seen_by(login, i64::MIN) {
            return Ok((users, mapping));
        }
        let next = before.next(mapping, login);
        let put = services.store.put_administration(&tenant, None, Some(&next));
        if services.sync_points.reach("mapping.store", put).await? {
            return Ok((users, next.content));
        }
    }
    Err(store::Error::Unavailable("other requests keep changing the mapping".to_owned()).into())
}
