//! The handlers about contacts: who is calling, and a new contact.

use bytes::Bytes;
use http::{Request, StatusCode};
use tracing::Level;

use crate::{
    adapters::{Crm, ErrorKind},
    api::{
        Api,
        answer::Answer,
        outcome::{moved, not_connected, variant},
        route::{self, HandlerFuture, Invocation, Route, sender},
        wire::{
            ContactEntry, ContactsBody, CreatedBody, ResponseBody, read_contact_name, read_contact_query,
            read_new_contact,
        },
    },
    delivery::{
        Failure,
        contacts::{self, FoundContact, Number, Outcome, normalised},
    },
    model::NamedExtension,
    telemetry,
};

/// `GET /contact`: the contacts with a telephone number.
pub const FIND_CONTACTS: Route = Route::with_token("GET", "/contact", "contact", find);

/// `GET /custom/contact/search`: the contacts with a name.
pub const SEARCH_CONTACTS: Route =
    Route::with_token("GET", "/custom/contact/search", "contact_search", search);

/// `POST /contact`: creates a contact.
pub const CREATE_CONTACT: Route = Route::with_token("POST", "/contact", "contact_create", create);

fn find<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let query = read_contact_query(request.uri().query().unwrap_or_default())?;
        let (crm, sender) = sender(api, &caller, &NamedExtension::default())?;
        if query.is_extension {
            // No contact has such a number, which is nothing to tell a person.
            let contact = vec![ContactEntry::new_one()];
            let body = ContactsBody { successful: true, contact, return_message: None };
            return Ok(Answer::json(&body).renewing(api, &caller));
        }
        let code = api.hash_key().code(&["number", &query.number]);
        let number = Number { text: &query.number, code: &code };
        let deadline = invocation.deadline;
        let outcome =
            contacts::find_by_number(&api.services, crm, &sender, number, query.is_fresh, deadline).await?;
        Ok(answer(crm, outcome, true).renewing(api, &caller))
    })
}

fn search<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let name = read_contact_name(request.uri().query().unwrap_or_default())?;
        let (crm, sender) = sender(api, &caller, &NamedExtension::default())?;
        let outcome = contacts::find_by_name(&api.services, crm, &sender, &name, invocation.deadline).await?;
        Ok(answer(crm, outcome, false).renewing(api, &caller))
    })
}

fn create<'a>(api: &'a Api, request: Request<Bytes>, invocation: &'a Invocation) -> HandlerFuture<'a> {
    Box::pin(async move {
        let caller = route::admit(api, &request)?;
        let new = read_new_contact(request.body())?;
        let (crm, sender) = sender(api, &caller, &NamedExtension::default())?;
        let hash_key = api.hash_key();
        let code = hash_key.code(&["number", &new.phone_number]);
        let name = hash_key.code(&["contact", &new.phone_number, &normalised(&new.name)]);
        let number = Number { text: &new.phone_number, code: &code };
        let outcome =
            contacts::create(&api.services, crm, &sender, number, &name, &new, invocation.deadline).await?;
        Ok(created(crm, outcome).renewing(api, &caller))
    })
}

/// Returns the response to a search. `with_new`: the last entry stands for a new contact.
fn answer(crm: &dyn Crm, outcome: Outcome<Vec<FoundContact>>, with_new: bool) -> Answer {
    telemetry::set_field("outcome", variant(&outcome));
    match outcome {
        Outcome::Done(contacts) => found(crm, contacts, with_new),
        Outcome::NotConnected => {
            let (_, body) = not_connected();
            Answer::json(&ContactsBody {
                successful: false,
                contact: Vec::new(),
                return_message: Some(body.return_message),
            })
        }
        Outcome::Moved | Outcome::Failed(Failure::SessionEnded) => moved().into(),
        // The form still opens, and a contact can be created.
        Outcome::Failed(failure) => {
            telemetry::failed(Level::WARN, &failure);
            let name = crm.display_name();
            let message = match with_new {
                true => format!("{name} is not answering. You can still create a contact."),
                false => format!("{name} is not answering. Try again in a minute."),
            };
            let contact = with_new.then(ContactEntry::new_one).into_iter().collect();
            let return_message = Some(ResponseBody::warning(message, 5000).return_message);
            Answer::json(&ContactsBody { successful: true, contact, return_message })
        }
    }
}

fn found(crm: &dyn Crm, contacts: Vec<FoundContact>, with_new: bool) -> Answer {
    let message = match contacts.is_empty() {
        false => None,
        true => {
            let message = format!("{} has no such contact.", crm.display_name());
            Some(ResponseBody::warning(message, 5000).return_message)
        }
    };
    let new = with_new.then(ContactEntry::new_one);
    let contact = contacts.into_iter().map(ContactEntry::from).chain(new).collect();
    Answer::json(&ContactsBody { successful: true, contact, return_message: message })
}

fn created(crm: &dyn Crm, outcome: Outcome<FoundContact>) -> Answer {
    telemetry::set_field("outcome", variant(&outcome));
    let name = crm.display_name();
    let failure = match outcome {
        Outcome::Done(contact) => {
            return Answer::json(&CreatedBody {
                successful: true,
                contact: contact.into(),
                return_message: ResponseBody::success("Contact created.", 2000).return_message,
            });
        }
        Outcome::Moved | Outcome::Failed(Failure::SessionEnded) => return moved().into(),
        // Not a 200, after which the extension would log the call for no contact.
        Outcome::NotConnected => {
            let (_, body) = not_connected();
            return (StatusCode::BAD_REQUEST, body).into();
        }
        Outcome::Failed(failure) => failure,
    };
    telemetry::failed(Level::WARN, &failure);
    let (status, message) = match failure.kind() {
        Some(ErrorKind::Rejected { message }) => {
            (StatusCode::BAD_REQUEST, format!("{name} refused the contact: {message}"))
        }
        Some(ErrorKind::Forbidden { .. } | ErrorKind::Unauthorized) => (
            StatusCode::BAD_REQUEST,
            format!("{name} does not let you create contacts. Ask its administrator for the permission."),
        ),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{name} is not answering. Try again in a minute; no contact is made twice."),
        ),
    };
    (status, ResponseBody::warning(message, 5000)).into()
}
