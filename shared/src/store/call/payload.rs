//! The payload: the values of a create, stored encrypted until the call is logged.

use aws_sdk_dynamodb::types::AttributeValue;

use super::CallItem;
use crate::{
    model::{LogKey, Payload},
    store::{
        Error, Store,
        attributes::PAYLOAD,
        keys::TableKey,
        packing::{pack, unpack},
    },
};

/// The longest packed payload that is kept, in bytes. An item has 400 KB, and queued updates need their share.
const LONGEST_PACKED: usize = 250_000;
impl Store {
    /// Returns the payload as [`PAYLOAD`]; `None` if it is too long to be kept.
    pub(super) fn encrypt_payload(
        &self,
        call: &LogKey,
        payload: &Payload,
    ) -> Result<Option<AttributeValue>, Error> {
        let packed = pack(payload).map_err(|error| Error::Rejected(error.to_string()))?;
        if packed.len() > LONGEST_PACKED {
            return Ok(None);
        }
        self.encrypt(&TableKey::log(call), PAYLOAD, &packed).map(Some)
    }

    /// Returns what the request to create brought; `None` if it is not kept.
    ///
    /// # Errors
    /// Fails with [`Error::Unreadable`] if it cannot be decrypted or read.
    pub fn payload(&self, call: &LogKey, item: &CallItem) -> Result<Option<Payload>, Error> {
        let Some(ciphertext) = &item.payload else { return Ok(None) };
        let unreadable =
            |problem: &str| Error::Unreadable("call".to_owned(), format!("attribute {PAYLOAD}: {problem}"));
        let packed = self
            .decrypt(&TableKey::log(call), PAYLOAD, ciphertext)
            .map_err(|error| unreadable(&error.to_string()))?;
        let payload: Option<Payload> = unpack(&packed);
        let mut payload = payload.ok_or_else(|| unreadable("another version of this program wrote it"))?;
        // The key names the session, so it is not stored again.
        payload.details.session = Some(call.call.session.clone());
        Ok(Some(payload))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{CallDetails, Contact, ContactId, UserId, Zone};

    #[test]
    fn a_stored_payload_is_read_back() {
        let payload = Payload {
            contact: Some(Contact {
                id: ContactId::new("77").unwrap(),
                kind: Some("lead".to_owned()),
                name: None,
                phone_number: Some("+12135550111".to_owned()),
            }),
            details: CallDetails { note: Some("Wants a quote".to_owned()), ..CallDetails::default() },
            has_note: false,
            additional: [("deals".to_owned(), json!(412))].into_iter().collect(),
            owner: UserId::new("54321-example"),
            owner_token_issued_at: Some(1_741_794_325),
            owner_extension: Some("62275646002".to_owned()),
            zone: Zone::parse("Europe/Berlin"),
            has_authorization: true,
        };
        for payload in [
            Payload {
                contact: None,
                zone: None,
                owner: None,
                additional: serde_json::Map::new(),
                ..payload.clone()
            },
            payload,
        ] {
            let json = serde_json::to_string(&payload).unwrap();
            assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), payload, "{json}");
        }
    }
}
