//! Cleaning: the sections of notes that a tenant's CRM shows differently from what was sent, as far as this process has
//! learned them. Such a section proves nothing about a record, so recovery leaves it out of its comparison.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use crate::{
    adapters::{CallLog, Crm},
    model::TenantKey,
    note::{Section, differing_sections},
    store::LastWritten,
    telemetry::{self, Metric},
};

/// The sections that the CRMs of tenants change.
#[derive(Debug, Default)]
pub struct Cleaning(Mutex<HashMap<TenantKey, BTreeSet<Section>>>);

impl Cleaning {
    /// Returns the sections that the tenant's CRM is known to change.
    pub(crate) fn of(&self, tenant: &TenantKey) -> BTreeSet<Section> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).cloned().unwrap_or_default()
    }

    /// Learns from a record of ours that was read, if it was not changed since we created it.
    pub(crate) fn learn(&self, crm: &dyn Crm, tenant: &TenantKey, current: &CallLog, written: &LastWritten) {
        let capabilities = crm.capabilities();
        if current.is_changed != Some(false) || !capabilities.recovers_by_content() {
            return;
        }
        let sent: BTreeSet<_> = written.sections.sent_sections().collect();
        let differing =
            differing_sections(capabilities.format, &current.body, std::slice::from_ref(&written.sections));
        let cleaned: Vec<_> = differing.into_iter().filter(|section| sent.contains(section)).collect();
        if cleaned.is_empty() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(tenant.clone()).or_default();
        for section in cleaned {
            if known.insert(section) {
                telemetry::count(Metric::CleanedByCrm);
                tracing::warn!(
                    section = section.label(),
                    "the CRM shows a section differently from what was sent"
                );
            }
        }
    }
}
