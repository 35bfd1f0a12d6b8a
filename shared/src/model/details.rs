//! The details of a call, and their algebra: newer details over older ones, and a set of details split into single
//! ones.
//!
//! Senders send *placeholders* for values that they do not know yet: `(pending...)` for a link, `From auto logging
//! (Pending)` for the note, `pending` for the duration. One rule holds everywhere: a placeholder never displaces a
//! value.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CallDuration, Direction, Leg, Party, SessionId, hash::stable_hash};

/// The link that App Connect sends for a recording or voicemail whose link is not known yet.
pub const PLACEHOLDER_LINK: &str = "(pending...)";

/// The notes that App Connect's server-side logging sends until the agent writes one.
pub const PLACEHOLDER_NOTES: [&str; 2] = ["From auto logging (Pending)", "From auto logging"];

/// The details of a call that a request brings and that are written to the call's log. Each is optional: an absent
/// detail leaves the log as it is. No text is empty.
///
/// The table stores queued details one by one under the names of these fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallDetails {
    /// The telephone call. Never stored: the item's key names it. It identifies the call and is no detail of it, so
    /// the algebra carries it along.
    #[serde(skip)]
    pub session: Option<SessionId>,
    /// The direction of the call.
    pub direction: Option<Direction>,
    /// The calling party.
    pub from: Option<Party>,
    /// The called party.
    pub to: Option<Party>,
    /// The contact's telephone number.
    pub contact_number: Option<String>,
    /// The contact's name in the CRM.
    pub contact_name: Option<String>,
    /// The agent's note, or one of [`PLACEHOLDER_NOTES`].
    pub note: Option<String>,
    /// The custom subject, if the user gave one.
    pub subject: Option<String>,
    /// When the call started.
    pub start: Option<DateTime<Utc>>,
    /// The length of the call. [`CallDuration::Pending`] is a placeholder.
    pub duration: Option<CallDuration>,
    /// RingCentral's word for the call's result: `Accepted`, `Voicemail`, ...
    pub result: Option<String>,
    /// The link to the recording, or [`PLACEHOLDER_LINK`].
    pub recording: Option<String>,
    /// The link to the voicemail, or [`PLACEHOLDER_LINK`].
    pub voicemail: Option<String>,
    /// The note that RingCentral's AI wrote.
    pub ai_note: Option<String>,
    /// The transcript of the call.
    pub transcript: Option<String>,
    /// RingSense's score of the call.
    pub ace_score: Option<String>,
    /// The link to the call in RingSense.
    pub ace_link: Option<String>,
    /// RingSense's transcript.
    pub ace_transcript: Option<String>,
    /// RingSense's summary.
    pub ace_summary: Option<String>,
    /// RingSense's summary as a list.
    pub ace_bulleted_summary: Option<String>,
    /// The legs, in order. Empty: the request does not name any.
    pub legs: Vec<Leg>,
    /// The choices of the form, such as a deal, by the keys of its fields. Empty: the request makes none.
    pub choices: Map<String, Value>,
}

/// One detail by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedDetail {
    /// The name of the field in [`CallDetails`].
    pub name: String,
    /// The value as JSON; never null.
    pub value: Value,
    /// The value stands for one that is not known yet.
    pub is_placeholder: bool,
}

impl CallDetails {
    /// Returns the user's own end of the call, if the direction is known.
    pub fn own_party(&self) -> Option<&Party> {
        match self.direction? {
            Direction::Inbound => self.to.as_ref(),
            Direction::Outbound => self.from.as_ref(),
        }
    }

    /// Returns the other end of the call, if the direction is known.
    pub fn other_party(&self) -> Option<&Party> {
        self.other_party_of(self.direction?)
    }

    /// Returns the other end of a call with this direction.
    pub fn other_party_of(&self, direction: Direction) -> Option<&Party> {
        match direction {
            Direction::Inbound => self.from.as_ref(),
            Direction::Outbound => self.to.as_ref(),
        }
    }

    /// Returns these details with each newer one in place of the older one. A placeholder never displaces a value.
    pub fn overlay(self, newer: &CallDetails) -> CallDetails {
        newer.without_placeholders().or(self).or(newer.clone())
    }

    /// Returns one set of details for each detail, in the order of the fields. The session goes with each.
    pub fn split(&self) -> Vec<CallDetails> {
        let single = |detail: NamedDetail| {
            let details = CallDetails::from_named([(detail.name, detail.value)]).ok()?;
            Some(CallDetails { session: self.session.clone(), ..details })
        };
        self.named_details().into_iter().filter_map(single).collect()
    }

    /// Returns the details that are present, by name, in the order of the fields. The session is not among them.
    pub fn named_details(&self) -> Vec<NamedDetail> {
        let firm = self.without_placeholders().values_by_name();
        let named = |(name, value): (String, Value)| NamedDetail {
            is_placeholder: !firm.contains_key(&name),
            name,
            value,
        };
        self.values_by_name().into_iter().map(named).collect()
    }

    /// Returns the names of the values that these details bring, without placeholders. A note also has a hash, because each
    /// different note is a value of its own.
    pub fn brought(&self) -> Vec<String> {
        let named = self.named_details().into_iter().filter(|detail| !detail.is_placeholder);
        named.map(|detail| brought_name(&detail)).collect()
    }

    /// Returns those of these details that have never been brought. `brought`: the names of those that have.
    pub fn news(&self, brought: &BTreeSet<String>) -> CallDetails {
        let is_new =
            |detail: &NamedDetail| !detail.is_placeholder && !brought.contains(&brought_name(detail));
        self.retain(is_new)
    }

    /// Returns those of these details that are not among the known ones, without placeholders.
    pub fn differing_from(&self, known: &CallDetails) -> CallDetails {
        let known = known.values_by_name();
        let is_new =
            |detail: &NamedDetail| !detail.is_placeholder && known.get(&detail.name) != Some(&detail.value);
        self.retain(is_new)
    }

    /// Returns the agent's note, unless it is a placeholder.
    pub fn firm_note(&self) -> Option<&str> {
        self.note.as_deref().filter(|note| !PLACEHOLDER_NOTES.contains(&note.trim()))
    }

    /// Returns `true` if no detail is present.
    pub fn is_empty(&self) -> bool {
        self.named_details().is_empty()
    }

    /// Reads details from [`NamedDetail::name`] and [`NamedDetail::value`]. Unknown names are ignored.
    ///
    /// # Errors
    /// Fails if a value is not of its field's type.
    pub fn from_named(
        details: impl IntoIterator<Item = (String, Value)>,
    ) -> Result<CallDetails, serde_json::Error> {
        serde_json::from_value(Value::Object(details.into_iter().collect()))
    }

    /// Returns the details that are present.
    fn values_by_name(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut values)) = serde_json::to_value(self) else { return Map::new() };
        let has_choices = !self.choices.is_empty();
        values.retain(|name, value| match value {
            Value::Null => false,
            Value::Array(list) => !list.is_empty(),
            // A party without a name and a number is a detail.
            Value::Object(_) => name != "choices" || has_choices,
            _ => true,
        });
        values
    }

    fn retain(&self, is_kept: impl Fn(&NamedDetail) -> bool) -> CallDetails {
        let named = self.named_details().into_iter().filter(is_kept);
        let details = CallDetails::from_named(named.map(|detail| (detail.name, detail.value)));
        CallDetails { session: self.session.clone(), ..details.unwrap_or_default() }
    }

    fn without_placeholders(&self) -> CallDetails {
        let is_link = |link: &String| link.trim() != PLACEHOLDER_LINK;
        CallDetails {
            note: self.note.clone().filter(|note| !PLACEHOLDER_NOTES.contains(&note.trim())),
            duration: self.duration.filter(|duration| *duration != CallDuration::Pending),
            recording: self.recording.clone().filter(is_link),
            voicemail: self.voicemail.clone().filter(is_link),
            ..self.clone()
        }
    }

    /// Returns these details, with those of `other` where one is absent.
    fn or(self, other: CallDetails) -> CallDetails {
        CallDetails {
            session: self.session.or(other.session),
            direction: self.direction.or(other.direction),
            from: self.from.or(other.from),
            to: self.to.or(other.to),
            contact_number: self.contact_number.or(other.contact_number),
            contact_name: self.contact_name.or(other.contact_name),
            note: self.note.or(other.note),
            subject: self.subject.or(other.subject),
            start: self.start.or(other.start),
            duration: self.duration.or(other.duration),
            result: self.result.or(other.result),
            recording: self.recording.or(other.recording),
            voicemail: self.voicemail.or(other.voicemail),
            ai_note: self.ai_note.or(other.ai_note),
            transcript: self.transcript.or(other.transcript),
            ace_score: self.ace_score.or(other.ace_score),
            ace_link: self.ace_link.or(other.ace_link),
            ace_transcript: self.ace_transcript.or(other.ace_transcript),
            ace_summary: self.ace_summary.or(other.ace_summary),
            ace_bulleted_summary: self.ace_bulleted_summary.or(other.ace_bulleted_summary),
            legs: if self.legs.is_empty() { other.legs } else { self.legs },
            choices: if self.choices.is_empty() { other.choices } else { self.choices },
        }
    }
}

fn brought_name(detail: &NamedDetail) -> String {
    match detail.value.as_str().filter(|_| detail.name == "note") {
        Some(note) => format!("note {:016x}", stable_hash([note.trim().as_bytes()])),
        None => detail.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;

    fn any_text() -> impl Strategy<Value = Option<String>> {
        option::of("[a-z]{1,3}")
    }

    fn any_link() -> impl Strategy<Value = Option<String>> {
        option::of(prop_oneof![Just(PLACEHOLDER_LINK.to_owned()), "[a-z]{1,3}"])
    }

    fn any_party() -> impl Strategy<Value = Party> {
        (any_text(), any_text(), any_text()).prop_map(|(name, phone_number, extension_number)| Party {
            name,
            phone_number,
            extension_number,
        })
    }

    fn any_direction() -> impl Strategy<Value = Direction> {
        select(&[Direction::Inbound, Direction::Outbound][..])
    }

    fn any_legs() -> impl Strategy<Value = Vec<Leg>> {
        let leg = (any_direction(), any_party(), any_party(), option::of(any::<u64>()));
        vec(
            leg.prop_map(|(direction, from, to, duration)| Leg {
                direction,
                from,
                to,
                leg_type: None,
                duration,
            }),
            0..3,
        )
    }

    fn any_choices() -> impl Strategy<Value = Map<String, Value>> {
        vec(("[a-b]", any::<u8>()), 0..3)
            .prop_map(|chosen| chosen.into_iter().map(|(key, value)| (key, value.into())).collect())
    }

    prop_compose! {
        /// Any details of one call, many of them absent, some of them placeholders.
        fn any_details()(
            direction in option::of(any_direction()),
            (from, to) in (option::of(any_party()), option::of(any_party())),
            note in option::of(prop_oneof![select(&PLACEHOLDER_NOTES[..]).prop_map(str::to_owned), "[a-z]{1,3}"]),
            start in option::of((0..4_000_000_000_000_i64).prop_map(|ms| DateTime::from_timestamp_millis(ms).unwrap())),
            duration in option::of(prop_oneof![
                Just(CallDuration::Pending),
                any::<u64>().prop_map(CallDuration::Seconds)
            ]),
            (recording, voicemail) in (any_link(), any_link()),
            texts in proptest::array::uniform12(any_text()),
            legs in any_legs(),
            choices in any_choices(),
        ) -> CallDetails {
            let [contact_number, contact_name, subject, result, ai_note, transcript, ace_score, ace_link, ace_transcript,
                ace_summary, ace_bulleted_summary, session] = texts;
            CallDetails {
                session: session.and_then(SessionId::new),
                direction, from, to, contact_number, contact_name, note, subject, start, duration, result, recording,
                voicemail, ai_note, transcript, ace_score, ace_link, ace_transcript, ace_summary, ace_bulleted_summary, legs,
                choices,
            }
        }
    }

    fn overlay_all<'a>(details: impl IntoIterator<Item = &'a CallDetails>) -> CallDetails {
        details.into_iter().fold(CallDetails::default(), CallDetails::overlay)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn overlaying_is_associative(a in any_details(), b in any_details(), c in any_details()) {
            prop_assert_eq!(a.clone().overlay(&b).overlay(&c), a.overlay(&b.overlay(&c)));
        }

        #[test]
        fn overlaying_the_same_details_again_changes_nothing(a in any_details(), b in any_details()) {
            let once = a.overlay(&b);
            prop_assert_eq!(once.clone().overlay(&b), once);
        }

        #[test]
        fn empty_details_change_nothing_on_either_side(details in any_details()) {
            prop_assert_eq!(details.clone().overlay(&CallDetails::default()), details.clone());
            prop_assert_eq!(CallDetails::default().overlay(&details), details);
        }

        #[test]
        fn a_newer_value_wins_and_a_placeholder_displaces_no_value(older in any_details(), newer in any_details()) {
            let overlaid = older.clone().overlay(&newer).values_by_name();
            let (older, newer) = (older.named_details(), newer.named_details());
            let of = |details: &[NamedDetail], name: &str| details.iter().find(|detail| detail.name == name).cloned();
            for name in older.iter().chain(&newer).map(|detail| detail.name.as_str()) {
                let expected = match (of(&older, name), of(&newer, name)) {
                    (Some(older), Some(newer)) if newer.is_placeholder => older,
                    (_, Some(newer)) => newer,
                    (Some(older), None) => older,
                    (None, None) => unreachable!("the name is that of one of them"),
                };
                prop_assert_eq!(overlaid.get(name), Some(&expected.value), "{}", name);
            }
        }

        #[test]
        fn overlaying_split_details_gives_the_whole_back(details in any_details()) {
            let single = details.split();
            prop_assert!(single.iter().all(|details| details.named_details().len() == 1), "{:?}", single);
            // The session goes with a detail; without any detail there is nothing to carry it.
            let session = details.session.clone().filter(|_| !single.is_empty());
            prop_assert_eq!(overlay_all(&single), CallDetails { session, ..details });
        }

        #[test]
        fn named_details_are_read_back(details in any_details()) {
            let named = details.named_details().into_iter().map(|detail| (detail.name, detail.value));
            prop_assert_eq!(CallDetails::from_named(named).unwrap(), CallDetails { session: None, ..details });
        }
    }

    #[test]
    fn placeholders_are_recognised_with_blanks_around_them() {
        let details = CallDetails {
            note: Some(" From auto logging ".to_owned()),
            duration: Some(CallDuration::Pending),
            recording: Some("(pending...)\n".to_owned()),
            voicemail: Some("https://example.com/1".to_owned()),
            subject: Some(PLACEHOLDER_LINK.to_owned()),
            ..CallDetails::default()
        };
        let placeholders: Vec<_> = details
            .named_details()
            .into_iter()
            .filter(|detail| detail.is_placeholder)
            .map(|detail| detail.name)
            .collect();
        assert_eq!(placeholders, ["note", "duration", "recording"]);
    }

    /// The names are attributes of the table, so they never change.
    #[test]
    fn every_detail_has_a_fixed_name() {
        let Ok(Value::Object(fields)) = serde_json::to_value(CallDetails::default()) else {
            panic!("an object")
        };
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(
            names.join(" "),
            "direction from to contact_number contact_name note subject start duration result recording voicemail \
             ai_note transcript ace_score ace_link ace_transcript ace_summary ace_bulleted_summary legs choices"
        );
    }
}
