//! The content of a note, before a format gives it its look.

use super::{
    Fingerprints, Section,
    fingerprint::Fingerprint,
    section::{SECTIONS, Shape},
    text::clean,
    wording,
};
use crate::model::{CallDetails, Direction, Settings, Zone};

/// The pattern of dates for users who have not chosen one.
const DATE_PATTERN: &str = "YYYY-MM-DD hh:mm:ss A";

/// The setting with the pattern of dates.
const DATE_SETTING: &str = "logDateFormat";

/// Returns `true` if this is the key of a setting that notes depend on.
pub fn is_setting(key: &str) -> bool {
    key == DATE_SETTING || SECTIONS.iter().any(|row| row.setting.0 == key)
}

/// The sections of a note with their values, in the order of [`Section`]. No value is blank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The direction of the call: in HTML, the contact's number is labelled as the caller's or the recipient's.
    pub(super) direction: Option<Direction>,
    sections: Vec<(Section, String)>,
}

impl Content {
    /// Returns the sections that the call details have a value for and the user's settings include.
    ///
    /// Dates are written in `zone`.
    pub fn new(details: &CallDetails, settings: &Settings, zone: Zone) -> Content {
        let included = SECTIONS.iter().filter(|row| settings.is_on(row.setting.0, row.setting.1));
        let values =
            included.filter_map(|row| Some((row.section, value(row.section, details, settings, zone)?)));
        Content::of(details.direction, values)
    }

    /// Returns content from values, which come in the order of their sections.
    pub(super) fn of(
        direction: Option<Direction>,
        values: impl IntoIterator<Item = (Section, String)>,
    ) -> Content {
        let shaped = values.into_iter().map(|(section, value)| (section, shaped(section.shape(), &value)));
        Content { direction, sections: shaped.filter(|(_, value)| !value.trim().is_empty()).collect() }
    }

    /// Returns `true` if no section has a value.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Returns the fingerprints of the values: what to store when the CRM has a body with exactly this content.
    pub fn fingerprints(&self) -> Fingerprints {
        let mut fingerprints = Fingerprints::default();
        for (section, value) in self.iter() {
            fingerprints.set(section, Fingerprint::of(value));
        }
        fingerprints
    }

    /// Returns the value of a section.
    pub(super) fn get(&self, section: Section) -> Option<&str> {
        self.iter().find(|(known, _)| *known == section).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Section, &str)> {
        self.sections.iter().map(|(section, value)| (*section, value.as_str()))
    }
}

impl Fingerprints {
    /// Returns the unconfirmed fingerprints of details that wait to be written. Which sections a user has switched off does
    /// not matter: a fingerprint of a text that is never written is never found.
    pub(crate) fn of_queued(details: &CallDetails) -> Fingerprints {
        let content = Content::new(details, &Settings::default(), Zone::UTC);
        Fingerprints::unconfirmed([&content.fingerprints()])
    }
}

/// Returns a value as a section of this shape can hold it.
fn shaped(shape: Shape, value: &str) -> String {
    let value = clean(value);
    match shape {
        Shape::Header => value,
        Shape::Line | Shape::Link => value.replace('\n', " "),
        Shape::Block => value.trim_end_matches('\n').to_owned(),
    }
}

fn value(section: Section, details: &CallDetails, settings: &Settings, zone: Zone) -> Option<String> {
    match section {
        Section::AgentNote => details.note.clone(),
        Section::SessionId => details.session.as_ref().map(|session| session.as_str().to_owned()),
        Section::UserName => details.own_party()?.name.clone(),
        Section::UserNumber => {
            let party = details.own_party()?;
            let known = [party.phone_number.as_deref(), party.extension_number.as_deref()];
            Some(known.into_iter().flatten().collect::<Vec<_>>().join(" "))
        }
        Section::Subject => details.subject.clone(),
        Section::ContactNumber => details.contact_number.clone(),
        Section::DateTime => {
            let pattern = settings.text(DATE_SETTING).unwrap_or(DATE_PATTERN);
            details.start.map(|start| wording::date(start, zone, pattern))
        }
        Section::Duration => details.duration.map(wording::duration),
        Section::Result => details.result.clone(),
        Section::Recording => details.recording.clone(),
        Section::Voicemail => details.voicemail.clone(),
        Section::AceScore => details.ace_score.clone(),
        Section::AceLink => details.ace_link.clone(),
        Section::AiNote => details.ai_note.clone(),
        Section::Transcript => details.transcript.clone(),
        Section::AceTranscript => details.ace_transcript.clone(),
        Section::AceSummary => details.ace_summary.clone(),
        Section::AceBulletedSummary => details.ace_bulleted_summary.clone(),
        Section::Journey => Some(wording::journey(&details.legs)),
    }
}
