//! The fields of a call that both requests have.

use serde_json::{Map, Value};

use super::{
    InputError,
    fields::Fields,
    time,
    value::{self, InvalidValue, ValueType},
};
use crate::model::{CallDetails, CallDuration, Direction, Leg, NamedExtension, Party, Secret, UserId, Zone};

const PARTY: ValueType<Party> = ValueType {
    name: "a party",
    expected: "an object with `phoneNumber`, `name` or `extensionNumber`",
    is_quotable: false,
    read: party,
};

/// The number of legs that are read. No call has as many.
const MAX_LEGS: usize = 200;

/// Reads the details of a call, except the session and the contact. Fields that contain a RingCentral token
/// (`recordingDownloadLink`, `recording.downloadUrl`) are never read.
pub(super) fn read_details(call: &Fields<'_>) -> CallDetails {
    let direction = call.fact("direction", &value::DIRECTION);
    CallDetails {
        session: None,
        direction,
        from: call.fact("from", &PARTY),
        to: call.fact("to", &PARTY),
        contact_number: None,
        contact_name: None,
        note: call.words("note"),
        subject: call.fact("subject", &value::LINE).or_else(|| call.fact("customSubject", &value::LINE)),
        start: call.fact("startTime", &time::TIME),
        duration: call.fact("duration", &time::DURATION),
        result: call.words("result"),
        recording: call.words("recordingLink").or_else(|| call.part("recording").words("link")),
        voicemail: call.words("voicemailLink").or_else(|| call.part("voicemail").words("link")),
        ai_note: call.words("aiNote"),
        transcript: call.words("transcript"),
        ace_score: call.fact("ringSenseAIScore", &value::SCORE),
        ace_link: call.words("ringSenseLink"),
        ace_transcript: call.words("ringSenseTranscript"),
        ace_summary: call.words("ringSenseSummary"),
        ace_bulleted_summary: call.words("ringSenseBulletedSummary"),
        legs: call.list("legs", MAX_LEGS).iter().filter_map(|leg| read_leg(leg, direction)).collect(),
        choices: Map::new(),
    }
}

/// Returns all names of the extension that the log belongs to. Server-side logging sends `rcExtensionId` or
/// `extensionNumber`, the extension of the browser sends `hashedExtensionId`.
pub(super) fn read_extension(call: &Fields<'_>) -> NamedExtension {
    NamedExtension {
        hash: call.fact("hashedExtensionId", &value::ID),
        id: call.fact("rcExtensionId", &value::ID),
        number: call.fact("extensionNumber", &value::ID),
    }
}

/// Returns the user that the body names.
pub(super) fn read_user_id(top: &Fields<'_>) -> Result<Option<UserId>, InputError> {
    Ok(top.part("user").get("id", &value::ID)?.and_then(UserId::new))
}

/// Returns the time zone: the request's own, or else the one of the user in the body.
pub(super) fn read_zone(top: &Fields<'_>) -> Option<Zone> {
    top.clone().or(top.part("user")).fact("timezoneOffset", &time::ZONE)
}

/// Returns the `Authorization` header to send to the CRM instead of the stored credential.
pub(super) fn read_authorization(top: &Fields<'_>) -> Result<Option<Secret>, InputError> {
    top.get("authHeader", &value::SECRET)
}

fn party(value: &Value) -> Result<Option<Party>, InvalidValue> {
    let party = match value {
        Value::String(_) => Party { phone_number: (value::TEXT.read)(value)?, ..Party::default() },
        Value::Object(object) => {
            let fields = Fields::of(object);
            Party {
                name: fields.lenient("name", &value::LINE),
                phone_number: fields.lenient("phoneNumber", &value::TEXT),
                extension_number: fields.lenient("extensionNumber", &value::TEXT),
            }
        }
        _ => return Err(InvalidValue),
    };
    Ok((!party.is_unknown()).then_some(party))
}

/// Returns a leg without its invalid members, because a leg must never fail the call. `call` is the call's direction. A leg
/// without a direction has no meaning and is left out.
fn read_leg(leg: &Fields<'_>, call: Option<Direction>) -> Option<Leg> {
    Some(Leg {
        direction: leg.lenient("direction", &value::DIRECTION).or(call)?,
        from: leg.lenient("from", &PARTY).unwrap_or_default(),
        to: leg.lenient("to", &PARTY).unwrap_or_default(),
        leg_type: leg.lenient("legType", &value::TEXT),
        duration: match leg.lenient("duration", &time::DURATION) {
            Some(CallDuration::Seconds(seconds)) => Some(seconds),
            Some(CallDuration::Pending) | None => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_name_of_an_extension_is_found_at_the_top_or_in_the_call() {
        let check = |outer: Value, inner: Value, expected: [Option<&str>; 3]| {
            let [top, record] = [&outer, &inner].map(|value| Fields::of(value.as_object().unwrap()));
            let [hash, id, number] = expected.map(|name| name.map(str::to_owned));
            let named = read_extension(&top.or(record));
            assert_eq!(named, NamedExtension { hash, id, number }, "{outer} {inner}");
        };
        let all = json!({"hashedExtensionId": "h", "rcExtensionId": 62264425, "extensionNumber": 101});
        let found = [Some("h"), Some("62264425"), Some("101")];
        check(all.clone(), json!({}), found);
        check(json!({}), all.clone(), found);
        check(
            json!({"hashedExtensionId": "", "rcExtensionId": null, "extensionNumber": " "}),
            all.clone(),
            found,
        );
        check(json!({"extensionNumber": "102"}), all, [Some("h"), Some("62264425"), Some("102")]);
        check(
            json!({"rcExtensionId": "5"}),
            json!({"extensionNumber": "0101"}),
            [None, Some("5"), Some("0101")],
        );
        check(json!({"hashedExtensionId": "undefined"}), json!({}), [Some("undefined"), None, None]);
        check(json!({"extension": {"id": 5}}), json!({"from": {"extensionNumber": "101"}}), [None; 3]);
    }

    #[test]
    fn an_invalid_leg_never_fails_the_call() {
        let legs = |call: &Value| read_details(&Fields::of(call.as_object().unwrap())).legs;
        let phone = |number: &str| Party { phone_number: Some(number.to_owned()), ..Party::default() };
        for (leg, direction, to, duration) in [
            (json!({}), Direction::Inbound, Party::default(), None),
            (json!({"direction": "Outbound"}), Direction::Outbound, Party::default(), None),
            (json!({"direction": "sideways", "duration": -1}), Direction::Inbound, Party::default(), Some(0)),
            (json!({"to": null, "duration": "pending"}), Direction::Inbound, Party::default(), None),
            (json!({"to": [], "duration": 7.0}), Direction::Inbound, Party::default(), Some(7)),
            (json!({"to": {"phoneNumber": {}, "name": []}}), Direction::Inbound, Party::default(), None),
            (json!({"to": "+1"}), Direction::Inbound, phone("+1"), None),
            (json!({"to": {"phoneNumber": 1213}}), Direction::Inbound, phone("1213"), None),
        ] {
            let expected = Leg { direction, from: Party::default(), to, leg_type: None, duration };
            let call = json!({"direction": "Inbound", "legs": [null, leg]});
            assert_eq!(legs(&call), [expected], "{call}");
        }
        for (call, expected) in [
            (json!({"legs": null}), 0),
            (json!({"legs": [{}]}), 0),
            (json!({"legs": {}}), 0),
            (json!({"direction": "Inbound", "legs": [{}, 7]}), 1),
            (json!({"direction": "Inbound", "legs": vec![json!({}); 300]}), MAX_LEGS),
        ] {
            assert_eq!(legs(&call).len(), expected, "{call}");
        }
    }
}
