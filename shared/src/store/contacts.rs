//! Contacts of the CRM: found ones for a few minutes, and the claim by which one request at a time creates one.
//!
//! The CRM has the contacts. A found contact is kept so that a form that opens again asks nothing, and a created one so that a
//! repeated request makes no second one. Numbers and names are in the keys only as message authentication codes.

use serde::{Deserialize, Serialize};

use super::{
    BreakerState, Error, Store, StoredUser,
    attributes::{CONTACT, CONTACTS, HOLDER, LEASE_UNTIL, MAKER, PK, TTL, number, text},
    breakers::read_breaker,
    expression::{Update, WriteOutcome},
    item_reader::ItemReader,
    keys::{TableItem, TableKey, user_partition},
    lookup::Depth,
};
use crate::model::{BreakerKey, Contact, ContactId, TenantKey, UserKey};

/// The time for which found contacts are kept, in seconds.
const FOUND_S: i64 = 5 * 60;
/// The time for which a created contact answers a repeated request, in seconds.
const CREATED_S: i64 = 10 * 60;
/// The time for which a request to create a contact keeps others away, in milliseconds: as long as it can take.
const CLAIM_MS: i64 = 30_000;

/// A user, the state of a breaker, and the contacts that were found before.
#[derive(Debug)]
pub struct UserAndContacts {
    /// The user; `None`: there is no such user.
    pub user: Option<StoredUser>,
    /// The state of the breaker.
    pub breaker: BreakerState,
    /// The contacts that were found in the last minutes; `None`: none are known.
    pub contacts: Option<Vec<Contact>>,
}

/// The result of claiming the creation of a contact.
#[derive(Clone, Debug, PartialEq)]
pub enum ContactClaim {
    /// This request may create the contact.
    Claimed,
    /// The contact was created in the last minutes.
    Created(Contact),
    /// Another request creates it now.
    Busy,
}

/// A contact as it is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
}

impl From<&Contact> for Kept {
    fn from(contact: &Contact) -> Kept {
        Kept {
            id: contact.id.to_string(),
            kind: contact.kind.clone(),
            name: contact.name.clone(),
            phone_number: contact.phone_number.clone(),
        }
    }
}

impl Kept {
    fn contact(self) -> Option<Contact> {
        let Kept { id, kind, name, phone_number } = self;
        Some(Contact { id: ContactId::new(id)?, kind, name, phone_number })
    }
}

impl Store {
    /// Reads a user, a breaker, and the contacts that were found for a number, in one operation. `number`: the code of the number.
    /// `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the user's item cannot be read.
    pub async fn user_and_contacts(
        &self,
        user: &UserKey,
        breaker: &BreakerKey,
        number: &str,
        now_ms: i64,
    ) -> Result<UserAndContacts, Error> {
        let (user_key, breaker_key) = (TableKey::user(user), TableKey::breaker(breaker));
        let found_key = TableKey::found_contacts(user, number);
        let keys = vec![user_key.clone(), breaker_key.clone(), found_key.clone()];
        let mut items = self.get_all(keys, Depth::Content).await?;
        let stored = items.remove(&user_key.text()).map(|item| self.read_user(user, &item)).transpose()?;
        let breaker = items.remove(&breaker_key.text()).and_then(|item| read_breaker(&item).ok());
        let contacts = items.remove(&found_key.text()).and_then(|item| self.read_found(&item, now_ms));
        Ok(UserAndContacts { user: stored, breaker: breaker.unwrap_or_default(), contacts })
    }

    fn read_found(&self, item: &TableItem, now_ms: i64) -> Option<Vec<Contact>> {
        let reader = ItemReader(item);
        // DynamoDB removes an item days after its time.
        let is_current = reader.number(TTL).ok()?? > now_ms / 1_000;
        let json = reader.encrypted(&self.keyring(), CONTACTS).ok()??;
        let kept: Vec<Kept> = serde_json::from_slice(&json).ok()?;
        is_current.then(|| kept.into_iter().filter_map(Kept::contact).collect())
    }

    /// Keeps the contacts that were found for a number; an empty list forgets those that were kept. `now_ms`: milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn keep_contacts(
        &self,
        user: &UserKey,
        number: &str,
        contacts: &[Contact],
        now_ms: i64,
    ) -> Result<(), Error> {
        let key = TableKey::found_contacts(user, number);
        let kept: Vec<_> = contacts.iter().map(Kept::from).collect();
        let kept_s = if contacts.is_empty() { 0 } else { FOUND_S };
        let json = serde_json::to_vec(&kept).unwrap_or_default();
        let update = Update::default()
            .set(CONTACTS, self.encrypt(&key, CONTACTS, &json)?)
            .set(TTL, self::number(now_ms / 1_000 + kept_s));
        self.update(key, update).await.map(drop)
    }

    /// Claims the creation of a contact for `holder`, a request of this user. `name`: the code of number and name. `now_ms`:
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if the item cannot be read.
    pub async fn claim_contact(
        &self,
        tenant: &TenantKey,
        name: &str,
        (holder, user): (&str, &UserKey),
        now_ms: i64,
    ) -> Result<ContactClaim, Error> {
        let is_free = format!(
            "attribute_not_exists(#{PK}) OR #{TTL} <= :now_s OR (attribute_not_exists(#{CONTACT}) AND #{LEASE_UNTIL} <= :now)"
        );
        let update = Update::when(is_free)
            .value("now", number(now_ms))
            .value("now_s", number(now_ms / 1_000))
            .set(HOLDER, text(holder))
            .set(MAKER, text(user_partition(user)))
            .set(LEASE_UNTIL, number(now_ms + CLAIM_MS))
            .set(TTL, number(now_ms / 1_000 + CREATED_S))
            .remove(CONTACT);
        let item = match self.update(TableKey::new_contact(tenant, name), update).await? {
            WriteOutcome::Written { .. } => return Ok(ContactClaim::Claimed),
            WriteOutcome::ConditionFailed(item) => item.unwrap_or_default(),
        };
        let reader = ItemReader(&item);
        // Our own claim, which the SDK repeated because the response was lost.
        if item.get(HOLDER) == Some(&text(holder)) {
            return Ok(ContactClaim::Claimed);
        }
        let json = reader.encrypted(&self.keyring(), CONTACT)?;
        let created = json.and_then(|json| serde_json::from_slice::<Kept>(&json).ok()?.contact());
        Ok(created.map_or(ContactClaim::Busy, ContactClaim::Created))
    }

    /// Ends the claim on the creation of a contact. `created`: the contact; `None`: there is none.
    ///
    /// # Errors
    /// Fails if the table does.
    pub async fn finish_contact(
        &self,
        tenant: &TenantKey,
        name: &str,
        holder: &str,
        created: Option<&Contact>,
    ) -> Result<(), Error> {
        let key = TableKey::new_contact(tenant, name);
        let mut update = Update::when(format!("#{HOLDER} = :holder"))
            .value("holder", text(holder))
            .set(LEASE_UNTIL, number(0))
            .remove(HOLDER);
        if let Some(contact) = created {
            let json = serde_json::to_vec(&Kept::from(contact)).unwrap_or_default();
            update = update.set(CONTACT, self.encrypt(&key, CONTACT, &json)?);
        }
        self.update(key, update).await.map(drop)
    }
}
