//! What both requests tell about a call.

use serde_json::Value;

use super::{
    Invalid,
    fields::Fields,
    time,
    value::{self, Kind, Unreadable},
};
use crate::model::{CallDetails, CallDuration, Direction, Extension, Leg, Party, Secret, UserId, Zone};

const PARTY: Kind<Party> = Kind {
    what: "a party",
    form: "an object with `phoneNumber`, `name` or `extensionNumber`",
    public: false,
    read: party,
};

/// The facts, but for the session and the contact's number. What carries a RingCentral token is not among them:
/// `recordingDownloadLink`, `recording.downloadUrl`.
pub(super) fn read_facts(call: &Fields<'_>) -> Result<CallDetails, Invalid> {
    let direction = call.get("direction", &value::DIRECTION)?;
    Ok(CallDetails {
        session: None,
        direction,
        from: call.get("from", &PARTY)?,
        to: call.get("to", &PARTY)?,
        contact_number: None,
        note: call.text("note")?,
        subject: either(call.text("subject")?, || call.text("customSubject"))?,
        start: call.get("startTime", &time::TIME)?,
        duration: call.get("duration", &time::DURATION)?,
        result: call.text("result")?,
        recording: either(call.text("recordingLink")?, || call.inside("recording")?.text("link"))?,
        voicemail: either(call.text("voicemailLink")?, || call.inside("voicemail")?.text("link"))?,
        ai_note: call.text("aiNote")?,
        transcript: call.text("transcript")?,
        ace_score: call.get("ringSenseAIScore", &value::SCORE)?,
        ace_link: call.text("ringSenseLink")?,
        ace_transcript: call.text("ringSenseTranscript")?,
        ace_summary: call.text("ringSenseSummary")?,
        ace_bulleted_summary: call.text("ringSenseBulletedSummary")?,
        legs: call.list("legs")?.iter().filter_map(|leg| read_leg(leg, direction)).collect(),
    })
}

/// Whose log it is. `rcExtensionId` is a number of RingCentral's own, which not every sender knows: no identity.
pub(super) fn read_extension(call: &Fields<'_>) -> Result<Option<Extension>, Invalid> {
    let text =
        either(call.get("hashedExtensionId", &value::ID)?, || call.get("extensionNumber", &value::ID))?;
    Ok(text.and_then(Extension::new))
}

/// Who the body says it comes from.
pub(super) fn read_user_id(top: &Fields<'_>) -> Result<Option<UserId>, Invalid> {
    Ok(top.inside("user")?.get("id", &value::ID)?.and_then(UserId::new))
}

/// The caller's zone: the request's own, else the one it tells of the user.
pub(super) fn read_zone(top: &Fields<'_>) -> Result<Option<Zone>, Invalid> {
    top.clone().or(top.inside("user")?).get("timezoneOffset", &time::ZONE)
}

/// What is sent to the CRM in place of the stored credential.
pub(super) fn read_authorization(top: &Fields<'_>) -> Result<Option<Secret>, Invalid> {
    top.get("authHeader", &value::SECRET)
}

/// Of two ways to say the same, the first that says something.
pub(super) fn either<T>(
    first: Option<T>,
    second: impl FnOnce() -> Result<Option<T>, Invalid>,
) -> Result<Option<T>, Invalid> {
    first.map_or_else(second, |first| Ok(Some(first)))
}

fn party(value: &Value) -> Result<Option<Party>, Unreadable> {
    let party = match value {
        Value::String(_) => Party { phone_number: (value::TEXT.read)(value)?, ..Party::default() },
        Value::Object(object) => {
            let fields = Fields::of(object);
            Party {
                name: fields.lenient("name", &value::TEXT),
                phone_number: fields.lenient("phoneNumber", &value::TEXT),
                extension_number: fields.lenient("extensionNumber", &value::TEXT),
            }
        }
        _ => return Err(Unreadable),
    };
    Ok((!party.is_unknown()).then_some(party))
}

/// A leg never fails the call that it belongs to. One of which nobody knows the direction tells nothing.
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
    fn whose_log_it_is() {
        let check = |outer: Value, inner: Value, expected: Option<&str>| {
            let [top, record] = [&outer, &inner].map(|value| Fields::of(value.as_object().unwrap()));
            let extension = read_extension(&top.or(record)).unwrap();
            assert_eq!(extension.as_ref().map(Extension::as_str), expected, "{outer} {inner}");
        };
        check(json!({"hashedExtensionId": "h", "extensionNumber": 1}), json!({}), Some("h"));
        check(json!({"extensionNumber": 1}), json!({"hashedExtensionId": "h"}), Some("h"));
        check(json!({"hashedExtensionId": null}), json!({"extensionNumber": "101"}), Some("101"));
        check(json!({"extensionNumber": 101}), json!({}), Some("101"));
        check(json!({"extensionNumber": ""}), json!({}), None);
        check(json!({"rcExtensionId": "5"}), json!({}), None);
    }

    #[test]
    fn a_leg_never_fails_the_call() {
        let legs = |call: &Value| {
            let read = read_facts(&Fields::of(call.as_object().unwrap())).map(|facts| facts.legs);
            read.map_err(|invalid| invalid.message)
        };
        let phone = |number: &str| Party { phone_number: Some(number.to_owned()), ..Party::default() };
        for (leg, direction, to, duration) in [
            (json!({}), Direction::Inbound, Party::default(), None),
            (json!({"direction": "Outbound"}), Direction::Outbound, Party::default(), None),
            (json!({"direction": "sideways", "duration": -1}), Direction::Inbound, Party::default(), None),
            (json!({"to": null, "duration": "pending"}), Direction::Inbound, Party::default(), None),
            (json!({"to": [], "duration": 7.0}), Direction::Inbound, Party::default(), Some(7)),
            (json!({"to": {"phoneNumber": {}, "name": []}}), Direction::Inbound, Party::default(), None),
            (json!({"to": "+1"}), Direction::Inbound, phone("+1"), None),
            (json!({"to": {"phoneNumber": 1213}}), Direction::Inbound, phone("1213"), None),
        ] {
            let expected = Leg { direction, from: Party::default(), to, leg_type: None, duration };
            let call = json!({"direction": "Inbound", "legs": [null, leg]});
            assert_eq!(legs(&call), Ok(vec![expected]), "{call}");
        }
        for (call, expected) in [
            (json!({"legs": null}), Ok(vec![])),
            (json!({"legs": [{}]}), Ok(vec![])),
            (json!({"legs": {}}), Err("`legs` is not a list: expected a list, got an object")),
            (json!({"legs": [{}, 7]}), Err("`legs[1]` is not an object: expected an object, got a number")),
        ] {
            assert_eq!(legs(&call), expected.map_err(str::to_owned), "{call}");
        }
    }
}
