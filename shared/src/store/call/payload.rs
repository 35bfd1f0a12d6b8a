//! What a request to log a call brought, kept until the call is logged: sealed, because it is what people said.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CallItem, Error, Store, calls::item_key};
use crate::model::{CallDetails, CallKey, Contact, ContactId, Payload, Zone};

const ATTRIBUTE: &str = "pay";
/// The longest that is kept, sealed, in bytes: the item has 400 KB, and what is parked needs its share.
const LONGEST: usize = 250_000;
/// What is longer is compressed, in bytes: DynamoDB bills each begun KB of a write.
const COMPRESSED_FROM: usize = 700;
/// The longest text that is unpacked, in bytes: more than a request can bring.
const LONGEST_TEXT: usize = 8 << 20;

#[derive(Serialize, Deserialize)]
struct Kept {
    facts: CallDetails,
    contact: KeptContact,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    additional: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeptContact {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
}

impl Store {
    /// The payload as it is kept; `None`: it is too long to be.
    pub(super) fn seal_payload(
        &self,
        call: &CallKey,
        payload: &Payload,
    ) -> Result<Option<AttributeValue>, Error> {
        let contact = &payload.contact;
        let kept = Kept {
            facts: payload.facts.clone(),
            contact: KeptContact {
                id: contact.id.as_str().to_owned(),
                kind: contact.kind.clone(),
                name: contact.name.clone(),
                phone_number: contact.phone_number.clone(),
            },
            additional: payload.additional.clone(),
            zone: payload.zone.map(|zone| zone.name()),
        };
        let json = serde_json::to_vec(&kept).map_err(|error| Error::Refused(error.to_string()))?;
        let packed = pack(json);
        if packed.len() > LONGEST {
            return Ok(None);
        }
        self.seal_bytes(&item_key(call), ATTRIBUTE, &packed).map(Some)
    }

    /// What a request brought, if it is kept.
    pub fn payload(&self, call: &CallKey, item: &CallItem) -> Result<Option<Payload>, Error> {
        let Some(sealed) = &item.payload else { return Ok(None) };
        let unreadable =
            |problem: &str| Error::Unreadable("call".to_owned(), format!("attribute pay: {problem}"));
        let packed = self
            .open_bytes(&item_key(call), ATTRIBUTE, sealed)
            .map_err(|error| unreadable(&error.to_string()))?;
        let kept: Option<Kept> = unpack(&packed).and_then(|json| serde_json::from_slice(&json).ok());
        let kept = kept.ok_or_else(|| unreadable("not what this version writes"))?;
        Ok(Some(Payload {
            contact: Contact {
                id: ContactId::new(kept.contact.id).ok_or_else(|| unreadable("no contact"))?,
                kind: kept.contact.kind,
                name: kept.contact.name,
                phone_number: kept.contact.phone_number,
            },
            facts: kept.facts,
            additional: kept.additional,
            zone: kept.zone.and_then(|name| Zone::parse(&name)),
        }))
    }
}

/// The first byte tells whether the rest is compressed (RFC 1951).
fn pack(json: Vec<u8>) -> Vec<u8> {
    if json.len() < COMPRESSED_FROM {
        return [b"0".as_slice(), &json].concat();
    }
    [b"1".as_slice(), &miniz_oxide::deflate::compress_to_vec(&json, 1)].concat()
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    match packed.split_first()? {
        (b'0', json) => Some(json.to_vec()),
        (b'1', packed) => miniz_oxide::inflate::decompress_to_vec_with_limit(packed, LONGEST_TEXT).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for length in [0, 10, COMPRESSED_FROM - 1, COMPRESSED_FROM, 100_000] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let packed = pack(text.clone());
            assert!(length < 5_000 || packed.len() < length / 10, "{length} became {}", packed.len());
            assert_eq!(unpack(&packed), Some(text));
        }
        for hostile in [b"".as_slice(), b"2abc", b"1\xff\xff"] {
            assert_eq!(unpack(hostile), None, "{hostile:?}");
        }
        let bomb = [b"1".as_slice(), &miniz_oxide::deflate::compress_to_vec(&vec![0; LONGEST_TEXT + 1], 9)];
        assert_eq!(unpack(&bomb.concat()), None);
    }
}
