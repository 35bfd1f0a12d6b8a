//! One call log's state: who may touch the CRM for it, what is known of it there, and what waits to be written.
//!
//! What the attributes mean is told where the item is read: [`super::item`]; how they change, in [`super::claims`] and
//! [`super::releases`].

use super::{CallItem, Error, Item, Reader, Store, escape, failed, key, partition, text, unescape};
use crate::model::{CallKey, Extension, Platform, SessionId, UserId};

/// What a sort key of a call log begins with.
const PREFIX: &str = "C#";

impl Store {
    /// The call log's item as it is now.
    pub async fn call(&self, key: &CallKey) -> Result<Option<CallItem>, Error> {
        let item = self.get(item_key(key)).await?;
        item.map(|item| self.read_call(&item)).transpose()
    }

    /// The logs of a session, one for each extension that logged it; for the operator.
    pub async fn calls_of_session(
        &self,
        platform: &Platform,
        user: &UserId,
        session: &SessionId,
    ) -> Result<Vec<(Option<Extension>, CallItem)>, Error> {
        let prefix = format!("{PREFIX}{}#", escape(session.as_str()));
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", text(partition(platform, user)))
            .expression_attribute_values(":prefix", text(&prefix))
            .send()
            .await
            .map_err(failed)?;
        let items = answer.items.unwrap_or_default();
        items
            .iter()
            .map(|item| {
                let name = Reader { item }.name();
                let extension = unescape(name.strip_prefix(&prefix).unwrap_or_default());
                Ok((Extension::new(extension), self.read_call(item)?))
            })
            .collect()
    }
}

pub(super) fn item_key(call: &CallKey) -> Item {
    let extension = call.extension.as_ref().map_or("", |extension| extension.as_str());
    let sort = format!("{PREFIX}{}#{}", escape(call.session.as_str()), escape(extension));
    key(&partition(&call.platform, &call.user), &sort)
}

/// The call that an item with these keys is of.
pub(super) fn call_key(pk: &str, sk: &str) -> Option<CallKey> {
    let (platform, user) = pk.strip_prefix("U#")?.split_once('#')?;
    let (session, extension) = sk.strip_prefix(PREFIX)?.split_once('#')?;
    Some(CallKey {
        user: UserId::new(unescape(user))?,
        platform: Platform::new(unescape(platform))?,
        session: SessionId::new(unescape(session))?,
        extension: Extension::new(unescape(extension)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_back_from_its_key() {
        for (user, session, extension) in
            [("12345-pipedrive", "4503991004", None), ("a#b%", "s#1%23", Some("101#")), ("ü", "7", Some("%"))]
        {
            let call = CallKey {
                user: UserId::new(user).unwrap(),
                platform: Platform::new("pipedrive").unwrap(),
                session: SessionId::new(session).unwrap(),
                extension: extension.and_then(Extension::new),
            };
            let item = item_key(&call);
            let part = |name| item[name].as_s().unwrap().as_str();
            assert_eq!(call_key(part("pk"), part("sk")), Some(call));
        }
        for (pk, sk) in [("U#pipedrive#1", "USER"), ("T#pipedrive#acme", "C#1#"), ("U#pipedrive", "C#1#")] {
            assert_eq!(call_key(pk, sk), None, "{pk} {sk}");
        }
    }
}
