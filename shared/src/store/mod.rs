//! The table: users, and the calls that they logged. The only module that knows DynamoDB.
//!
//! | `pk` | `sk` | Item |
//! |---|---|---|
//! | `U#<platform>#<user>` | `USER` | a user: host, zone, settings, sealed credentials ([`users`]) |
//! | the same | `C#<session>#<extension>` | one call log's state: the mapping to the CRM's id, the lease, what is parked ([`calls`]) |
//! | `T#<platform>#<host>` | `REST` | until when a company's CRM is left alone by what can wait ([`due`]) |
//!
//! The index `due` holds the keys of the calls that have to be tried again, by when.
//!
//! A key is made from the caller's token and never from a body, so that no request reaches another user's items.
//! Every write is one `UpdateItem` with a condition; a refused write brings the item that refused it. A write that the
//! SDK repeats because the first answer was lost recognises itself by the owner it names.

mod calls;
mod claims;
mod due;
mod expression;
mod import;
mod item;
mod payload;
mod releases;
mod reseal;
mod table;
mod transition;
mod users;
mod vault;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use aws_sdk_dynamodb::{Client, config::Builder, error::SdkError, types::AttributeValue};

pub use claims::{Change, ClaimCreate, ClaimUpdate, Enqueued, Lease, Purpose};
pub use due::{BreakerState, Due, Rearmed};
pub use import::Imported;
pub use item::{CallItem, HistoryEntry, RecoveryCriteria, State, Written};
pub use releases::{Finish, Release, SWEEP_AFTER_MS};
pub use reseal::{Resealed, SealedUser};
pub use table::TableError;
pub use transition::{Event, TRANSITIONS};
pub use users::StoredUser;
pub use vault::{Key, KeyName, Keyring};

use crate::model::{Platform, UserId};

type Item = HashMap<String, AttributeValue>;

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    vault: Arc<RwLock<Arc<Keyring>>>,
}

/// The table could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Throttled, down or too slow: nothing was done, or it can be done again. Try later.
    #[error("the table is not available ({0})")]
    Unavailable(String),
    /// An item that this version cannot read. It is left as it is.
    #[error("the item {0} cannot be read: {1}")]
    Unreadable(String, String),
    /// An item would be over DynamoDB's 400 KB: nothing was done.
    #[error("the texts are longer than the table can keep")]
    TooLarge,
    /// A request that DynamoDB refused: a mistake of ours or of the set-up.
    #[error("the table refused the request ({0})")]
    Refused(String),
}

impl Store {
    /// Returns a store on this table.
    pub fn new(client: Client, table: impl Into<String>, keyring: Keyring) -> Store {
        Store { client, table: table.into(), vault: Arc::new(RwLock::new(Arc::new(keyring))) }
    }

    /// The same store with another set-up of the SDK, such as a DynamoDB in this process: for who proves what the
    /// use-cases do, whatever the table does.
    pub fn with_sdk(&self, set_up: impl FnOnce(Builder) -> Builder) -> Store {
        Store { client: Client::from_conf(set_up(self.client.config().to_builder()).build()), ..self.clone() }
    }

    /// Seals and opens with other keys from now on.
    pub fn use_vault(&self, vault: Keyring) {
        *self.vault.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(vault);
    }

    fn vault(&self) -> Arc<Keyring> {
        self.vault.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A text sealed for this attribute of the item with this key.
    fn seal(&self, key: &Item, attribute: &str, text: &str) -> Result<AttributeValue, Error> {
        self.seal_bytes(key, attribute, text.as_bytes())
    }

    fn seal_bytes(&self, key: &Item, attribute: &str, bytes: &[u8]) -> Result<AttributeValue, Error> {
        let sealed = self.vault().seal(&place(key, attribute), bytes);
        Ok(AttributeValue::B(sealed.map_err(|error| Error::Refused(error.to_string()))?.into()))
    }

    fn open_bytes(&self, key: &Item, attribute: &str, sealed: &[u8]) -> Result<Vec<u8>, vault::Unopened> {
        self.vault().open(&place(key, attribute), sealed)
    }

    /// Opens the connection to DynamoDB, so that the first request does not pay for it. A failure is left to that
    /// request to report.
    pub async fn connect(&self) {
        let warm = self.client.get_item().table_name(&self.table).set_key(Some(key("warm", "warm")));
        let _ = warm.send().await;
    }
}

/// The partition of one user.
fn partition(platform: &Platform, user: &UserId) -> String {
    format!("U#{}#{}", escape(platform.as_str()), escape(user.as_str()))
}

/// Whose partition it is: platform and user.
fn partition_names(partition: &str) -> Option<(String, String)> {
    let (platform, user) = partition.strip_prefix("U#")?.split_once('#')?;
    Some((unescape(platform), unescape(user)))
}

/// `#` separates the parts of a key, so none of them may contain it.
fn escape(part: &str) -> String {
    part.replace('%', "%25").replace('#', "%23")
}

fn unescape(part: &str) -> String {
    part.replace("%23", "#").replace("%25", "%")
}

fn key(partition: &str, sort: &str) -> Item {
    Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Reads typed attributes of one item; a wrong type makes the item unreadable.
struct Reader<'a> {
    item: &'a Item,
}

impl Reader<'_> {
    fn name(&self) -> String {
        // The sort key alone: the partition names a person.
        self.item.get("sk").and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
    }

    fn wrong(&self, attribute: &str) -> Error {
        Error::Unreadable(self.name(), format!("attribute {attribute}"))
    }

    fn text(&self, attribute: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(None) };
        value.as_s().map(|text| Some(text.clone())).map_err(|_| self.wrong(attribute))
    }

    fn number(&self, attribute: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(None) };
        value
            .as_n()
            .ok()
            .and_then(|number| number.parse().ok())
            .map(Some)
            .ok_or_else(|| self.wrong(attribute))
    }

    fn flag(&self, attribute: &str) -> Result<bool, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(false) };
        value.as_bool().copied().map_err(|_| self.wrong(attribute))
    }

    fn bytes(&self, attribute: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(None) };
        value.as_b().map(|bytes| Some(bytes.as_ref().to_vec())).map_err(|_| self.wrong(attribute))
    }

    /// A list of texts.
    fn list(&self, attribute: &str) -> Result<Vec<String>, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(Vec::new()) };
        let entries = value.as_l().map_err(|_| self.wrong(attribute))?;
        entries.iter().map(|entry| entry.as_s().cloned().map_err(|_| self.wrong(attribute))).collect()
    }

    /// A set of texts.
    fn set(&self, attribute: &str) -> Result<Vec<String>, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(Vec::new()) };
        value.as_ss().cloned().map_err(|_| self.wrong(attribute))
    }

    /// A map of texts.
    fn texts(&self, attribute: &str) -> Result<HashMap<String, String>, Error> {
        let Some(value) = self.item.get(attribute) else { return Ok(HashMap::new()) };
        let entries = value.as_m().map_err(|_| self.wrong(attribute))?;
        entries
            .iter()
            .map(|(key, value)| Ok((key.clone(), value.as_s().map_err(|_| self.wrong(attribute))?.clone())))
            .collect()
    }

    /// A sealed text.
    fn sealed(&self, vault: &Keyring, attribute: &str) -> Result<Option<String>, Error> {
        let Some(sealed) = self.bytes(attribute)? else { return Ok(None) };
        let unreadable = |error: vault::Unopened| {
            Error::Unreadable(self.name(), format!("attribute {attribute}: {error}"))
        };
        let opened = vault.open(&place(self.item, attribute), &sealed).map_err(unreadable)?;
        String::from_utf8(opened).map(Some).map_err(|_| unreadable(vault::Unopened))
    }
}

/// Where a sealed text stands, which is authenticated with it.
fn place(key: &Item, attribute: &str) -> String {
    let part = |name| key.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
    format!("{}|{}|{attribute}", part("pk"), part("sk"))
}

/// What the SDK's failure means for whoever asked.
fn failed<E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata>(error: SdkError<E>) -> Error {
    let is_too_large = |words: &str| words.starts_with("Item size") && words.contains("exceeded");
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
        SdkError::TimeoutError(_) => return Error::Unavailable("no answer in time".to_owned()),
        SdkError::DispatchFailure(_) => return Error::Unavailable("no connection".to_owned()),
        SdkError::ResponseError(_) => return Error::Unavailable("the answer broke off".to_owned()),
        _ => return Error::Refused("the request could not be built".to_owned()),
    };
    match code.as_str() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TransactionConflictException" => Error::Unavailable(code),
        _ => Error::Refused(code),
    }
}

/// Returns `true` if this can be an AWS error code, which may be logged. Any other text might quote what was sent.
pub(crate) fn is_error_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}
