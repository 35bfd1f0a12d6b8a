//! Lines of `call-log compose`: the input of a note, without a call log.

use super::{
    InputError,
    contact::read_contact_number,
    fields::Fields,
    json,
    record::{read_details, read_zone},
    user::read_settings,
    value,
};
use crate::model::{CallDetails, SessionId, Settings, Zone};

/// The input of a note.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposeLine {
    /// The call.
    pub details: CallDetails,
    /// The user's settings.
    pub settings: Settings,
    /// The time zone of the times in the note.
    pub zone: Zone,
    /// The body to update. `None`: the note is new.
    pub existing_body: Option<String>,
    /// The input of the last write. Settings and zone that it does not name are the line's own.
    pub base: Option<Box<ComposeLine>>,
}

/// Reads one line.
///
/// # Errors
///
/// If the line is not a JSON object, or a field is invalid.
pub fn read_compose_line(line: &str) -> Result<ComposeLine, InputError> {
    let object = json::read_object(line.as_bytes(), "line")?;
    let top = Fields::of_input(&object);
    let line = read_input(&top, None)?;
    // There is no call to lose.
    top.unread().into_iter().next().map_or(Ok(line), Err)
}

fn read_input(top: &Fields<'_>, outer: Option<&ComposeLine>) -> Result<ComposeLine, InputError> {
    let call = top.clone().or(top.inside("callLog")?).or(top.inside("logInfo")?);
    let mut details = read_details(&call);
    details.session = call.get("sessionId", &value::CONTACT_ID)?.and_then(SessionId::new);
    let existing_body = top.get("existingBody", &value::BODY)?;
    // An update has a contact number only if it names one; otherwise it would bring back a line that the user deleted.
    let no_parties = CallDetails::default();
    let known = if existing_body.is_some() { &no_parties } else { &details };
    details.contact_number = read_contact_number(top, known);
    let mut line = ComposeLine {
        details,
        settings: read_settings(&top.inside("user")?)?
            .or_else(|| outer.map(|outer| outer.settings.clone()))
            .unwrap_or_default(),
        zone: read_zone(top).or(outer.map(|outer| outer.zone)).unwrap_or(Zone::UTC),
        existing_body,
        base: None,
    };
    let base = top.inside("base")?;
    if !base.is_empty() {
        line.base = Some(Box::new(read_input(&base, Some(&line))?));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::model::CallDuration;

    fn check<T: Debug + PartialEq>(line: &str, field: impl Fn(ComposeLine) -> T, expected: impl Into<T>) {
        assert_eq!(field(read_compose_line(line).unwrap()), expected.into(), "{line}");
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_field_of_a_line_is_optional() {
        let empty = ComposeLine {
            details: CallDetails::default(),
            settings: Settings::default(),
            zone: Zone::UTC,
            existing_body: None,
            base: None,
        };
        check("{}", |line| line, empty);
        check(r#"{"callLog": {"sessionId": "1"}}"#, |line| line.details.session, SessionId::new("1"));
        check(r#"{"callLog": {"sessionId": "0"}}"#, |line| line.details.session, None);
        check(
            r#"{"duration": 7, "callLog": {"duration": 9}}"#,
            |line| line.details.duration,
            CallDuration::Seconds(7),
        );
        check(r#"{"callLog": {"result": "r"}}"#, |line| line.details.result, text("r"));
        check(r#"{"user": {"timezoneOffset": "+09:00"}}"#, |line| Some(line.zone), Zone::parse("+09:00"));
        let setting = r#"{"user": {"userSettings": {"addCallSessionId": {"value": true}, "other": 1}}}"#;
        check(setting, |line| line.settings.is_on("addCallSessionId", false), true);
        check(setting, |line| line.settings.0.len(), 2_usize);
        check(r#"{"existingBody": ""}"#, |line| line.existing_body, text(""));
        check(
            r#"{"existingBody": "- Note: a\n", "recordingLink": "l"}"#,
            |line| line.existing_body,
            text("- Note: a\n"),
        );
    }

    #[test]
    fn an_update_has_a_contact_number_only_if_the_line_names_one() {
        let number = |line: ComposeLine| line.details.contact_number;
        let call = r#""callLog": {"direction": "Outbound", "to": {"phoneNumber": "+2"}}"#;
        check(&format!("{{{call}}}"), number, text("+2"));
        check(&format!("{{{call}, \"existingBody\": \"b\"}}"), number, None);
        check(r#"{"existingBody": "b", "contactInfo": {"phoneNumber": "+3"}}"#, number, text("+3"));
    }

    #[test]
    fn a_base_inherits_missing_settings_and_zone_from_its_line() {
        let base = |line: ComposeLine| *line.base.unwrap();
        let user = r#""user": {"timezoneOffset": "+09:00", "userSettings": {"k": false}}"#;
        let bare = format!(r#"{{{user}, "existingBody": "b", "base": {{"note": "n"}}}}"#);
        check(&bare, |line| base(line).details.note, text("n"));
        check(&bare, |line| Some(base(line).zone), Zone::parse("+09:00"));
        check(&bare, |line| base(line).settings.is_on("k", true), false);
        check(&bare, |line| base(line).existing_body, None);
        let own = format!(r#"{{{user}, "base": {{"user": {{"timezoneOffset": 1, "userSettings": {{}}}}}}}}"#);
        check(&own, |line| Some(base(line).zone), Zone::parse("1"));
        check(&own, |line| base(line).settings.is_on("k", true), true);
    }

    #[test]
    fn an_invalid_line_is_rejected() {
        for (line, message) in [
            ("", "the line is empty: expected a JSON object"),
            ("[]", "the line is not an object: expected a JSON object, got a list"),
            (r#"{"existingBody": 7}"#, "`existingBody` is not text: expected a string, got a number"),
            (r#"{"base": 7}"#, "`base` is not an object: expected an object, got a number"),
            (
                r#"{"base": {"callLog": {"duration": 1.5}}}"#,
                "`base.callLog.duration` is not a duration: expected whole seconds or \"pending\", got 1.5",
            ),
        ] {
            assert_eq!(
                read_compose_line(line).map_err(|error| error.message),
                Err(message.to_owned()),
                "{line}"
            );
        }
    }
}
