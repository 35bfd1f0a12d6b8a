//! The contact of a create that names none: the only one with the number of the call's other party.
//!
//! It is looked up under the lease, and stored before anything is sent. So all attempts that send something are for the same
//! contact, and a create for which no contact is found has sent nothing: it is taken back.

use crate::{
    delivery::{
        attempt::{Attempt, Claim},
        failure::Failure,
        reduction,
    },
    model::{CallDetails, Contact, Payload, is_extension_number, is_number},
    store::{self, RecoveryCriteria},
};

/// The result of the search for the contact of a create.
#[derive(Debug)]
pub(crate) enum ContactSearch {
    /// The create with its contact.
    Known(Box<Payload>),
    /// No contact has the number, or several have it. These are their names.
    Unknown(Vec<String>),
    /// Another invocation took the lease before the contact was stored.
    Overtaken,
}

impl Attempt<'_> {
    /// Returns a create with its contact. If the create names none, the CRM is asked for it.
    ///
    /// # Errors
    /// Fails if the CRM does not respond, or if the table does not store the contact. Nothing was sent then.
    pub(crate) async fn with_contact(&mut self, mut payload: Payload) -> Result<ContactSearch, Failure> {
        if payload.contact.is_some() {
            return Ok(ContactSearch::Known(Box::new(payload)));
        }
        let contact = match <[Contact; 1]>::try_from(self.contacts_of(&payload).await?) {
            Ok([contact]) => contact,
            Err(none_or_several) => {
                let name = |contact: Contact| contact.name.unwrap_or_else(|| "Unnamed contact".to_owned());
                return Ok(ContactSearch::Unknown(none_or_several.into_iter().map(name).collect()));
            }
        };
        // The name that a sender without a contact gives is not the contact's.
        payload.details.contact_name.clone_from(&contact.name);
        payload.contact = Some(contact);
        Ok(match self.store_contact(&payload).await? {
            true => ContactSearch::Known(Box::new(payload)),
            false => ContactSearch::Overtaken,
        })
    }

    /// Returns the contacts with the number of the call's other party, each once. A CRM that rejects the number has none.
    async fn contacts_of(&mut self, payload: &Payload) -> Result<Vec<Contact>, Failure> {
        let number = payload.details.contact_number.as_deref().unwrap_or_default();
        let mut found = match self.grant.find_contacts(number).await {
            Err(failure) if failure.kind().is_some_and(reduction::is_refusal) => Vec::new(),
            found => found?,
        };
        let mut seen = Vec::new();
        found.retain(|contact| {
            !seen.contains(&contact.id) && {
                seen.push(contact.id.clone());
                true
            }
        });
        Ok(found)
    }

    /// Stores the contact with the create, if that is kept, and with the criteria of the attempt that will be sent. Returns
    /// `false` if another invocation has taken the lease.
    async fn store_contact(&mut self, payload: &Payload) -> Result<bool, store::Error> {
        let Claim { services, crm, lease, item, .. } = &mut self.claim;
        let way = services.ways.of(*crm, &lease.key.call.tenant, lease.now_ms);
        let own = RecoveryCriteria::of(lease.key, payload, way.name());
        if !item.outcome_unknown {
            item.recovery_criteria.clear();
        }
        if !item.recovery_criteria.iter().any(|earlier| earlier.is_like(&own)) {
            item.recovery_criteria.push(own);
        }
        let kept = item.payload.is_some().then_some(payload);
        let record = services.store.record_criteria(lease, &item.recovery_criteria, kept);
        services.sync_points.reach("create.contact", record).await
    }
}

/// Returns `true` if a contact may be found for these details: they have a telephone number, and no extension's.
pub(crate) fn may_be_found(details: &CallDetails) -> bool {
    details.contact_number.as_deref().is_some_and(|number| is_number(number) && !is_extension_number(number))
}

impl Claim<'_> {
    /// Takes the claim of a create back, which has sent nothing. The redrive ends a create that is kept.
    pub(crate) async fn withdraw(&self) -> Result<(), store::Error> {
        let (store, sync_points) = (&self.services.store, &self.services.sync_points);
        match &self.undo {
            Some(undo) => {
                let undo = store.undo(&self.lease, undo, self.lease.holder);
                sync_points.reach("create.undo", undo).await
            }
            None => sync_points.reach("create.end", store.end_create(&self.lease, &self.item)).await,
        }
    }
}
