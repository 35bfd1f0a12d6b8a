//! HTML.
//!
//! Lines are items of a list below a heading. What is read may have gone through a CRM's editor: see [`tokens`] for
//! what counts as the same.

mod read;
mod tokens;

use super::{
    Section,
    markup::{Entry, Markup, Segment, SegmentKind, end_of_body, insert},
    section::Shape,
};
use crate::model::Direction;
use tokens::{decode, escape, link_target};

const NOTE: &str = "Agent notes";
const HEADING: &str = "Call details";
const KEPT: &str = "Note edited in the CRM";

pub(super) struct Html;

impl Markup for Html {
    fn write(&self, entry: Entry<'_>, over: Option<&str>) -> String {
        let (label, value) = (label(entry, over), escape(entry.value));
        match entry.section.shape() {
            Shape::Header => format!("<b>{NOTE}</b><br>{value}<br><br>"),
            Shape::Link if is_url(entry.value) => {
                format!("<li><b>{label}</b>: <a target=\"_blank\" href=\"{value}\">open</a></li>")
            }
            Shape::Line | Shape::Link => format!("<li><b>{label}</b>: {value}</li>"),
            Shape::Block => {
                let gap = if has_gap(entry.section) { "<br>" } else { "" };
                format!("<div><b>{label}</b><br>{value}</div>{gap}")
            }
        }
    }

    fn keep(&self, encoded: &str) -> String {
        format!("<div><b>{KEPT}</b><br>{}</div>", tokens::trim(encoded))
    }

    fn comments(&self, raw: &str) -> String {
        tokens::comments(raw).collect()
    }

    fn read<'a>(&self, body: &'a str) -> Vec<Segment<'a>> {
        read::read(body)
    }

    fn decode(&self, section: Section, encoded: &str) -> String {
        match section.shape() {
            Shape::Header => {
                let text = decode(encoded);
                // The two line ends below the note.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                text.strip_suffix('\n').unwrap_or(text).to_owned()
            }
            Shape::Line => decode(encoded).trim_end_matches('\n').to_owned(),
            Shape::Link => {
                link_target(encoded).unwrap_or_else(|| decode(encoded).trim_end_matches('\n').to_owned())
            }
            Shape::Block => decode(encoded).trim_end_matches('\n').to_owned(),
        }
    }

    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
        let kind = SegmentKind::Section(entry.section);
        let written = self.write(entry, None);
        let find = |segments: &[Segment<'_>], kind| segments.iter().position(|segment| segment.kind == kind);
        if entry.section.is_block() {
            return insert(self, segments, end_of_body(segments), kind, written);
        }
        if find(segments, SegmentKind::Heading).is_none() {
            let has_lines = segments.iter().any(|segment| segment.section().is_some_and(Section::is_line));
            if !has_lines {
                insert(self, segments, 0, SegmentKind::Foreign, "</ul>".to_owned());
                insert(self, segments, 0, SegmentKind::List, "<ul>".to_owned());
            }
            insert(self, segments, 0, SegmentKind::Heading, format!("<b>{HEADING}</b>"));
        }
        let heading = find(segments, SegmentKind::Heading).unwrap_or_default();
        if !entry.section.is_line() {
            return insert(self, segments, heading, kind, written);
        }
        let list = find(segments, SegmentKind::List).unwrap_or_else(|| {
            insert(self, segments, heading + 1, SegmentKind::Foreign, "</ul>".to_owned());
            insert(self, segments, heading + 1, SegmentKind::List, "<ul>".to_owned());
            heading + 1
        });
        insert(self, segments, list + 1, kind, written);
    }

    fn is_open_ended(&self) -> bool {
        false
    }

    fn is_line_based(&self) -> bool {
        false
    }
}

/// The contact's number is the caller's or the recipient's.
fn label(entry: Entry<'_>, over: Option<&str>) -> &'static str {
    let traits = entry.section.traits();
    if entry.section != Section::ContactNumber {
        return traits.html_label;
    }
    let is_recipients = match entry.direction {
        Some(direction) => direction == Direction::Outbound,
        None => over.is_some_and(|over| over.to_ascii_lowercase().contains("recipient phone number")),
    };
    traits.aliases[usize::from(is_recipients)]
}

/// Whether an empty line follows a block.
fn has_gap(section: Section) -> bool {
    matches!(section, Section::AiNote | Section::Transcript)
}

/// Whether a text is an absolute URL that a person may safely follow.
fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let is_web = scheme.is_some_and(|(scheme, rest)| {
        matches!(scheme.as_str(), "http" | "https") && !rest.is_empty() && !rest.starts_with(['/', '?', '#'])
    });
    let is_unsafe = |char: char| char.is_whitespace() || char.is_control() || "\"'<>`\\".contains(char);
    is_web && !text.contains(is_unsafe)
}
