//! Users in the table.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;
use serde_json::{Value, json};

use super::{
    Error, Item, Reader, Store,
    expression::{Update, Written},
    failed, key, number, partition, text,
};
use crate::model::{Credentials, Platform, Secret, Settings, User, UserId, Zone};

pub(super) const SORT: &str = "USER";
pub(super) const CREDENTIALS: &str = "credentials";

/// A user, and which version of their grant it is.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredUser {
    pub user: User,
    /// One more with each grant that is stored.
    pub token_version: i64,
    /// The CRM refused to renew the grant: the user must connect again.
    pub session_ended: bool,
}

impl Store {
    /// The user, or nothing when there is none.
    pub async fn user(&self, platform: &Platform, id: &UserId) -> Result<Option<StoredUser>, Error> {
        let item = self.get(key(&partition(platform, id), SORT)).await?;
        item.map(|item| self.read_user(platform, id, &item)).transpose()
    }

    /// Stores a user in place of an earlier one.
    pub async fn put_user(&self, user: &User) -> Result<(), Error> {
        self.put_user_when(user, "").await.map(drop)
    }

    pub(super) async fn put_user_when(&self, user: &User, condition: &str) -> Result<Written, Error> {
        let key = key(&partition(&user.platform, &user.id), SORT);
        let mut update = Update::when(condition)
            .set("settings", AttributeValue::M(settings_to_item(&user.settings)))
            .set_to("tv", "if_not_exists(#tv, :zero) + :one")
            .value("zero", number(0))
            .value("one", number(1))
            .remove("r_own")
            .remove("r_busy")
            .remove("reauth");
        update = match &user.hostname {
            Some(hostname) => update.set("hostname", text(hostname)),
            None => update.remove("hostname"),
        };
        update = match user.zone {
            Some(zone) => update.set("zone", text(zone.name())),
            None => update.remove("zone"),
        };
        update = match &user.credentials {
            Some(credentials) => update.set(CREDENTIALS, self.seal_credentials(&key, credentials)?),
            None => update.remove(CREDENTIALS),
        };
        self.update(key, update).await
    }

    /// Changes some settings of a user and leaves the others; `Null` goes back to the default. False: no such user.
    pub async fn change_settings(
        &self,
        platform: &Platform,
        id: &UserId,
        changes: &BTreeMap<String, Value>,
    ) -> Result<bool, Error> {
        // Read and written under the condition that nothing came between, because a setting's name is a caller's
        // text and may hold anything.
        for _ in 0..8 {
            let key = key(&partition(platform, id), SORT);
            let Some(item) = self.get(key.clone()).await? else { return Ok(false) };
            let mut settings = read_settings(&Reader { item: &item })?;
            for (name, value) in changes {
                match value {
                    Value::Null => settings.0.remove(name),
                    value => settings.0.insert(name.clone(), value.clone()),
                };
            }
            let before = item.get("settings").cloned();
            let update = match before {
                Some(before) => Update::when("#settings = :before").value("before", before),
                None => Update::when("attribute_exists(#pk) AND attribute_not_exists(#settings)"),
            };
            let update = update.set("settings", AttributeValue::M(settings_to_item(&settings)));
            if let Written::Done(_) = self.update(key, update).await? {
                return Ok(true);
            }
        }
        Err(Error::Unavailable("the settings are being changed by others".to_owned()))
    }

    /// Removes a user; their calls stay. False: no such user.
    pub async fn remove_user(&self, platform: &Platform, id: &UserId) -> Result<bool, Error> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition(platform, id), SORT)))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await
            .map_err(failed)?;
        Ok(removed.attributes.is_some_and(|item| !item.is_empty()))
    }

    /// Takes the right to renew a grant for a while: nobody else does meanwhile. False: somebody else has it, or the
    /// grant is not the one that was seen.
    pub async fn claim_renewal(
        &self,
        user: &StoredUser,
        me: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<bool, Error> {
        let update = Update::when("#tv = :seen AND (attribute_not_exists(#r_busy) OR #r_busy <= :now)")
            .value("seen", number(user.token_version))
            .value("now", number(now_ms))
            .set("r_own", text(me))
            .set("r_busy", number(until_ms));
        match self.update(self.user_key(user), update).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(item) => Ok(item.is_some_and(|item| owned_by(&item, me))),
        }
    }

    /// Stores the renewed grant and gives the right back, even if that has run out: the grant that it was made from
    /// works no more. False: somebody else has stored one meanwhile.
    pub async fn finish_renewal(
        &self,
        user: &StoredUser,
        me: &str,
        grant: &Credentials,
    ) -> Result<bool, Error> {
        let key = self.user_key(user);
        let update = Update::when("#tv = :seen")
            .value("seen", number(user.token_version))
            .set(CREDENTIALS, self.seal_credentials(&key, grant)?)
            .set("tv", number(user.token_version + 1))
            .set("r_last", text(me))
            .remove("r_own")
            .remove("r_busy")
            .remove("reauth");
        match self.update(key, update).await? {
            Written::Done(_) => Ok(true),
            Written::Refused(item) => Ok(item.is_some_and(
                |item| matches!(item.get("r_last"), Some(AttributeValue::S(last)) if last == me),
            )),
        }
    }

    /// Gives the right back without a new grant; `ended`: the CRM refused to renew.
    pub async fn give_up_renewal(&self, user: &StoredUser, me: &str, ended: bool) -> Result<(), Error> {
        let update = Update::when("#tv = :seen AND #r_own = :me")
            .value("seen", number(user.token_version))
            .value("me", text(me))
            .set("reauth", AttributeValue::Bool(ended))
            .remove("r_own")
            .remove("r_busy");
        self.update(self.user_key(user), update).await.map(drop)
    }

    fn user_key(&self, user: &StoredUser) -> Item {
        key(&partition(&user.user.platform, &user.user.id), SORT)
    }

    fn read_user(&self, platform: &Platform, id: &UserId, item: &Item) -> Result<StoredUser, Error> {
        let reader = Reader { item };
        let credentials = match reader.sealed(&self.vault(), CREDENTIALS)? {
            None => None,
            Some(json) => Some(read_credentials(&json).ok_or_else(|| reader.wrong(CREDENTIALS))?),
        };
        Ok(StoredUser {
            user: User {
                id: id.clone(),
                platform: platform.clone(),
                hostname: reader.text("hostname")?,
                zone: reader.text("zone")?.and_then(|name| Zone::parse(&name)),
                settings: read_settings(&reader)?,
                credentials,
            },
            token_version: reader.number("tv")?.unwrap_or(0),
            session_ended: reader.flag("reauth")?,
        })
    }

    fn seal_credentials(&self, key: &Item, credentials: &Credentials) -> Result<AttributeValue, Error> {
        let json = match credentials {
            Credentials::ApiKey(api_key) => json!({"apiKey": api_key.expose()}),
            Credentials::OAuth { access_token, refresh_token, expires_at } => json!({
                "accessToken": access_token.expose(),
                "refreshToken": refresh_token.as_ref().map(Secret::expose),
                "expiresAt": expires_at.map(|time| time.timestamp_millis()),
            }),
        };
        self.seal(key, CREDENTIALS, &json.to_string())
    }
}

fn owned_by(item: &Item, me: &str) -> bool {
    matches!(item.get("r_own"), Some(AttributeValue::S(owner)) if owner == me)
}

fn read_credentials(json: &str) -> Option<Credentials> {
    let json: Value = serde_json::from_str(json).ok()?;
    let secret = |name: &str| json.get(name)?.as_str().map(Secret::new);
    if let Some(api_key) = secret("apiKey") {
        return Some(Credentials::ApiKey(api_key));
    }
    Some(Credentials::OAuth {
        access_token: secret("accessToken")?,
        refresh_token: secret("refreshToken"),
        expires_at: json.get("expiresAt").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis),
    })
}

/// Each setting is one JSON text, so that any value survives.
fn settings_to_item(settings: &Settings) -> HashMap<String, AttributeValue> {
    settings.0.iter().map(|(name, value)| (name.clone(), text(value.to_string()))).collect()
}

fn read_settings(reader: &Reader<'_>) -> Result<Settings, Error> {
    let mut settings = BTreeMap::new();
    for (name, json) in reader.texts("settings")? {
        settings.insert(name, serde_json::from_str(&json).map_err(|_| reader.wrong("settings"))?);
    }
    Ok(Settings(settings))
}
