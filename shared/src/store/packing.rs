//! JSON that an item stores encrypted, packed first: DynamoDB bills each started KB of a write, and the JSON of a short call
//! consists mostly of the names of its fields.
//!
//! Packed bytes are one byte for the version, and DEFLATE data (RFC 1951) that continue [`DICTIONARY`]: a text that is as good
//! as in front of every JSON, so that what it contains costs almost nothing.

use miniz_oxide::{
    deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params},
    inflate::{
        TINFLStatus,
        core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF},
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// The first byte of packed bytes. Another dictionary needs another version.
const VERSION: u8 = b'1';
/// The effort of the compressor, of 10. More makes short texts no shorter.
const LEVEL: i32 = 2;
/// The longest JSON that is unpacked, in bytes: more than a request can bring.
const MAX_UNPACKED: usize = 8 << 20;
/// The part of a raw DEFLATE stream without the header of zlib.
const RAW: i32 = -15;
/// JSON of this length, in bytes, and longer has a Huffman code of its own, which takes about 60 bytes.
const OWN_CODE_FROM: usize = 2_000;
/// The strategies of zlib: a Huffman code that the RFC fixes, or one of the data's own.
const FIXED_CODE: i32 = 4;
const OWN_CODE: i32 = 0;

/// The text that goes in front of all JSON. What is most frequent stands last.
const DICTIONARY: &[u8] = br#"No AnswerMissedCall connectedBusyVoicemailUnansweredStoppedRejected"leg_type":"PstnToSip"},"kind":"lead","kind":"contact"},"zone":"America/New_York"America/ChicagoAmerica/Los_AngelesEurope/London"additional":{"deal{"type":"https://media.ringcentral.com/restapi/v1.0/account/https://app.ringcentral.com/"recording":"https://"Outbound Call to Inbound Call from [{"c":","k":","w":""s":"-0","d":"Outbound","t":,"r":"Call connected"}]{"i":"","u":"","x":{"hash":null,"number":"1"s":0,"d":{"direction":null,"from":null,"to":null,"contact_number":null,"contact_name":null,"note":null,"subject":null,"start":null,"duration":null,"result":null,"recording":null,"voicemail":null,"ai_note":"{"contact":{"id":"","name":"","phone_number":"+1"},"details":{"direction":"Outbound","from":{"phone_number":"+1","name":null,"extension_number":null},"to":{"phone_number":null,"name":"","extension_number":"10"},"direction":"Inbound","from":{"phone_number":"+1","name":"","extension_number":null},"to":{"phone_number":"+1","name":null,"extension_number":null},"contact_number":"+1","contact_name":null,"note":"","subject":null,"start":"20-0T1:0:00Z","duration":{"Seconds":,"result":"Accepted","recording":null,"voicemail":null,"ai_note":null,"transcript":null,"ace_score":null,"ace_link":null,"ace_transcript":null,"ace_summary":null,"ace_bulleted_summary":null,"legs":[]}}"#;

/// Returns a value as packed JSON.
///
/// # Errors
/// Fails if the value cannot be written as JSON.
pub(super) fn pack(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(value)?;
    let code = if json.len() < OWN_CODE_FROM { FIXED_CODE } else { OWN_CODE };
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, RAW, code));
    let mut packed = vec![0; DICTIONARY.len() + json.len() + 1_024];
    // The dictionary's own data end with a whole byte, and are not stored.
    let (_, _, skipped) = compress(&mut compressor, DICTIONARY, &mut packed, TDEFLFlush::Sync);
    packed[0] = VERSION;
    let (mut read, mut length) = (0, 1);
    debug_assert!(skipped > 0);
    loop {
        let (status, more, written) =
            compress(&mut compressor, &json[read..], &mut packed[length..], TDEFLFlush::Finish);
        (read, length) = (read + more, length + written);
        if status != TDEFLStatus::Okay {
            break;
        }
        packed.resize(packed.len() * 2, 0);
    }
    packed.truncate(length);
    Ok(packed)
}

/// Returns the value that was packed; `None` if another version of this program wrote it, or it is damaged.
pub(super) fn unpack<T: DeserializeOwned>(packed: &[u8]) -> Option<T> {
    let (&VERSION, compressed) = packed.split_first()? else { return None };
    let mut json = DICTIONARY.to_vec();
    json.resize((DICTIONARY.len() + compressed.len() * 4).max(4_096), 0);
    let mut state = DecompressorOxide::new();
    let (mut read, mut end) = (0, DICTIONARY.len());
    loop {
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, more, written) = decompress(&mut state, &compressed[read..], &mut json, end, flags);
        (read, end) = (read + more, end + written);
        match status {
            TINFLStatus::Done => break,
            TINFLStatus::HasMoreOutput if json.len() < MAX_UNPACKED => {
                json.resize((json.len() * 2).min(MAX_UNPACKED), 0);
            }
            _ => return None,
        }
    }
    serde_json::from_slice(&json[DICTIONARY.len()..end]).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn packed_json_unpacks_to_the_same() {
        let long = |length: usize| (0..length).map(|at| char::from(b'a' + (at * at % 23) as u8)).collect();
        let random: String = crate::model::hash::hex(&[7; 3_000]);
        for value in [
            json!(null),
            json!({}),
            json!({"contact": {"id": "77"}, "details": {"note": "Wants a quote 👍", "subject": null}}),
            Value::String(long(OWN_CODE_FROM - 3)),
            Value::String(long(OWN_CODE_FROM)),
            Value::String(long(300_000)),
            Value::String(random),
        ] {
            let packed = pack(&value).unwrap();
            assert_eq!(unpack::<Value>(&packed), Some(value.clone()), "{} bytes", packed.len());
            let json = value.to_string().len();
            assert!(packed.len() <= json * 9 / 8 + 8, "{json} bytes became {}", packed.len());
        }
    }

    #[test]
    fn unpacking_rejects_damaged_and_oversized_bytes() {
        for damaged in [b"".as_slice(), b"2abc", b"1", b"1\xff\xff"] {
            assert_eq!(unpack::<Value>(damaged), None, "{damaged:?}");
        }
        let mut cut = pack(&json!({"note": "Wants a quote"})).unwrap();
        cut.pop();
        assert_eq!(unpack::<Value>(&cut), None);
        let bomb = pack(&" ".repeat(MAX_UNPACKED)).unwrap();
        assert_eq!(unpack::<Value>(&bomb), None, "{} bytes", bomb.len());
    }
}
