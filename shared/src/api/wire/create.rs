//! The request body of `POST /callLog`.

use serde_json::{Map, Value};

use super::{
    InputError, Read,
    contact::{read_contact, read_contact_name, read_contact_number},
    fields::Fields,
    json,
    record::{read_authorization, read_details, read_extension, read_user_id, read_zone},
    value,
};
use crate::model::{CallDetails, CreateCallLog, Secret};

/// Reads a request to log a call. What cannot be read of the call is left out.
///
/// # Errors
///
/// If the body is not a JSON object; if the call record, its session or its direction is missing or invalid; or if the body
/// names a user or an authorization that cannot be read.
pub fn read_create(body: &[u8]) -> Result<Read<CreateCallLog>, InputError> {
    let body = json::read_object(body, "body")?;
    let top = Fields::of_input(&body);
    let record = top.inside("logInfo")?.or(top.inside("callLog")?);
    if record.is_empty() {
        return Err(top.missing("logInfo", "the call record, here or in `callLog`"));
    }
    let call = top.clone().or(record);
    let session = call.require("sessionId", &value::SESSION)?;
    call.require("direction", &value::DIRECTION)?;
    let mut details = CallDetails { session: Some(session.clone()), ..read_details(&call) };
    details.contact_number = read_contact_number(&top, &details);
    details.contact_name = read_contact_name(&top);
    let (additional, owner_token, owner_extension) = read_additional(&top);
    let command = CreateCallLog {
        session,
        extension: read_extension(&call),
        user: read_user_id(&top)?,
        owner_token,
        owner_extension,
        contact: read_contact(&top, &details),
        has_note: has_note(&call, &details),
        additional,
        authorization: read_authorization(&top)?,
        zone: read_zone(&top),
        details,
    };
    Ok(Read { command, unread: top.unread() })
}

/// Returns `true` if the request has a note, which may be empty, and no placeholder for it.
fn has_note(call: &Fields<'_>, details: &CallDetails) -> bool {
    match details.note {
        Some(_) => details.firm_note().is_some(),
        None => call.lenient("note", &value::NOTE).is_some(),
    }
}

/// Returns the form fields without the token of another user that server-side logging adds; and that token and the id of that
/// user's extension, if the user should own the record.
fn read_additional(top: &Fields<'_>) -> (Map<String, Value>, Option<Secret>, Option<String>) {
    let mut additional = top.fact("additionalSubmission", &value::OBJECT).unwrap_or_default();
    let token = additional.shift_remove("adminAssignedUserToken");
    // Any other value than `true`, such as the text "true", does not ask for another owner, as in App Connect.
    let is_assigned = additional.get("isAssignedToUser") == Some(&Value::Bool(true));
    let token = token.filter(|_| is_assigned).and_then(|token| Some(Secret::new(token.as_str()?.trim())));
    let extension = additional.get("adminAssignedUserRcId").filter(|_| is_assigned);
    let extension = extension.and_then(|id| (value::ID.read)(id).ok().flatten());
    (additional, token.filter(|token| !token.expose().is_empty()), extension)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde_json::json;

    use super::*;
    use crate::model::{
        CallDuration, Contact, ContactId, Direction, Leg, NamedExtension, Party, UserId, Zone,
    };

    /// The smallest valid body, with these fields added.
    fn call(fields: Value) -> Value {
        let mut body = json!({"logInfo": {"sessionId": "1", "direction": "Inbound"}});
        for (name, value) in fields.as_object().unwrap() {
            match (body.get_mut(name), value) {
                (Some(Value::Object(object)), Value::Object(added)) => object.extend(added.clone()),
                _ => body[name] = value.clone(),
            }
        }
        body
    }

    fn read(body: &Value) -> Result<CreateCallLog, InputError> {
        read_create(body.to_string().as_bytes()).map(|read| read.command)
    }

    fn check<T: Debug + PartialEq>(
        fields: Value,
        field: impl Fn(CreateCallLog) -> T,
        expected: impl Into<T>,
    ) {
        assert_eq!(field(read(&call(fields.clone())).unwrap()), expected.into(), "{fields}");
    }

    fn check_left_out(fields: Value, message: &str) {
        let body = call(fields);
        let unread = read_create(body.to_string().as_bytes()).unwrap().unread;
        let unread: Vec<_> = unread.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(unread, [message], "{body}");
    }

    fn check_rejected(body: Value, message: &str) {
        assert_eq!(read(&body).map_err(|error| error.message), Err(message.to_owned()), "{body}");
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn both_dialects_produce_the_same_command() {
        let extension = json!({
            "logInfo": {
                "id": "X2AvJPtwNQbNQA", "sessionId": "4503991004",
                "telephonySessionId": "s-9a03590172ea4d39a7cf7d5b6dba6a3b", "startTime": 1741794325000_i64,
                "duration": 65, "type": "Voice", "direction": "Inbound", "action": "Phone Call",
                "result": "Accepted", "from": {"phoneNumber": "+12135550111", "name": "BOB CLIENT"},
                "to": {"phoneNumber": "+16505550100", "name": "Ada Agent"},
                "recording": {"link": "(pending...)", "expiry": 1744386325000_i64,
                              "downloadUrl": "https://rec.example?accessToken=s3cr3t"},
                "customSubject": "Inbound Call from Bob Client", "hashedExtensionId": "ab12",
                "rcExtensionId": 62264425,
                "legs": [{"direction": "Inbound", "to": {"extensionNumber": 101}, "legType": "Accept", "duration": 7}]
            },
            "note": "Wants a quote\nCall back Friday", "aiNote": "Bob asked", "transcript": "Ada: Hello",
            "additionalSubmission": {"deals": 412, "adminAssignedUserToken": "s3cr3t"},
            "overridingFormat": ["(***) ***-****"],
            "contactId": 77, "contactType": "contact", "contactName": "Bob Client"
        });
        let mut record = extension["logInfo"].clone();
        record["startTime"] = json!("2025-03-12T15:45:25.000Z");
        let interface = json!({
            "callLog": record, "note": extension["note"], "aiNote": extension["aiNote"],
            "transcript": extension["transcript"], "additionalSubmission": {"deals": 412},
            "contactInfo": {"id": "77", "type": "contact", "phoneNumber": "+12135550111", "name": "Bob Client"}
        });
        let session = crate::model::SessionId::new("4503991004").unwrap();
        let bob =
            Party { name: text("BOB CLIENT"), phone_number: text("+12135550111"), extension_number: None };
        let ada =
            Party { name: text("Ada Agent"), phone_number: text("+16505550100"), extension_number: None };
        let expected = CreateCallLog {
            session: session.clone(),
            extension: NamedExtension { hash: text("ab12"), id: text("62264425"), number: None },
            user: None,
            owner_token: None,
            owner_extension: None,
            contact: Some(Contact {
                id: ContactId::new("77").unwrap(),
                kind: text("contact"),
                name: text("Bob Client"),
                phone_number: text("+12135550111"),
            }),
            details: CallDetails {
                session: Some(session),
                direction: Some(Direction::Inbound),
                from: Some(bob),
                to: Some(ada),
                contact_number: text("+12135550111"),
                contact_name: text("Bob Client"),
                note: text("Wants a quote\nCall back Friday"),
                subject: text("Inbound Call from Bob Client"),
                start: Some("2025-03-12T15:45:25Z".parse().unwrap()),
                duration: Some(CallDuration::Seconds(65)),
                result: text("Accepted"),
                recording: text("(pending...)"),
                ai_note: text("Bob asked"),
                transcript: text("Ada: Hello"),
                legs: vec![Leg {
                    direction: Direction::Inbound,
                    from: Party::default(),
                    to: Party { extension_number: text("101"), ..Party::default() },
                    leg_type: text("Accept"),
                    duration: Some(7),
                }],
                ..CallDetails::default()
            },
            has_note: true,
            additional: json!({"deals": 412}).as_object().unwrap().clone(),
            authorization: None,
            zone: None,
        };
        for body in [extension, interface] {
            let read = read(&body).unwrap();
            assert!(!format!("{read:?}").contains("s3cr3t"));
            assert_eq!(read, expected, "{body}");
        }
    }

    #[test]
    fn a_field_is_found_in_each_of_its_places() {
        check(json!({"note": "a", "logInfo": {"note": "b"}}), |c| c.details.note, text("a"));
        check(json!({"note": " ", "logInfo": {"note": "b"}}), |c| c.details.note, text("b"));
        check(json!({"note": null, "callLog": {"note": "c"}}), |c| c.details.note, text("c"));
        check(json!({"note": " a\n"}), |c| c.details.note, text(" a\n"));
        check(json!({}), |c| c.has_note, false);
        check(json!({"note": null}), |c| c.has_note, false);
        check(json!({"note": {}}), |c| c.has_note, false);
        check(json!({"note": 7}), |c| c.has_note, true);
        check(json!({"note": " "}), |c| c.has_note, true);
        check(json!({"note": null, "logInfo": {"note": ""}}), |c| c.has_note, true);
        check(json!({"note": "", "logInfo": {"note": "From auto logging"}}), |c| c.has_note, false);
        check(json!({"note": "From auto logging (Pending)"}), |c| c.has_note, false);
        check(json!({"subject": "s"}), |c| c.details.subject, text("s"));
        check(json!({"logInfo": {"subject": "s"}}), |c| c.details.subject, text("s"));
        check(
            json!({"recordingLink": "l", "logInfo": {"recording": {"link": "m"}}}),
            |c| c.details.recording,
            text("l"),
        );
        check(
            json!({"recordingDownloadLink": "l", "logInfo": {"recording": {"downloadUrl": "m"}}}),
            |c| c.details.recording,
            None,
        );
        check(json!({"logInfo": {"recording": null}}), |c| c.details.recording, None);
        check(json!({"logInfo": {"recording": false}}), |c| c.details.recording, None);
        check(json!({"voicemailLink": "v"}), |c| c.details.voicemail, text("v"));
        check(json!({"logInfo": {"voicemailLink": "v"}}), |c| c.details.voicemail, text("v"));
        check(json!({"logInfo": {"voicemail": {"link": "v"}}}), |c| c.details.voicemail, text("v"));
        check(json!({"ringSenseAIScore": {"score": 87}}), |c| c.details.ace_score, text("87"));
        check(json!({"logInfo": {"ringSenseAIScore": 87}}), |c| c.details.ace_score, text("87"));
        check(json!({"logInfo": {"ringSenseLink": "l"}}), |c| c.details.ace_link, text("l"));
        check(json!({"ringSenseTranscript": "t"}), |c| c.details.ace_transcript, text("t"));
        check(json!({"ringSenseSummary": "s"}), |c| c.details.ace_summary, text("s"));
        check(json!({"ringSenseBulletedSummary": "b"}), |c| c.details.ace_bulleted_summary, text("b"));
        check(json!({"logInfo": {"duration": "pending"}}), |c| c.details.duration, CallDuration::Pending);
        check(json!({"logInfo": {"direction": "OUTBOUND"}}), |c| c.details.direction, Direction::Outbound);
        check(json!({"logInfo": {"result": 486}}), |c| c.details.result, text("486"));
        check(json!({"logInfo": {"sessionId": 4503991004_i64}}), |c| c.session.to_string(), "4503991004");
        check(
            json!({"timezoneOffset": "+05:30", "user": {"timezoneOffset": 1}}),
            |c| c.zone,
            Zone::parse("+05:30"),
        );
        check(json!({"user": {"timezoneOffset": -8}}), |c| c.zone, Zone::parse("-08:00"));
        check(json!({"user": {"id": 12345}}), |c| c.user, UserId::new("12345"));
        check(json!({"authHeader": "Bearer x"}), |c| c.authorization, Secret::new("Bearer x"));
        check(json!({"authHeader": ""}), |c| c.authorization, None);
        check(json!({"additionalSubmission": ""}), |c| c.additional, Map::new());
    }

    #[test]
    fn the_token_of_another_owner_is_read_only_on_request_and_is_never_a_form_field() {
        let check = |assigned: Value, token: Value, expected: Option<&str>| {
            let mut form =
                json!({"deals": 412, "isAssignedToUser": assigned, "adminAssignedUserToken": token});
            let read = read(&call(json!({"additionalSubmission": form}))).unwrap();
            assert!(!format!("{read:?}").contains("s3cr3t"), "{form}");
            assert_eq!(read.owner_token.as_ref().map(Secret::expose), expected, "{form}");
            form.as_object_mut().unwrap().shift_remove("adminAssignedUserToken");
            assert_eq!(Value::Object(read.additional), form);
        };
        check(json!(true), json!("s3cr3t"), Some("s3cr3t"));
        check(json!(true), json!(" s3cr3t\n"), Some("s3cr3t"));
        for not_asked in [json!(false), json!(null), json!("true"), json!(1), json!([true])] {
            check(not_asked, json!("s3cr3t"), None);
        }
        for no_token in
            [json!(null), json!(""), json!(" "), json!(7), json!({"token": "s3cr3t"}), json!(["s3cr3t"])]
        {
            check(json!(true), no_token, None);
        }
        // An extension is a form field too, as in App Connect.
        for (assigned, id, expected) in [
            (json!(true), json!("62275646002"), text("62275646002")),
            (json!(true), json!(62275646002_i64), text("62275646002")),
            (json!(true), json!(""), None),
            (json!(true), json!({"id": 7}), None),
            (json!("true"), json!("7"), None),
        ] {
            let form = json!({"isAssignedToUser": assigned, "adminAssignedUserRcId": id});
            let read = read(&call(json!({"additionalSubmission": form}))).unwrap();
            assert_eq!((read.owner_extension, Value::Object(read.additional)), (expected, form));
        }
        // Only the form asks for another owner.
        let elsewhere = json!({"isAssignedToUser": true, "adminAssignedUserToken": "s3cr3t"});
        assert_eq!(read(&call(elsewhere)).unwrap().owner_token, None);
    }

    #[test]
    fn a_request_that_is_impossible_is_rejected_and_no_private_value_is_quoted() {
        let missing = "is missing: expected the call record, here or in `callLog`";
        check_rejected(json!({}), &format!("`logInfo` {missing}"));
        check_rejected(json!({"logInfo": null, "sessionId": "1"}), &format!("`logInfo` {missing}"));
        check_rejected(json!({"logInfo": 7}), "`logInfo` is not an object: expected an object, got a number");
        let session = "expected RingCentral's id of one call, never 0";
        check_rejected(json!({"logInfo": {}}), &format!("`logInfo.sessionId` is missing: {session}"));
        check_rejected(
            json!({"callLog": {"sessionId": " "}}),
            &format!("`callLog.sessionId` is missing: {session}"),
        );
        for (zero, shown) in [(json!("0"), "\"0\""), (json!(0), "0")] {
            let body = call(json!({"logInfo": {"sessionId": zero}}));
            check_rejected(body, &format!("`logInfo.sessionId` is not a session id: {session}, got {shown}"));
        }
        let direction = "expected \"Inbound\" or \"Outbound\"";
        check_rejected(
            json!({"logInfo": {"sessionId": 1}}),
            &format!("`logInfo.direction` is missing: {direction}"),
        );
        for (fields, message) in [
            (
                json!({"logInfo": {"direction": "sideways"}}),
                "`logInfo.direction` is not a direction: expected \"Inbound\" or \"Outbound\", got \"sideways\"",
            ),
            (
                json!({"authHeader": 7}),
                "`authHeader` is not a header value: expected a string of printable ASCII characters, got a number",
            ),
            (
                json!({"authHeader": "Bearer s3cr3t\r\nX: y"}),
                "`authHeader` is not a header value: expected a string of printable ASCII characters, got a string",
            ),
            (
                json!({"user": {"id": {}}}),
                "`user.id` is not an identifier: expected a string or a whole number, at most 256 bytes long, got an object",
            ),
        ] {
            check_rejected(call(fields), message);
        }
    }

    #[test]
    fn a_fact_that_cannot_be_read_is_left_out_and_named() {
        for (fields, message) in [
            (
                json!({"logInfo": {"startTime": "yesterday"}}),
                "`logInfo.startTime` is not a time: expected ISO 8601 or epoch milliseconds, got \"yesterday\"",
            ),
            (
                json!({"logInfo": {"duration": 1.5}}),
                "`logInfo.duration` is not a duration: expected whole seconds or \"pending\", got 1.5",
            ),
            (json!({"note": ["private"]}), "`note` is not text: expected a string, got a list"),
            (
                json!({"aiNote": {"text": "private"}}),
                "`aiNote` is not text: expected a string, got an object",
            ),
            (
                json!({"logInfo": {"from": 7}}),
                "`logInfo.from` is not a party: expected an object with `phoneNumber`, `name` or `extensionNumber`, got a number",
            ),
            (
                json!({"logInfo": {"recording": "https://x"}}),
                "`logInfo.recording` is not an object: expected an object, got a string",
            ),
            (json!({"contactInfo": []}), "`contactInfo` is not an object: expected an object, got a list"),
            (
                json!({"contactInfo": {"id": {}}}),
                "`contactInfo.id` is not an identifier: expected a string or a whole number, at most 256 bytes long, got an object",
            ),
            (
                json!({"logInfo": {"hashedExtensionId": ["h"]}}),
                "`logInfo.hashedExtensionId` is not an identifier: expected a string or a whole number, at most 256 bytes long, got a list",
            ),
            (
                json!({"logInfo": {"legs": {}}}),
                "`logInfo.legs` is not a list: expected a list, got an object",
            ),
            (
                json!({"logInfo": {"legs": [{}, 7]}}),
                "`logInfo.legs[1]` is not an object: expected an object, got a number",
            ),
            (
                json!({"additionalSubmission": [1]}),
                "`additionalSubmission` is not an object: expected an object, got a list",
            ),
            (json!({"user": "u"}), "`user` is not an object: expected an object, got a string"),
            (
                json!({"user": {"timezoneOffset": "bogus"}}),
                "`user.timezoneOffset` is not a time zone: expected an offset (\"+05:30\"), hours, minutes, or an IANA name, got \"bogus\"",
            ),
        ] {
            check_left_out(fields, message);
        }
        // The other place of a field may have a value that can be read.
        let read =
            read_create(call(json!({"note": ["private"], "logInfo": {"note": "b"}})).to_string().as_bytes());
        let read = read.unwrap();
        assert_eq!((read.command.details.note, read.unread.len()), (text("b"), 1));
        check(json!({"logInfo": {"duration": -5}}), |c| c.details.duration, CallDuration::Seconds(0));
    }
}
