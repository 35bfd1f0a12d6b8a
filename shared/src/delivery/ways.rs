//! The ways in which the CRMs of some tenants take the call tag, as far as this process has learned them.
//!
//! An adapter lists its ways, the best first. A tenant's CRM may refuse the first one, for example because the
//! administrator has not set up the field for the tag. The process then remembers the way that worked, so that it does not
//! send each call twice. It forgets it after an hour, because the field may have been set up meanwhile.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    adapters::{Crm, Recovery},
    model::TenantKey,
};

/// The time for which a way is remembered, in milliseconds.
const REMEMBERED_MS: i64 = 3_600_000;

/// The ways that worked after the CRM had refused a better one.
#[derive(Debug, Default)]
pub struct Ways(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The way of each tenant, and until when it is remembered, in milliseconds since 1970.
    tenants: HashMap<TenantKey, (Recovery, i64)>,
}

impl Ways {
    /// Returns the way in which an attempt for this tenant is sent.
    pub(crate) fn of(&self, crm: &dyn Crm, tenant: &TenantKey, now_ms: i64) -> Recovery {
        self.known(now_ms).tenants.get(tenant).map_or_else(|| best(crm), |(way, _)| *way)
    }

    /// Remembers a way that worked for this tenant after a better one was refused.
    pub(crate) fn remember(&self, tenant: &TenantKey, way: Recovery, now_ms: i64) {
        self.known(now_ms).tenants.insert(tenant.clone(), (way, now_ms + REMEMBERED_MS));
    }

    /// Returns what is known now.
    fn known(&self, now_ms: i64) -> MutexGuard<'_, Known> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.tenants.retain(|_, (_, until_ms)| *until_ms > now_ms);
        guard
    }
}

fn best(crm: &dyn Crm) -> Recovery {
    crm.capabilities().recovery[0]
}

/// Returns the way that an adapter lists after this one, or `None` if it is the last one.
pub(crate) fn next(crm: &dyn Crm, way: Recovery) -> Option<Recovery> {
    let mut ways = crm.capabilities().recovery.iter();
    ways.find(|listed| **listed == way)?;
    ways.next().copied()
}

/// Returns the way with this name. Attempts of earlier versions, whose way is not stored, had the first one.
pub(crate) fn named(crm: &dyn Crm, name: Option<&str>) -> Recovery {
    let mut ways = crm.capabilities().recovery.iter().copied();
    ways.find(|way| Some(way.name()) == name).unwrap_or_else(|| best(crm))
}
