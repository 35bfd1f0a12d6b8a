//! The properties of a call that corrections change, as canonical text.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::{outcome, wire::CallProperties};
use crate::{
    adapters::{CallFacts, Fields},
    model::Direction,
};

/// The start of the call, in RFC 3339 with milliseconds, in UTC.
const START: &str = "hs_timestamp";
/// The duration, in milliseconds.
const DURATION: &str = "hs_call_duration";
const DIRECTION: &str = "hs_call_direction";
const FROM: &str = "hs_call_from_number";
const TO: &str = "hs_call_to_number";
/// HubSpot accepts only the address of a sound file.
const RECORDING: &str = "hs_call_recording_url";
/// Status and outcome, with a space between them. They are one field, because each follows from the result of the call: if a
/// person has chosen another outcome, the status stays too.
const RESULT: &str = "result";
const STATUS: &str = "hs_call_status";
const DISPOSITION: &str = "hs_call_disposition";

/// Returns the fields for what is known of a call.
pub(super) fn of(facts: &CallFacts) -> Fields {
    let direction = facts.direction.map(|direction| match direction {
        Direction::Inbound => "INBOUND",
        Direction::Outbound => "OUTBOUND",
    });
    let result = facts.result.as_deref().and_then(|result| outcome::of(result, facts.direction));
    let recording = facts.recording.as_deref().filter(|link| is_sound_file(link));
    [
        (START, facts.start.map(timestamp)),
        (DURATION, facts.seconds().map(|seconds| seconds.saturating_mul(1_000).to_string())),
        (DIRECTION, direction.map(str::to_owned)),
        (FROM, facts.from.clone()),
        (TO, facts.to.clone()),
        (RECORDING, recording.map(str::to_owned)),
        (RESULT, result.map(|(status, disposition)| joined(status, disposition))),
    ]
    .map(|(name, text)| (name, text.unwrap_or_default()))
    .into()
}

/// Returns the fields of a call that was read. One that the response does not contain is left out.
pub(super) fn shown(call: &CallProperties) -> Fields {
    let text = |value: &Option<Option<String>>| Some(value.clone()?.unwrap_or_default());
    let start = text(&call.start).map(|start| read_time(&start).map(timestamp).unwrap_or(start));
    let result = text(&call.status).zip(text(&call.disposition));
    [
        (START, start),
        (DURATION, text(&call.duration)),
        (DIRECTION, text(&call.direction)),
        (FROM, text(&call.from)),
        (TO, text(&call.to)),
        (RECORDING, text(&call.recording)),
        (RESULT, result.map(|(status, disposition)| joined(&status, &disposition))),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
    .collect()
}

/// Returns the properties of a request from fields. One without a value is left out. A result without an outcome clears the
/// outcome.
pub(super) fn written(fields: &Fields) -> Map<String, Value> {
    let mut properties = Map::new();
    for (name, text) in fields.iter().filter(|(_, text)| !text.is_empty()) {
        if *name == RESULT {
            let (status, disposition) = text.split_once(' ').unwrap_or((text, ""));
            properties.insert(STATUS.to_owned(), json!(status));
            properties.insert(DISPOSITION.to_owned(), json!(disposition));
        } else {
            properties.insert((*name).to_owned(), json!(text));
        }
    }
    properties
}

/// Removes the properties without a value, which would only clear what a new call does not have.
pub(super) fn without_empty(mut properties: Map<String, Value>) -> Map<String, Value> {
    properties.retain(|_, value| value != "");
    properties
}

fn joined(status: &str, disposition: &str) -> String {
    format!("{status} {disposition}").trim().to_owned()
}

/// Returns `true` for the `https` address of a file that HubSpot's player takes.
fn is_sound_file(link: &str) -> bool {
    let path = link.split(['?', '#']).next().unwrap_or_default().to_lowercase();
    path.starts_with("https://") && (path.ends_with(".mp3") || path.ends_with(".wav"))
}

/// Reads a time: RFC 3339, or milliseconds since 1970.
fn read_time(text: &str) -> Option<DateTime<Utc>> {
    let number = || text.parse().ok().and_then(DateTime::from_timestamp_millis);
    text.parse().ok().or_else(number)
}

pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_file_is_a_recording() {
        for (link, is_sent) in [
            ("https://media.example/calls/7.mp3", true),
            ("https://media.example/calls/7.WAV?token=x", true),
            ("http://media.example/calls/7.mp3", false),
            ("https://v.example/recording/7", false),
            ("https://v.example/?file=7.mp3", false),
            ("(pending...)", false),
        ] {
            let fields = of(&CallFacts { recording: Some(link.to_owned()), ..CallFacts::default() });
            assert_eq!(!fields[RECORDING].is_empty(), is_sent, "{link}");
        }
    }

    #[test]
    fn a_time_is_the_same_text_in_each_form() {
        let expected = "2025-03-12T15:45:25.000Z";
        for text in ["2025-03-12T15:45:25Z", "2025-03-12T15:45:25.000Z", "1741794325000"] {
            let call = CallProperties { start: Some(Some(text.to_owned())), ..CallProperties::default() };
            assert_eq!(shown(&call).get(START).map(String::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_result_without_an_outcome_clears_the_outcome() {
        let sent = |result: &str| {
            let facts = CallFacts { result: Some(result.to_owned()), ..CallFacts::default() };
            Value::Object(written(&of(&facts)))
        };
        assert_eq!(sent("Stopped"), json!({ "hs_call_status": "CANCELED", "hs_call_disposition": "" }));
        let connected = "f240bbac-87c9-4f6e-bf70-924b57d47db7";
        assert_eq!(
            sent("Accepted"),
            json!({ "hs_call_status": "COMPLETED", "hs_call_disposition": connected })
        );
    }
}
