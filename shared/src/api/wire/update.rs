//! The request body of `PATCH /callLog`.

use super::{
    InputError, Read,
    contact::{read_contact_name, read_contact_number},
    fields::Fields,
    json,
    record::{read_authorization, read_details, read_extension, read_user_id, read_zone},
    value,
};
use crate::model::{CallDetails, UpdateCallLog};

/// Reads a request to update the log of a call. What cannot be read of the call is left out.
///
/// # Errors
///
/// If the body is not a JSON object, if the session is missing or invalid, or if the body names a user or an authorization
/// that cannot be read.
pub fn read_update(body: &[u8]) -> Result<Read<UpdateCallLog>, InputError> {
    let body = json::read_object(body, "body")?;
    let top = Fields::of_input(&body);
    let call = top.clone().or(top.part("logInfo")).or(top.part("callLog"));
    // `existingCallLog` only identifies the call. Its other fields are older values.
    let identity = call.clone().or(top.part("existingCallLog"));
    let session = identity.require("sessionId", &value::SESSION)?;
    let mut details = CallDetails { session: Some(session.clone()), ..read_details(&call) };
    details.contact_number = read_contact_number(&top, &details);
    details.contact_name = read_contact_name(&top);
    let command = UpdateCallLog {
        extension: read_extension(&identity),
        user: read_user_id(&top)?,
        details,
        is_cached_note: false,
        authorization: read_authorization(&top)?,
        zone: read_zone(&top),
        session,
    };
    Ok(Read { command, unread: top.unread() })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde_json::{Value, json};

    use super::*;
    use crate::model::{CallDuration, Direction, NamedExtension, Party, Zone};

    fn read(body: &Value) -> Result<UpdateCallLog, InputError> {
        read_update(body.to_string().as_bytes()).map(|read| read.command)
    }

    fn check<T: Debug + PartialEq>(body: Value, field: impl Fn(UpdateCallLog) -> T, expected: impl Into<T>) {
        assert_eq!(field(read(&body).unwrap()), expected.into(), "{body}");
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn both_dialects_produce_the_same_command() {
        let fields = json!({
            "recordingLink": "https://rec.example/1",
            "recordingDownloadLink": "https://rec.example/2?accessToken=s3cr3t", "subject": "Quote", "note": "",
            "startTime": "1741794325000", "duration": 65, "result": "Accepted", "direction": "inbound",
            "from": {}, "to": {"name": "Ada"}, "aiNote": null, "transcript": "Ada: Hello\n", "legs": [{}]
        });
        let mut extension = fields.clone();
        extension["sessionId"] = json!(4503991004_i64);
        let mut interface = fields;
        interface["existingCallLog"] =
            json!({"sessionId": "4503991004", "result": "Missed", "note": "old", "startTime": "nonsense"});
        let session = crate::model::SessionId::new("4503991004").unwrap();
        for body in [extension, interface] {
            let update = read(&body).unwrap();
            assert!(!format!("{update:?}").contains("s3cr3t"));
            assert_eq!(update.session, session);
            let legs = update.details.legs.clone();
            assert_eq!(legs.len(), 1);
            let expected = CallDetails {
                session: Some(session.clone()),
                direction: Some(Direction::Inbound),
                to: Some(Party { name: text("Ada"), ..Party::default() }),
                subject: text("Quote"),
                start: Some("2025-03-12T15:45:25Z".parse().unwrap()),
                duration: Some(CallDuration::Seconds(65)),
                result: text("Accepted"),
                recording: text("https://rec.example/1"),
                transcript: text("Ada: Hello\n"),
                legs,
                ..CallDetails::default()
            };
            assert_eq!(update.details, expected, "{body}");
        }
    }

    #[test]
    fn a_field_is_found_in_each_of_its_places() {
        check(
            json!({"sessionId": 1}),
            |u| u.details,
            CallDetails { session: crate::model::SessionId::new("1"), ..CallDetails::default() },
        );
        check(json!({"logInfo": {"sessionId": 1, "result": "r"}}), |u| u.details.result, text("r"));
        check(
            json!({"sessionId": 1, "callLog": {"legs": [{"direction": "Outbound"}]}}),
            |u| u.details.legs.len(),
            1_usize,
        );
        check(json!({"sessionId": 1, "legs": [{}]}), |u| u.details.legs.len(), 0_usize);
        check(
            json!({"existingCallLog": {"sessionId": 1, "extensionNumber": 7}}),
            |u| u.extension.number,
            text("7"),
        );
        check(json!({"sessionId": 1, "hashedExtensionId": "h"}), |u| u.extension.hash, text("h"));
        check(
            json!({"sessionId": 1, "extensionNumber": 7, "logInfo": {"hashedExtensionId": "h"}, "existingCallLog": {"rcExtensionId": 5}}),
            |u| u.extension,
            NamedExtension { hash: text("h"), id: text("5"), number: text("7") },
        );
        check(json!({"sessionId": 1}), |u| u.extension, NamedExtension::default());
        check(json!({"sessionId": 1, "contactName": "Bob"}), |u| u.details.contact_name, text("Bob"));
        let contact = json!({"name": "Bob", "phoneNumber": "+3"});
        let read_contact = |u: UpdateCallLog| (u.details.contact_name, u.details.contact_number);
        check(json!({"sessionId": 1, "contactInfo": contact}), read_contact, (text("Bob"), text("+3")));
        // Without a number of the contact, it is the other party's if the update tells which party that is.
        let from = json!({"phoneNumber": "+1"});
        check(json!({"sessionId": 1, "from": from}), |u| u.details.contact_number, None);
        let inbound = json!({"sessionId": 1, "direction": "Inbound", "from": from, "to": "+2"});
        check(inbound, |u| u.details.contact_number, text("+1"));
        check(json!({"sessionId": 1, "timezoneOffset": 5.5}), |u| u.zone, Zone::parse("+05:30"));
    }

    #[test]
    fn an_update_without_a_session_is_rejected() {
        let session = "expected RingCentral's id of one call, never 0";
        for (body, message) in [
            (json!({}), format!("`sessionId` is missing: {session}")),
            (json!({"existingCallLog": {}}), format!("`existingCallLog.sessionId` is missing: {session}")),
            (json!({"sessionId": "0"}), format!("`sessionId` is not a session id: {session}, got \"0\"")),
        ] {
            assert_eq!(read(&body).map_err(|error| error.message), Err(message), "{body}");
        }
    }

    #[test]
    fn a_fact_that_cannot_be_read_is_left_out_and_named() {
        for (field, value, message) in [
            ("legs", json!("x"), "`legs` is not a list: expected a list, got a string"),
            ("result", json!({"a": 1}), "`result` is not text: expected a string, got an object"),
            (
                "existingCallLog",
                json!(7),
                "`existingCallLog` is not an object: expected an object, got a number",
            ),
            ("logInfo", json!(7), "`logInfo` is not an object: expected an object, got a number"),
            (
                "direction",
                json!("up"),
                "`direction` is not a direction: expected \"Inbound\" or \"Outbound\", got \"up\"",
            ),
        ] {
            let mut body = json!({"sessionId": 1, "aiNote": "Bob asked"});
            body[field] = value;
            let read = read_update(body.to_string().as_bytes()).unwrap();
            let unread: Vec<_> = read.unread.iter().map(|error| error.message.as_str()).collect();
            assert_eq!((unread, read.command.details.ai_note), (vec![message], text("Bob asked")), "{body}");
        }
    }
}
