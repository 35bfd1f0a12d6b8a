//! The DynamoDB table: users, their calls, and the circuit breakers of their tenants. Only this module knows DynamoDB.
//!
//! | `pk` | `sk` | Item | Written by | Attributes |
//! |---|---|---|---|---|
//! | `U#<platform>#<user>` | `USER` | a user: host, zone, settings, encrypted credentials | [`users`], [`rotation`] | `credentials` to `session_ended` |
//! | `C#<platform>#<account>#<session>` | `L#<slot>` | one call log: state, lease, the CRM's id, queued updates, payload; the first one lists the others | [`call`], [`import`] | `state` to `history`, `ttl` |
//! | `H#<platform>#<account>#<session>#<user>` | `L#<slot>` | the same, for a user who brings the CRM's credential with each request | [`call`] | the same |
//! | `R#<platform>#<account>#<record>` | `RECORD` | the owner of a record that recovery has found | [`records`] | `log`, `ttl` |
//! | `T#<platform>#<account>` | `BREAKER` | a tenant's circuit breaker | [`breakers`] | `open_until`, `failures`, `ttl` |
//! | `U#<platform>#<user>` | `BREAKER` | the circuit breaker of a user whose CRM account is not known | [`breakers`] | the same |
//! | `U#<platform>#<user>` | `CONTACT#<code>` | the contacts that were found for a number | [`contacts`] | `contacts`, `lease_until`, `ttl` |
//! | `T#<platform>#<account>` | `CONTACT#<code>` | a contact that is, or was, created | [`contacts`] | `contact`, `maker`, `holder`, `lease_until`, `ttl` |
//! | `U#<platform>#<user>` | `SETTINGS` | settings that only the extension reads | [`settings`] | `settings`, `version` |
//! | `T#<platform>#<account>` | `TENANT` | the operator's decisions about a tenant | [`logins`], [`administrators`] | `allowed`, `rc_accounts` |
//! | `T#<platform>#<account>` | `SETTINGS` | the settings of a tenant that notes and delivery read | [`administration`] | `settings` |
//! | `T#<platform>#<account>` | `ADMIN` | what the administrators of a tenant have decided | [`administration`] | `admin`, `version` |
//! | `T#<platform>#<account>` | `MAPPING` | the extensions of a tenant's users at RingCentral | [`administration`] | `admin`, `version` |
//! | `K#<hash>` | `CODE` | something that works once and was used | [`logins`] | `holder`, `maker`, `ttl` |
//! | `K#<name>` | `REPORT` | how a flow of a login ended that a command waits for | [`logins`] | `report`, `maker`, `ttl` |
//! | `N#<platform>#<host>` | `HOST` | the CRM account that a host's users belong to | [`users`] | `account` |
//!
//! [`attributes`] defines every attribute, in this order: what it means, its unit, and which write sets it. [`keys`]
//! makes the keys. The index `due` holds the keys of the calls with unfinished work, by the time of their next attempt. The
//! index `by_record` holds the keys of logged calls by their records, where a CRM's records have no call tag.
//!
//! Every write is one `UpdateItem`, most with a condition; if the condition fails, DynamoDB returns the item as it is.
//! The SDK repeats a write if the response was lost: such a write recognises itself by the name of the invocation in
//! the item.

mod administration;
mod administrators;
mod attributes;
mod breakers;
mod call;
mod contacts;
mod erasure;
mod expression;
mod import;
mod item_reader;
mod keyring;
mod keys;
mod listing;
mod logins;
mod lookup;
mod packing;
mod records;
mod rotation;
mod settings;
mod survey;
mod table;
mod users;

use std::sync::{Arc, PoisonError, RwLock};

use aws_sdk_dynamodb::{Client, config::Builder, error::SdkError, types::AttributeValue};

pub use administration::{Administration, Versioned};
pub use breakers::BreakerState;
pub use call::{
    AuthoredNote, Basis, CallItem, Change, ClaimCreate, ClaimUpdate, Due, Earlier, Enqueued, Event, Finish,
    HistoryEntry, LastWritten, Lease, Origin, Purpose, Queued, QueuedUpdate, Rearmed, RecoveryCriteria,
    Release, SWEEP_AFTER_MS, State, TRANSITIONS, Undo,
};
pub use contacts::{ContactClaim, UserAndContacts};
pub use erasure::Erased;
pub use import::Imported;
pub use keyring::{DecryptError, EncryptError, EncryptionKey, KeyName, Keyring};
pub use logins::{ConnectedPerson, FlowReport};
pub use lookup::{Depth, LookedUp};
pub use rotation::{EncryptedUser, NextPage, RotationOutcome};
pub use settings::ExtensionSettings;
pub use survey::Survey;
pub use table::TableError;
pub use users::StoredUser;

use crate::model::Explanation;
use keys::TableKey;

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    keyring: Arc<RwLock<Arc<Keyring>>>,
}

/// A request to the table that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table is throttled, down or too slow, or other requests overtook this one every time. Try again later.
    #[error("the table is not available ({0})")]
    Unavailable(String),
    /// This version cannot read the item. It is left as it is. The texts are the item's sort key and the reason.
    #[error("cannot read the item {0}: {1}")]
    Unreadable(String, String),
    /// The item would exceed DynamoDB's limit of 400 KB. Nothing was written.
    #[error("the texts are too long for the table; shorten them")]
    TooLarge,
    /// DynamoDB rejected the request, or it could not be made: a mistake in the configuration or in this program.
    #[error("the table rejected the request ({0})")]
    Rejected(String),
}

impl Error {
    /// Returns the cause of the error, and what to do about it.
    pub fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            Error::Unavailable(_) => (
                "DynamoDB cannot be reached, did not respond in time, or throttles.",
                "Try again. If it fails again, check AWS_REGION and AWS_ENDPOINT_URL_DYNAMODB; on one machine, check \
                 that `call-log serve` is running.",
            ),
            Error::Unreadable(..) => (
                "A stored value was encrypted with a key that is not in the environment, or a newer version wrote it.",
                "Set CREDENTIALS_DATA_KEY or CREDENTIALS_KEY_FILE to the key that encrypted it, and older keys as \
                 CREDENTIALS_DATA_KEY_PREVIOUS or CREDENTIALS_KEY_FILE_PREVIOUS. `call-log credentials status` lists \
                 the keys.",
            ),
            Error::TooLarge => (
                "An item would exceed DynamoDB's limit of 400 KB.",
                "Shorten the texts, or delete settings of the user.",
            ),
            Error::Rejected(code) => match code.as_str() {
                "ResourceNotFoundException" => (
                    "The table does not exist in this region or at this endpoint.",
                    "Create it with `call-log table create`, or correct TABLE_NAME, AWS_REGION or \
                     AWS_ENDPOINT_URL_DYNAMODB.",
                ),
                "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "IncompleteSignature"
                | "MissingAuthenticationToken"
                | "MissingAuthenticationTokenException"
                | "ExpiredTokenException"
                | "AccessDeniedException" => (
                    "The AWS credentials are invalid or expired, or do not permit the request.",
                    "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN to credentials that may use \
                     the table.",
                ),
                _ => (
                    "The table differs from `template.yaml`, or the program has a defect.",
                    "Compare the table with `template.yaml`. If they agree, report the error.",
                ),
            },
        };
        Explanation { cause, action }
    }
}

impl Store {
    /// Returns a store on this table that encrypts with this keyring.
    pub fn new(client: Client, table: impl Into<String>, keyring: Keyring) -> Store {
        Store { client, table: table.into(), keyring: Arc::new(RwLock::new(Arc::new(keyring))) }
    }

    /// Returns the same store with another configuration of the SDK, such as a DynamoDB within this process, for tests.
    pub fn with_sdk(&self, configure: impl FnOnce(Builder) -> Builder) -> Store {
        let config = configure(self.client.config().to_builder()).build();
        Store { client: Client::from_conf(config), ..self.clone() }
    }

    /// Replaces the encryption keys of this store and its clones.
    pub fn use_keyring(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }

    fn keyring(&self) -> Arc<Keyring> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Encrypts a text for an attribute of an item.
    fn encrypt(&self, key: &TableKey, attribute: &str, plaintext: &[u8]) -> Result<AttributeValue, Error> {
        let ciphertext = self.keyring().encrypt(&key.associated_data(attribute), plaintext);
        Ok(AttributeValue::B(ciphertext.map_err(|error| Error::Rejected(error.to_string()))?.into()))
    }

    /// Decrypts an attribute of an item.
    fn decrypt(&self, key: &TableKey, attribute: &str, ciphertext: &[u8]) -> Result<Vec<u8>, DecryptError> {
        self.keyring().decrypt(&key.associated_data(attribute), ciphertext)
    }

    /// Opens a connection to DynamoDB, so that the first request does not have to wait for it. A failure is ignored:
    /// that request will report it.
    pub async fn connect(&self) {
        let request =
            self.client.get_item().table_name(&self.table).set_key(Some(TableKey::unused().into_item()));
        let _ = request.send().await;
    }
}

/// Translates a failure of the SDK into what the caller can do about it.
fn from_sdk_error<E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata>(
    error: SdkError<E>,
) -> Error {
    // DynamoDB has no code of its own for this.
    let is_too_large = |message: &str| message.starts_with("Item size") && message.contains("exceeded");
    let code = match &error {
        SdkError::ServiceError(service) if service.err().message().is_some_and(is_too_large) => {
            return Error::TooLarge;
        }
        SdkError::ServiceError(service) if service.raw().status().is_server_error() => {
            return Error::Unavailable(format!("status {}", service.raw().status().as_u16()));
        }
        SdkError::ServiceError(service) => {
            service.err().code().filter(|code| is_error_code(code)).unwrap_or("unknown").to_owned()
        }
        SdkError::TimeoutError(_) => return Error::Unavailable("no response in time".to_owned()),
        SdkError::DispatchFailure(_) => return Error::Unavailable("no connection".to_owned()),
        SdkError::ResponseError(_) => return Error::Unavailable("the response was incomplete".to_owned()),
        _ => return Error::Rejected("the request could not be built".to_owned()),
    };
    match code.as_str() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TransactionConflictException" => Error::Unavailable(code),
        _ => Error::Rejected(code),
    }
}

/// Returns `true` if this can be an AWS error code, which may be logged. Any other text might quote what was sent.
pub(crate) fn is_error_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}
