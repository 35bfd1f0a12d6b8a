//! The payload: the values of a create, stored encrypted until the call is logged.

use aws_sdk_dynamodb::types::AttributeValue;

use super::CallItem;
use crate::{
    model::{CallKey, Payload},
    store::{Error, Store, attributes::PAYLOAD, keys::TableKey},
};

/// The longest packed payload that is kept, in bytes. An item has 400 KB, and queued updates need their share.
const LONGEST_PACKED: usize = 250_000;
/// Payloads of at least this many bytes are compressed: DynamoDB bills each started KB of a write.
const COMPRESSED_FROM: usize = 700;
/// The longest payload that is unpacked, in bytes: more than a request can bring.
const LONGEST_UNPACKED: usize = 8 << 20;

/// The first byte of a packed payload: JSON as it is.
const PLAIN: u8 = b'0';
/// The first byte of a packed payload: JSON compressed with DEFLATE (RFC 1951).
const DEFLATED: u8 = b'1';

impl Store {
    /// Returns the payload as [`PAYLOAD`]; `None` if it is too long to be kept.
    pub(super) fn encrypt_payload(
        &self,
        call: &CallKey,
        payload: &Payload,
    ) -> Result<Option<AttributeValue>, Error> {
        let json = serde_json::to_vec(payload).map_err(|error| Error::Rejected(error.to_string()))?;
        let packed = pack(&json);
        if packed.len() > LONGEST_PACKED {
            return Ok(None);
        }
        self.encrypt(&TableKey::call(call), PAYLOAD, &packed).map(Some)
    }

    /// Returns what the request to create brought; `None` if it is not kept.
    ///
    /// # Errors
    /// Fails with [`Error::Unreadable`] if it cannot be decrypted or read.
    pub fn payload(&self, call: &CallKey, item: &CallItem) -> Result<Option<Payload>, Error> {
        let Some(ciphertext) = &item.payload else { return Ok(None) };
        let unreadable =
            |problem: &str| Error::Unreadable("call".to_owned(), format!("attribute {PAYLOAD}: {problem}"));
        let packed = self
            .decrypt(&TableKey::call(call), PAYLOAD, ciphertext)
            .map_err(|error| unreadable(&error.to_string()))?;
        unpack(&packed)
            .and_then(|json| serde_json::from_slice(&json).ok())
            .map(Some)
            .ok_or_else(|| unreadable("another version of this program wrote it"))
    }
}

fn pack(json: &[u8]) -> Vec<u8> {
    if json.len() < COMPRESSED_FROM {
        return [&[PLAIN], json].concat();
    }
    [[DEFLATED].as_slice(), &miniz_oxide::deflate::compress_to_vec(json, 1)].concat()
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    match packed.split_first()? {
        (&PLAIN, json) => Some(json.to_vec()),
        (&DEFLATED, compressed) => {
            miniz_oxide::inflate::decompress_to_vec_with_limit(compressed, LONGEST_UNPACKED).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{CallDetails, Contact, ContactId, Zone};

    #[test]
    fn packed_bytes_are_shorter_if_long_and_unpack_to_the_same() {
        for length in [0, 10, COMPRESSED_FROM - 1, COMPRESSED_FROM, 100_000] {
            let json: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let packed = pack(&json);
            assert!(length < 5_000 || packed.len() < length / 10, "{length} became {}", packed.len());
            assert_eq!(unpack(&packed), Some(json));
        }
    }

    #[test]
    fn unpacking_rejects_damaged_and_oversized_payloads() {
        for damaged in [b"".as_slice(), b"2abc", b"1\xff\xff"] {
            assert_eq!(unpack(damaged), None, "{damaged:?}");
        }
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0; LONGEST_UNPACKED + 1], 9);
        assert_eq!(unpack(&[[DEFLATED].as_slice(), &bomb].concat()), None);
    }

    #[test]
    fn a_stored_payload_is_read_back() {
        let payload = Payload {
            contact: Contact {
                id: ContactId::new("77").unwrap(),
                kind: Some("lead".to_owned()),
                name: None,
                phone_number: Some("+12135550111".to_owned()),
            },
            details: CallDetails { note: Some("Wants a quote".to_owned()), ..CallDetails::default() },
            additional: [("deals".to_owned(), json!(412))].into_iter().collect(),
            zone: Zone::parse("Europe/Berlin"),
        };
        for payload in
            [Payload { zone: None, additional: serde_json::Map::new(), ..payload.clone() }, payload]
        {
            let json = serde_json::to_string(&payload).unwrap();
            assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), payload, "{json}");
        }
    }
}
