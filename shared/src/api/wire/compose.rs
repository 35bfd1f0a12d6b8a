//! A line of `call-log compose`: what a composer is given, without a call log around it.

use super::{
    Invalid,
    contact::read_contact_number,
    fields::Fields,
    json,
    record::{read_facts, read_zone},
    user::read_settings,
    value,
};
use crate::model::{CallDetails, SessionId, Settings, Zone};

/// What to compose a note of.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposeLine {
    pub facts: CallDetails,
    pub settings: Settings,
    pub zone: Zone,
    /// The body to update; absent: a fresh one.
    pub existing_body: Option<String>,
    /// What was last written. It takes the line's own settings and zone where it names none.
    pub base: Option<Box<ComposeLine>>,
}

/// Reads one line.
pub fn read_compose_line(line: &str) -> Result<ComposeLine, Invalid> {
    read_input(&Fields::of(&json::read_object(line.as_bytes(), "line")?), None)
}

fn read_input(top: &Fields<'_>, around: Option<&ComposeLine>) -> Result<ComposeLine, Invalid> {
    let call = top.clone().or(top.inside("callLog")?).or(top.inside("logInfo")?);
    let mut facts = read_facts(&call)?;
    facts.session = call.get("sessionId", &value::CONTACT_ID)?.and_then(SessionId::new);
    let existing_body = top.get("existingBody", &value::BODY)?;
    // An update's contact number is the one it names: it must not bring back a line that the user took out.
    let unnamed = CallDetails::default();
    let known = if existing_body.is_some() { &unnamed } else { &facts };
    facts.contact_number = read_contact_number(top, known)?;
    let mut line = ComposeLine {
        facts,
        settings: read_settings(&top.inside("user")?)?
            .or_else(|| around.map(|around| around.settings.clone()))
            .unwrap_or_default(),
        zone: read_zone(top)?.or(around.map(|around| around.zone)).unwrap_or(Zone::UTC),
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

    fn check<T: Debug + PartialEq>(line: &str, fact: impl Fn(ComposeLine) -> T, expected: impl Into<T>) {
        assert_eq!(fact(read_compose_line(line).unwrap()), expected.into(), "{line}");
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_line_may_be_anything_between_everything_and_nothing() {
        let nothing = ComposeLine {
            facts: CallDetails::default(),
            settings: Settings::default(),
            zone: Zone::UTC,
            existing_body: None,
            base: None,
        };
        check("{}", |line| line, nothing);
        check(r#"{"callLog": {"sessionId": "1"}}"#, |line| line.facts.session, SessionId::new("1"));
        check(r#"{"callLog": {"sessionId": "0"}}"#, |line| line.facts.session, None);
        check(
            r#"{"duration": 7, "callLog": {"duration": 9}}"#,
            |line| line.facts.duration,
            CallDuration::Seconds(7),
        );
        check(r#"{"callLog": {"result": "r"}}"#, |line| line.facts.result, text("r"));
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
    fn an_update_names_a_contact_number_only_when_the_line_does() {
        let number = |line: ComposeLine| line.facts.contact_number;
        let call = r#""callLog": {"direction": "Outbound", "to": {"phoneNumber": "+2"}}"#;
        check(&format!("{{{call}}}"), number, text("+2"));
        check(&format!("{{{call}, \"existingBody\": \"b\"}}"), number, None);
        check(r#"{"existingBody": "b", "contactInfo": {"phoneNumber": "+3"}}"#, number, text("+3"));
    }

    #[test]
    fn a_base_takes_what_it_does_not_name_from_its_line() {
        let base = |line: ComposeLine| *line.base.unwrap();
        let user = r#""user": {"timezoneOffset": "+09:00", "userSettings": {"k": false}}"#;
        let bare = format!(r#"{{{user}, "existingBody": "b", "base": {{"note": "n"}}}}"#);
        check(&bare, |line| base(line).facts.note, text("n"));
        check(&bare, |line| Some(base(line).zone), Zone::parse("+09:00"));
        check(&bare, |line| base(line).settings.is_on("k", true), false);
        check(&bare, |line| base(line).existing_body, None);
        let own = format!(r#"{{{user}, "base": {{"user": {{"timezoneOffset": 1, "userSettings": {{}}}}}}}}"#);
        check(&own, |line| Some(base(line).zone), Zone::parse("1"));
        check(&own, |line| base(line).settings.is_on("k", true), true);
    }

    #[test]
    fn a_wrong_line_is_refused() {
        for (line, message) in [
            ("", "The line is empty: expected a JSON object"),
            ("[]", "The line is not an object: expected a JSON object, got a list"),
            (r#"{"existingBody": 7}"#, "`existingBody` is not text: expected a string, got a number"),
            (r#"{"base": 7}"#, "`base` is not an object: expected an object, got a number"),
            (
                r#"{"base": {"callLog": {"duration": -1}}}"#,
                "`base.callLog.duration` is not a duration: expected whole seconds or \"pending\", got -1",
            ),
        ] {
            assert_eq!(
                read_compose_line(line).map_err(|invalid| invalid.message),
                Err(message.to_owned()),
                "{line}"
            );
        }
    }
}
