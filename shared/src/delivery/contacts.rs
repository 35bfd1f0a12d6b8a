//! Contacts: who is calling, and a new contact for a caller who is unknown.
//!
//! A person waits for the answer, so it comes within seconds: a CRM that does not respond finds no contact, and the person can
//! still go on. A contact is created once, whatever is repeated or lost.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::{
    adapters::{Choices, Crm, Effect, NewContact},
    delivery::{
        breaker::RequestBreaker,
        failure::Failure,
        grant::Grant,
        services::Services,
        tenancy::{Admitted, Tenancy},
    },
    model::{Contact, Deadline, Sender, TenantKey, random_name},
    store::{self, ContactClaim, UserAndContacts},
};

/// The most contacts that are shown.
const MOST_CONTACTS: usize = 20;
/// The number of contacts about which the CRM is asked at the same time.
const CONTACTS_AT_ONCE: usize = 5;
/// The pause between two looks at a contact that another request creates.
const PAUSE: Duration = Duration::from_millis(300);
/// The number of such looks.
const LOOKS: usize = 10;

/// The result of a request about contacts.
#[derive(Debug)]
pub enum Outcome<T> {
    /// The CRM's answer.
    Done(T),
    /// The user is unknown or has no credentials.
    NotConnected,
    /// The token was issued before the user moved to another CRM account, or was revoked.
    Moved,
    /// The CRM did not respond, or refused.
    Failed(Failure),
}

/// A contact, with what the form of a call log offers for it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundContact {
    /// The contact.
    pub contact: Contact,
    /// The choices for the fields of the form.
    pub choices: Choices,
}

/// A number, and the code by which the table knows it.
#[derive(Clone, Copy, Debug)]
pub struct Number<'a> {
    /// The number, as RingCentral writes it.
    pub text: &'a str,
    /// Its message authentication code.
    pub code: &'a str,
}

/// Finds the contacts with a number. `is_fresh`: contacts that were found before do not count.
///
/// # Errors
/// Fails if the table fails.
pub async fn find_by_number(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    number: Number<'_>,
    is_fresh: bool,
    deadline: Deadline,
) -> Result<Outcome<Vec<FoundContact>>, store::Error> {
    let holder = random_name();
    let caller = match Caller::admit(services, crm, sender, number.code, &holder, deadline).await? {
        Ok(caller) => caller,
        Err(outcome) => return Ok(outcome.into()),
    };
    let known = caller.known.clone().filter(|_| !is_fresh);
    let is_known = known.is_some();
    let found = match caller.search(Search::Number(number.text, known)).await {
        Ok(found) => found,
        Err(failure) => return Ok(Outcome::Failed(failure)),
    };
    if !is_known && !found.is_empty() {
        let contacts: Vec<_> = found.iter().map(|found| found.contact.clone()).collect();
        let keep =
            services.store.keep_contacts(&sender.user, number.code, &contacts, services.clock.now_ms());
        if let Err(error) = services.sync_points.reach("contacts.keep", keep).await {
            tracing::warn!(%error, "found contacts are not kept");
        }
    }
    Ok(Outcome::Done(found))
}

/// Finds contacts by their names.
///
/// # Errors
/// Fails if the table fails.
pub async fn find_by_name(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    name: &str,
    deadline: Deadline,
) -> Result<Outcome<Vec<FoundContact>>, store::Error> {
    let holder = random_name();
    let caller = match Caller::admit(services, crm, sender, "", &holder, deadline).await? {
        Ok(caller) => caller,
        Err(outcome) => return Ok(outcome.into()),
    };
    let found = caller.search(Search::Name(name)).await;
    Ok(found.map_or_else(Outcome::Failed, Outcome::Done))
}

/// Creates a contact, unless there is one with this number and name. `code`: the code of both.
///
/// # Errors
/// Fails if the table fails.
pub async fn create(
    services: &Services,
    crm: &'static dyn Crm,
    sender: &Sender,
    number: Number<'_>,
    code: &str,
    new: &NewContact,
    deadline: Deadline,
) -> Result<Outcome<FoundContact>, store::Error> {
    let holder = random_name();
    let caller = match Caller::admit(services, crm, sender, number.code, &holder, deadline).await? {
        Ok(caller) => caller,
        Err(outcome) => return Ok(outcome.into()),
    };
    let tenant = caller.tenant.clone();
    for _ in 0..LOOKS {
        let claim =
            services.store.claim_contact(&tenant, code, (&holder, &sender.user), services.clock.now_ms());
        match services.sync_points.reach("contacts.claim", claim).await? {
            ContactClaim::Created(contact) => {
                return Ok(Outcome::Done(FoundContact { contact, choices: Choices::new() }));
            }
            ContactClaim::Busy => {
                services.sync_points.reach("contacts.wait", tokio::time::sleep(PAUSE)).await;
            }
            ContactClaim::Claimed => {
                let created = caller.settled(caller.find_or_create(new).await).await;
                let result = created.as_ref().ok();
                let finish = services.store.finish_contact(&tenant, code, &holder, result);
                services.sync_points.reach("contacts.finish", finish).await?;
                // The number may have been looked up before it had a contact.
                let forget =
                    services.store.keep_contacts(&sender.user, number.code, &[], services.clock.now_ms());
                services.sync_points.reach("contacts.forget", forget).await?;
                let contact = match created {
                    Ok(contact) => contact,
                    Err(failure) => return Ok(Outcome::Failed(failure)),
                };
                return Ok(Outcome::Done(FoundContact { contact, choices: Choices::new() }));
            }
        }
    }
    Ok(Outcome::Failed(Failure::unavailable("another request creates the contact")))
}

async fn same_contact(grant: &mut Grant<'_>, new: &NewContact) -> Result<Option<Contact>, Failure> {
    let found = grant.find_contacts(&new.phone_number).await?;
    let is_same = |contact: &Contact| {
        contact.name.as_deref().is_some_and(|name| normalised(name) == normalised(&new.name))
    };
    Ok(found.into_iter().find(is_same))
}

/// Returns a name without what people write differently: case, and spaces.
pub fn normalised(name: &str) -> String {
    name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Adds to contacts what the form offers for them. What the CRM does not say is left out; the last failure is returned.
async fn with_choices(grant: &Grant<'_>, contacts: Vec<Contact>) -> (Vec<FoundContact>, Option<Failure>) {
    let asked: Vec<_> = contacts.iter().map(|contact| grant.choices(contact)).collect();
    let choices: Vec<_> = stream::iter(asked).buffered(CONTACTS_AT_ONCE).collect().await;
    let mut last = None;
    let found = contacts.into_iter().zip(choices).map(|(contact, choices)| {
        let choices = choices.unwrap_or_else(|failure| {
            tracing::info!(%failure, "the CRM did not say what the form offers for a contact");
            last = Some(failure);
            Choices::new()
        });
        FoundContact { contact, choices }
    });
    (found.collect(), last)
}

/// The contacts that are wanted.
enum Search<'a> {
    /// Those with this number, or those that were found for it before.
    Number(&'a str, Option<Vec<Contact>>),
    /// Those with this text in their names.
    Name(&'a str),
}

/// The user of a request who may ask the CRM.
struct Caller<'a> {
    services: &'a Services,
    crm: &'static dyn Crm,
    user: store::StoredUser,
    tenant: TenantKey,
    breaker: RequestBreaker<'a>,
    holder: &'a str,
    deadline: Deadline,
    /// The contacts that were found for the number before.
    known: Option<Vec<Contact>>,
}

/// The reasons for which a user may not ask the CRM.
enum Refused {
    NotConnected,
    Moved,
}

impl<T> From<Refused> for Outcome<T> {
    fn from(refused: Refused) -> Outcome<T> {
        match refused {
            Refused::NotConnected => Outcome::NotConnected,
            Refused::Moved => Outcome::Moved,
        }
    }
}

impl<'a> Caller<'a> {
    async fn admit(
        services: &'a Services,
        crm: &'static dyn Crm,
        sender: &Sender,
        number: &str,
        holder: &'a str,
        deadline: Deadline,
    ) -> Result<Result<Caller<'a>, Refused>, store::Error> {
        loop {
            let Some(tenancy) = Tenancy::of(services, sender).await? else {
                return Ok(Err(Refused::NotConnected));
            };
            let (key, now_ms) = (tenancy.breaker_key(crm, &sender.user), services.clock.now_ms());
            let read = services.store.user_and_contacts(&sender.user, &key, number, now_ms);
            let UserAndContacts { user, breaker, contacts } =
                services.sync_points.reach("contacts.read", read).await?;
            let user = match tenancy.admit(services, Ok(user))? {
                Admitted::User(user) => *user,
                Admitted::NotConnected => return Ok(Err(Refused::NotConnected)),
                Admitted::Moved => return Ok(Err(Refused::Moved)),
                Admitted::Outdated => continue,
            };
            let breaker = RequestBreaker::new(services, crm, &user.user, &key, breaker);
            let tenant = tenancy.tenant.clone();
            return Ok(Ok(Caller {
                services,
                crm,
                user,
                tenant,
                breaker,
                holder,
                deadline,
                known: contacts,
            }));
        }
    }

    /// Returns the right to ask the CRM, unless the CRM is known to be down.
    async fn grant(&self) -> Result<Grant<'a>, Failure> {
        self.breaker.check().await?;
        let Caller { services, crm, holder, deadline, .. } = *self;
        Ok(Grant::obtain(services, crm, self.user.clone(), None, deadline, holder).await?.impatient())
    }

    /// Returns the wanted contacts, with the choices of the form. Records if the CRM works: contacts that are known do not say it,
    /// but the request for their choices does.
    async fn search(&self, search: Search<'_>) -> Result<Vec<FoundContact>, Failure> {
        let searched = self.ask(search).await;
        let failure = searched.as_ref().map_or_else(Some, |(_, failure)| failure.as_ref());
        self.breaker.record(failure).await;
        searched.map(|(found, _)| found)
    }

    async fn ask(&self, search: Search<'_>) -> Result<(Vec<FoundContact>, Option<Failure>), Failure> {
        let mut grant = self.grant().await?;
        let mut contacts = match search {
            Search::Number(_, Some(contacts)) => contacts,
            Search::Number(number, None) => grant.find_contacts(number).await?,
            Search::Name(name) => grant.find_contacts_by_name(name).await?,
        };
        contacts.truncate(MOST_CONTACTS);
        Ok(with_choices(&grant, contacts).await)
    }

    /// Returns the contact with this number and name, or creates it. If the response to the create is lost, it is looked for
    /// again.
    async fn find_or_create(&self, new: &NewContact) -> Result<Contact, Failure> {
        let mut grant = self.grant().await?;
        if let Some(contact) = same_contact(&mut grant, new).await? {
            return Ok(contact);
        }
        match grant.create_contact(new).await {
            Err(failure) if failure.effect() == Effect::Unknown => {
                same_contact(&mut grant, new).await?.ok_or(failure)
            }
            created => created,
        }
    }

    /// Records if the CRM works, and returns the result.
    async fn settled<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.breaker.record(result.as_ref().err()).await;
        result
    }
}
