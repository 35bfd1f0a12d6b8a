//! Compares a body with what was sent, to recognise a record by its content.

use super::{
    Fingerprints, Format, Section,
    fingerprint::{ComparedText, Fingerprint},
    markup::{SegmentKind, find},
    parse::parse,
    section::SECTIONS,
};

/// Returns the sections of a body whose text is none of those that were sent. `sent`: the fingerprints of each body that may
/// have been sent. A section that only some of them have may be absent.
///
/// Sections are compared and not bodies, because CRMs rewrite markup. A text counts as the same if it has the same words.
pub fn differing_sections(format: Format, body: &str, sent: &[Fingerprints]) -> Vec<Section> {
    let (markup, segments) = (format.markup(), parse(format, body).segments);
    let differs = |section: &Section| {
        let section = *section;
        let value = find(&segments, SegmentKind::Section(section))
            .map(|at| markup.decode(section, segments[at].encoded()))
            .filter(|value| !value.trim().is_empty());
        let Some(value) = value else {
            let may_lack = |sent: &Fingerprints| sent.get(section).is_none_or(Fingerprint::is_left_out);
            return !sent.is_empty() && !sent.iter().any(may_lack);
        };
        let text = ComparedText::new(&value);
        // Text that a person wrote below an open-ended block looks like a part of it.
        let is_open_ended = markup.is_open_ended() && section.is_block();
        let is_of = |known: &Fingerprint| {
            known.is_of(&text) || is_open_ended && known.opening_lines(&value).is_some()
        };
        !sent.iter().flat_map(|sent| sent.candidates(section)).any(is_of)
    };
    SECTIONS.iter().map(|row| row.section).filter(differs).collect()
}

impl Fingerprints {
    /// Returns the sections that were sent with a text that is known.
    pub(crate) fn sent_sections(&self) -> impl Iterator<Item = Section> {
        let sections = SECTIONS.iter().map(|row| row.section);
        let is_known = |known: &Fingerprint| !known.is_left_out() && !known.is_unknown();
        sections.filter(move |section| self.get(*section).is_some_and(is_known))
    }

    /// Returns the same fingerprints, with the unconfirmed ones of `other` in place of their own.
    pub(crate) fn with_unconfirmed_of(self, other: &Fingerprints) -> Fingerprints {
        self.with_unconfirmed_texts(&other.unconfirmed_texts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{CallDetails, Settings, Zone},
        note::{Content, compose},
    };

    fn details(note: &str, result: &str, transcript: Option<&str>) -> CallDetails {
        CallDetails {
            note: Some(note.to_owned()),
            result: Some(result.to_owned()),
            transcript: transcript.map(str::to_owned),
            ..CallDetails::default()
        }
    }

    fn content(details: &CallDetails) -> Content {
        Content::new(details, &Settings::default(), Zone::UTC)
    }

    #[test]
    fn a_body_differs_in_the_sections_that_none_of_the_sent_bodies_has() {
        let short = details("a", "Accepted", None);
        let long = details("b", "Accepted", Some("Ada: Hello"));
        for format in [Format::Plain, Format::Html, Format::Markdown] {
            for (body, sent, expected) in [
                (&short, vec![&short], vec![]),
                (&long, vec![&short, &long], vec![]),
                (&short, vec![&short, &long], vec![]),
                (&short, vec![&long], vec![Section::AgentNote, Section::Transcript]),
                (&long, vec![&short], vec![Section::AgentNote, Section::Transcript]),
                (&details("a", "Missed", None), vec![&short], vec![Section::Result]),
            ] {
                let sent: Vec<_> = sent.into_iter().map(|sent| content(sent).fingerprints()).collect();
                let text = compose(format, &content(body));
                assert_eq!(differing_sections(format, &text, &sent), expected, "{format:?} {text}");
            }
        }
    }

    #[test]
    fn markup_that_a_crm_rewrites_and_text_below_an_open_block_are_no_difference() {
        let sent = details("a & b", "Accepted", Some("Ada: Hello"));
        let fingerprints = [content(&sent).fingerprints()];
        let html =
            compose(Format::Html, &content(&sent)).replace("<b>", "<strong>").replace("</b>", "</strong>");
        let plain = compose(Format::Plain, &content(&sent)).replace('\n', "\r\n");
        for (format, body) in [(Format::Html, html), (Format::Plain, plain)] {
            assert_eq!(differing_sections(format, &body, &fingerprints), [], "{body}");
        }
    }
}
