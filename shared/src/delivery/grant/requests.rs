//! The requests to a CRM, each with the grant: the token is renewed if the CRM rejects it, and the request is sent again.

use chrono::{DateTime, Utc};

use super::Grant;
use crate::{
    adapters::{CallFacts, CallLog, CallLogChange, Choices, NewCallLog, NewContact, Profile},
    delivery::failure::Failure,
    model::{CallLogId, Contact, CrmUser},
};

impl Grant<'_> {
    /// Asks whose the credential is. See [`Crm::identify`](crate::adapters::Crm::identify).
    pub(crate) async fn identify(&mut self) -> Result<Profile, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.identify(&access);
            let response = self.services.sync_points.reach("crm.identify", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Returns what an administrator has to set up. See [`Crm::missing_setup`](crate::adapters::Crm::missing_setup).
    pub(crate) async fn missing_setup(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.missing_setup(&access);
            let response = self.services.sync_points.reach("crm.missing_setup", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Sets up the CRM account. See [`Crm::set_up`](crate::adapters::Crm::set_up).
    pub(crate) async fn set_up(&mut self) -> Result<(), Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.set_up(&access);
            let response = self.services.sync_points.reach("crm.set_up", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Creates a CRM record. See [`Crm::create_record`](crate::adapters::Crm::create_record).
    pub(crate) async fn create_record(&mut self, record: &NewCallLog) -> Result<CallLogId, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.create_record(&access, record);
            let response = self.services.sync_points.reach("crm.create_log", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Reads a CRM record. See [`Crm::read_record`](crate::adapters::Crm::read_record).
    pub(crate) async fn read_record(&mut self, id: &CallLogId) -> Result<CallLog, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.read_record(&access, id);
            let response = self.services.sync_points.reach("crm.read_log", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Changes a CRM record. See [`Crm::update_record`](crate::adapters::Crm::update_record).
    pub(crate) async fn update_record(
        &mut self,
        id: &CallLogId,
        change: &CallLogChange,
    ) -> Result<(), Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.update_record(&access, id, change);
            let response = self.services.sync_points.reach("crm.update_log", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Completes a CRM record. See [`Crm::finish_record`](crate::adapters::Crm::finish_record).
    pub(crate) async fn finish_record(&mut self, id: &CallLogId, facts: &CallFacts) -> Result<(), Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.finish_record(&access, id, facts);
            let response = self.services.sync_points.reach("crm.finish_log", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Finds contacts by their telephone number. See [`Crm::find_contacts`](crate::adapters::Crm::find_contacts).
    pub(crate) async fn find_contacts(&mut self, phone_number: &str) -> Result<Vec<Contact>, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.find_contacts(&access, phone_number);
            let response = self.services.sync_points.reach("crm.find_contacts", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Finds contacts by their names. See [`Crm::find_contacts_by_name`](crate::adapters::Crm::find_contacts_by_name).
    pub(crate) async fn find_contacts_by_name(&mut self, name: &str) -> Result<Vec<Contact>, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.find_contacts_by_name(&access, name);
            let response = self.services.sync_points.reach("crm.find_names", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Creates a contact. See [`Crm::create_contact`](crate::adapters::Crm::create_contact).
    pub(crate) async fn create_contact(&mut self, new: &NewContact) -> Result<Contact, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.create_contact(&access, new);
            let response = self.services.sync_points.reach("crm.create_contact", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Returns the choices that the form offers for a contact. See [`Crm::choices`](crate::adapters::Crm::choices).
    pub(crate) async fn choices(&self, contact: &Contact) -> Result<Choices, Failure> {
        let access = self.access()?;
        let request = self.crm.choices(&access, contact);
        Ok(self.services.sync_points.reach("crm.choices", request).await?)
    }

    /// Lists the users of the account. See [`Crm::users`](crate::adapters::Crm::users).
    pub(crate) async fn users(&mut self) -> Result<Vec<CrmUser>, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.users(&access);
            let response = self.services.sync_points.reach("crm.users", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Finds the CRM records of an earlier attempt. See [`Crm::find_records`](crate::adapters::Crm::find_records).
    pub(crate) async fn find_records(
        &mut self,
        record: &NewCallLog,
        since: DateTime<Utc>,
    ) -> Result<Vec<CallLogId>, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.find_records(&access, record, since);
            let response = self.services.sync_points.reach("crm.find_logs", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }

    /// Deletes a CRM record that was not changed since its creation. See
    /// [`Crm::delete_record`](crate::adapters::Crm::delete_record).
    pub(crate) async fn delete_record(&mut self, id: &CallLogId) -> Result<bool, Failure> {
        loop {
            let access = self.access()?;
            let request = self.crm.delete_record(&access, id);
            let response = self.services.sync_points.reach("crm.remove_log", request).await;
            if !self.is_renewed_after(&response).await? {
                return Ok(response?);
            }
        }
    }
}
