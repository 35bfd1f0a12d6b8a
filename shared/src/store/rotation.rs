//! Re-encryption of users' credentials after a change of keys. Only the operator's program calls it: no function may
//! scan the table.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    Error, KeyName, Keyring, Store,
    attributes::{CREDENTIALS, PK, SK, TOKEN_VERSION, text},
    expression::{Update, WriteOutcome},
    from_sdk_error,
    item_reader::ItemReader,
    keys::{TableItem, TableKey, USER_SORT_KEY},
};

/// The maximum number of times that the rotation reads a user whose item another process changes at the same time.
const ATTEMPTS: usize = 8;

/// A user's item with its encrypted credentials.
#[derive(Clone, Debug)]
pub struct EncryptedUser {
    key: TableKey,
    version: Option<AttributeValue>,
    credentials: Option<Blob>,
}

/// Where a scan of the users goes on.
#[derive(Clone, Debug)]
pub struct NextPage(TableItem);

/// The outcome of re-encrypting a user's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// The credentials are now encrypted with the current key.
    Reencrypted,
    /// The credentials were already encrypted with the current key.
    Current,
    /// The user has no credentials, or was removed meanwhile.
    NoCredentials,
    /// None of our keys decrypts the credentials. They are left as they are.
    Undecryptable,
}

impl EncryptedUser {
    /// Returns the user's id and platform for the operator: `12345-example (example)`.
    pub fn name(&self) -> String {
        self.key.user_key().map_or_else(|| self.key.partition().to_owned(), |user| user.to_string())
    }

    /// Returns the name of the key that the credentials are encrypted with. `None`: there are no credentials.
    pub fn key_name(&self) -> Option<KeyName> {
        self.credentials.as_ref().and_then(|ciphertext| Keyring::key_name_in(ciphertext.as_ref()))
    }

    fn read(item: &TableItem) -> Result<EncryptedUser, Error> {
        let credentials = match item.get(CREDENTIALS) {
            None => None,
            Some(AttributeValue::B(ciphertext)) => Some(ciphertext.clone()),
            // An attribute that we did not write counts as a ciphertext that no key decrypts.
            Some(_) => Some(Blob::new([])),
        };
        let version = item.get(TOKEN_VERSION).cloned();
        Ok(EncryptedUser { key: ItemReader(item).key()?, version, credentials })
    }
}

impl Store {
    /// Reads the next users of the table, in no order, and returns where to go on; `None` stands for the beginning and
    /// the end. DynamoDB reads, and bills, the calls between them too.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unreadable`] if an item has no key.
    pub async fn encrypted_users(
        &self,
        from: Option<NextPage>,
    ) -> Result<(Vec<EncryptedUser>, Option<NextPage>), Error> {
        let names = [PK, SK, TOKEN_VERSION, CREDENTIALS];
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression(format!("#{SK} = :user"))
            .expression_attribute_values(":user", text(USER_SORT_KEY))
            .projection_expression(names.map(|name| format!("#{name}")).join(", "))
            .set_expression_attribute_names(Some(
                names.map(|name| (format!("#{name}"), name.to_owned())).into(),
            ))
            .set_exclusive_start_key(from.map(|page| page.0))
            .send()
            .await
            .map_err(from_sdk_error)?;
        let users =
            page.items.unwrap_or_default().iter().map(EncryptedUser::read).collect::<Result<_, _>>()?;
        Ok((users, page.last_evaluated_key.filter(|key| !key.is_empty()).map(NextPage)))
    }

    /// Returns what [`Store::reencrypt`] would do.
    pub fn preview_reencrypt(&self, user: &EncryptedUser) -> RotationOutcome {
        match &user.credentials {
            None => RotationOutcome::NoCredentials,
            Some(ciphertext) if self.decrypt(&user.key, CREDENTIALS, ciphertext.as_ref()).is_err() => {
                RotationOutcome::Undecryptable
            }
            _ if user.key_name() == self.keyring().current_key() => RotationOutcome::Current,
            _ => RotationOutcome::Reencrypted,
        }
    }

    /// Encrypts a user's credentials with the current key and changes nothing else. If another process stores
    /// credentials at the same time, those stay.
    ///
    /// # Errors
    /// Fails if the table does, and with [`Error::Unavailable`] if other processes keep changing the user.
    pub async fn reencrypt(&self, user: EncryptedUser) -> Result<RotationOutcome, Error> {
        let mut user = user;
        for _ in 0..ATTEMPTS {
            let (RotationOutcome::Reencrypted, Some(stored)) =
                (self.preview_reencrypt(&user), &user.credentials)
            else {
                return Ok(self.preview_reencrypt(&user));
            };
            let Ok(credentials) = self.decrypt(&user.key, CREDENTIALS, stored.as_ref()) else {
                return Ok(RotationOutcome::Undecryptable);
            };
            let reencrypted = self.encrypt(&user.key, CREDENTIALS, &credentials)?;
            let is_unchanged = match &user.version {
                Some(_) => format!("#{TOKEN_VERSION} = :version"),
                None => format!("attribute_not_exists(#{TOKEN_VERSION})"),
            };
            let mut update = Update::when(format!("{is_unchanged} AND #{CREDENTIALS} = :stored"))
                .value("stored", AttributeValue::B(stored.clone()))
                .set(CREDENTIALS, reencrypted.clone());
            if let Some(version) = &user.version {
                update = update.value("version", version.clone());
            }
            match self.update(user.key.clone(), update).await? {
                WriteOutcome::Written { .. } => return Ok(RotationOutcome::Reencrypted),
                WriteOutcome::ConditionFailed(None) => return Ok(RotationOutcome::NoCredentials),
                // Our own write, which the SDK repeated because the response was lost.
                WriteOutcome::ConditionFailed(Some(item)) if item.get(CREDENTIALS) == Some(&reencrypted) => {
                    return Ok(RotationOutcome::Reencrypted);
                }
                WriteOutcome::ConditionFailed(Some(item)) => user = EncryptedUser::read(&item)?,
            }
        }
        Err(Error::Unavailable("other processes keep changing the user".to_owned()))
    }

    /// Returns the keys that decrypt, with the environment variables that they came from. The first one encrypts.
    pub fn keys(&self) -> Vec<(KeyName, &'static str)> {
        self.keyring().keys().collect()
    }
}
