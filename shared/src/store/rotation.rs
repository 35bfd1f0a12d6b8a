//! Credentials sealed anew after a change of keys; for the operator's program, since no function may scan the table.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    Error, Item, KeyName, Keyring, Reader, Store,
    expression::{Update, Written},
    failed, key, partition_names, place, text,
    users::{CREDENTIALS, SORT},
};

/// How often a user is looked at again who is changed meanwhile.
const ATTEMPTS: usize = 8;

/// A user's item, as far as its seal goes.
#[derive(Clone, Debug)]
pub struct SealedUser {
    key: Item,
    version: Option<AttributeValue>,
    sealed: Option<Blob>,
}

/// What became of a user's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resealed {
    /// They are sealed under the key that seals now.
    Done,
    /// They were already.
    Current,
    /// The user is not connected, or gone meanwhile.
    Nothing,
    /// None of our keys opens them: they are left as they are.
    Unreadable,
}

impl SealedUser {
    /// The user's id and platform, as far as the key tells.
    pub fn name(&self) -> String {
        let partition = self.key.get("pk").and_then(|value| value.as_s().ok()).map_or("", String::as_str);
        partition_names(partition)
            .map_or_else(|| partition.to_owned(), |(platform, id)| format!("{id} ({platform})"))
    }

    /// The key that the credentials are sealed under; none: there are no credentials.
    pub fn sealed_under(&self) -> Option<KeyName> {
        self.sealed.as_ref().and_then(|sealed| Keyring::key_of(sealed.as_ref()))
    }
}

impl Store {
    /// The next users of the table, in no order, and where to go on; the first ones after `None`. DynamoDB reads, and
    /// bills, the calls between them too.
    pub async fn sealed_users(&self, after: Option<Item>) -> Result<(Vec<SealedUser>, Option<Item>), Error> {
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression("#sk = :user")
            .expression_attribute_values(":user", text(SORT))
            .projection_expression("#pk, #sk, #tv, #credentials")
            .set_expression_attribute_names(Some(
                ["pk", "sk", "tv", CREDENTIALS].map(|name| (format!("#{name}"), name.to_owned())).into(),
            ))
            .set_exclusive_start_key(after)
            .send()
            .await
            .map_err(failed)?;
        let users = page.items.unwrap_or_default().iter().map(read).collect::<Result<_, _>>()?;
        Ok((users, page.last_evaluated_key.filter(|key| !key.is_empty())))
    }

    /// What [`Store::reseal`] would do.
    pub fn would_reseal(&self, user: &SealedUser) -> Resealed {
        let vault = self.vault();
        match &user.sealed {
            None => Resealed::Nothing,
            Some(sealed) if vault.open(&place(&user.key, CREDENTIALS), sealed.as_ref()).is_err() => {
                Resealed::Unreadable
            }
            _ if user.sealed_under() == vault.sealing_key() => Resealed::Current,
            _ => Resealed::Done,
        }
    }

    /// Seals a user's credentials under the key that seals now, and changes nothing else. A grant that is stored at
    /// the same time wins.
    pub async fn reseal(&self, user: SealedUser) -> Result<Resealed, Error> {
        let mut user = user;
        for _ in 0..ATTEMPTS {
            let (Resealed::Done, Some(sealed)) = (self.would_reseal(&user), &user.sealed) else {
                return Ok(self.would_reseal(&user));
            };
            let opened = self.vault().open(&place(&user.key, CREDENTIALS), sealed.as_ref());
            let Ok(credentials) = opened else { return Ok(Resealed::Unreadable) };
            let anew = self.seal_bytes(&user.key, CREDENTIALS, &credentials)?;
            let same_version = match &user.version {
                Some(_) => "#tv = :tv",
                None => "attribute_not_exists(#tv)",
            };
            let mut update = Update::when(&format!("{same_version} AND #credentials = :seen"))
                .value("seen", AttributeValue::B(sealed.clone()))
                .set(CREDENTIALS, anew.clone());
            if let Some(version) = &user.version {
                update = update.value("tv", version.clone());
            }
            match self.update(user.key.clone(), update).await? {
                Written::Done(_) => return Ok(Resealed::Done),
                Written::Refused(None) => return Ok(Resealed::Nothing),
                // Our own write whose answer was lost.
                Written::Refused(Some(item)) if item.get(CREDENTIALS) == Some(&anew) => {
                    return Ok(Resealed::Done);
                }
                Written::Refused(Some(item)) => user = read(&item)?,
            }
        }
        Err(Error::Unavailable("a user is being changed by others".to_owned()))
    }

    /// The keys that open here and where they came from; the first one seals.
    pub fn keys(&self) -> Vec<(KeyName, &'static str)> {
        self.vault().keys().collect()
    }
}

fn read(item: &Item) -> Result<SealedUser, Error> {
    let reader = Reader { item };
    let part = |name| reader.text(name).map(Option::unwrap_or_default);
    let sealed = match item.get(CREDENTIALS) {
        None => None,
        Some(AttributeValue::B(sealed)) => Some(sealed.clone()),
        // Nothing that we have sealed; it counts as what no key opens.
        Some(_) => Some(Blob::new([])),
    };
    Ok(SealedUser { key: key(&part("pk")?, &part("sk")?), version: item.get("tv").cloned(), sealed })
}
