//! What a note says, before anybody knows how it will look.

use super::{
    Fingerprints, Section,
    fingerprint::Fingerprint,
    section::{SECTIONS, Shape},
    text::clean,
    wording,
};
use crate::model::{CallDetails, Direction, Settings, Zone};

/// The pattern of dates of users who chose none.
const DATE_PATTERN: &str = "YYYY-MM-DD hh:mm:ss A";

/// The sections of a note, in order, with their values. No value is blank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Whose number the contact's is, as far as that is known.
    pub(super) direction: Option<Direction>,
    sections: Vec<(Section, String)>,
}

impl Content {
    /// What is known of a call and wanted by the user.
    pub fn new(facts: &CallDetails, settings: &Settings, zone: Zone) -> Content {
        let wanted = SECTIONS.iter().filter(|row| settings.is_on(row.setting.0, row.setting.1));
        let values = wanted.filter_map(|row| Some((row.section, value(row.section, facts, settings, zone)?)));
        Content::of(facts.direction, values)
    }

    /// Sections with their values, in the order of the sections.
    pub(super) fn of(
        direction: Option<Direction>,
        values: impl IntoIterator<Item = (Section, String)>,
    ) -> Content {
        let shaped = values.into_iter().map(|(section, value)| (section, shaped(section.shape(), &value)));
        Content { direction, sections: shaped.filter(|(_, value)| !value.trim().is_empty()).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// What is known of the sections once this is written.
    pub fn fingerprints(&self) -> Fingerprints {
        let mut fingerprints = Fingerprints::default();
        for (section, value) in self.iter() {
            fingerprints.set(section, Fingerprint::of(value));
        }
        fingerprints
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Section, &str)> {
        self.sections.iter().map(|(section, value)| (*section, value.as_str()))
    }
}

/// A value as its shape can hold it.
fn shaped(shape: Shape, value: &str) -> String {
    let value = clean(value);
    match shape {
        Shape::Header => value,
        Shape::Line | Shape::Link => value.replace('\n', " "),
        Shape::Block => value.trim_end_matches('\n').to_owned(),
    }
}

fn value(section: Section, facts: &CallDetails, settings: &Settings, zone: Zone) -> Option<String> {
    match section {
        Section::AgentNote => facts.note.clone(),
        Section::SessionId => facts.session.as_ref().map(|session| session.as_str().to_owned()),
        Section::UserName => facts.own_party()?.name.clone(),
        Section::UserNumber => {
            let party = facts.own_party()?;
            let known = [party.phone_number.as_deref(), party.extension_number.as_deref()];
            Some(known.into_iter().flatten().collect::<Vec<_>>().join(" "))
        }
        Section::Subject => facts.subject.clone(),
        Section::ContactNumber => facts.contact_number.clone(),
        Section::DateTime => {
            let pattern = settings.text("logDateFormat").unwrap_or(DATE_PATTERN);
            facts.start.map(|start| wording::date(start, zone, pattern))
        }
        Section::Duration => facts.duration.map(wording::duration),
        Section::Result => facts.result.clone(),
        Section::Recording => facts.recording.clone(),
        Section::Voicemail => facts.voicemail.clone(),
        Section::AceScore => facts.ace_score.clone(),
        Section::AceLink => facts.ace_link.clone(),
        Section::AiNote => facts.ai_note.clone(),
        Section::Transcript => facts.transcript.clone(),
        Section::AceTranscript => facts.ace_transcript.clone(),
        Section::AceSummary => facts.ace_summary.clone(),
        Section::AceBulletedSummary => facts.ace_bulleted_summary.clone(),
        Section::Journey => Some(wording::journey(&facts.legs)),
    }
}
