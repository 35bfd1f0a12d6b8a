//! The HTML format.
//!
//! Lines are items of a list below a heading; blocks are `<div>`s below the list. The reader also accepts what a CRM's
//! editor makes of a body; [`tokens`] lists the differences that do not count.

mod cursor;
mod labels;
mod read;
mod tokens;

use super::{
    Section,
    markup::{Entry, Markup, Segment, SegmentKind, end_of_body, find, insert},
    section::Shape,
};
use crate::model::Direction;
use labels::{HEADING, KEPT, NOTE, has_gap};
use tokens::{decode, escape, link_target};

pub(super) struct Html;

impl Markup for Html {
    fn write(&self, entry: Entry<'_>, over: Option<&str>) -> String {
        let (label, value) = (label(entry, over), escape(entry.value));
        match entry.section.shape() {
            Shape::Header => format!("<b>{NOTE}</b><br>{value}<br><br>"),
            Shape::Link if is_safe_url(entry.value) => {
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
                // `write` puts two line breaks below the note.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                text.strip_suffix('\n').unwrap_or(text).to_owned()
            }
            shape => {
                let target = if shape == Shape::Link { link_target(encoded) } else { None };
                target.unwrap_or_else(|| decode(encoded).trim_end_matches('\n').to_owned())
            }
        }
    }

    fn relabel(&self, segments: &mut [Segment<'_>], direction: Direction) {
        let Some(at) = find(segments, SegmentKind::Section(Section::ContactNumber)) else { return };
        let (segment, [right, wrong]) = (&mut segments[at], number_labels(direction));
        let before = segment.raw[..segment.value.start].to_ascii_lowercase();
        if let Some(start) = before.find(&wrong.to_ascii_lowercase()) {
            segment.raw.to_mut().replace_range(start..start + wrong.len(), right);
            let moved = |offset: usize| offset + right.len() - wrong.len();
            segment.value = moved(segment.value.start)..moved(segment.value.end);
        }
    }

    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
        let kind = SegmentKind::Section(entry.section);
        let written = self.write(entry, None);
        if entry.section.is_block() {
            return insert(self, segments, end_of_body(segments), kind, written);
        }
        if find(segments, SegmentKind::Heading).is_none() {
            let has_lines = segments.iter().any(|segment| segment.section().is_some_and(Section::is_line));
            if !has_lines {
                self.insert_list(segments, 0);
            }
            insert(self, segments, 0, SegmentKind::Heading, format!("<b>{HEADING}</b>"));
        }
        let heading = find(segments, SegmentKind::Heading).unwrap_or_default();
        if !entry.section.is_line() {
            return insert(self, segments, heading, kind, written);
        }
        let list = find(segments, SegmentKind::List).unwrap_or_else(|| {
            self.insert_list(segments, heading + 1);
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

impl Html {
    fn insert_list(&self, segments: &mut Vec<Segment<'_>>, at: usize) {
        insert(self, segments, at, SegmentKind::Foreign, "</ul>".to_owned());
        insert(self, segments, at, SegmentKind::List, "<ul>".to_owned());
    }
}

/// The label of a section. The contact's number is the caller's or the recipient's: if the direction of the call is
/// not known, it stays what it is in `over`.
fn label(entry: Entry<'_>, over: Option<&str>) -> &'static str {
    let traits = entry.section.traits();
    if entry.section != Section::ContactNumber {
        return traits.html_label;
    }
    let is_recipients =
        || over.is_some_and(|over| over.to_ascii_lowercase().contains("recipient phone number"));
    let direction = entry.direction.unwrap_or_else(|| match is_recipients() {
        true => Direction::Outbound,
        false => Direction::Inbound,
    });
    let [right, _] = number_labels(direction);
    right
}

/// Returns the label of the contact's number in a call with this direction, and the one that it would have otherwise.
fn number_labels(direction: Direction) -> [&'static str; 2] {
    let labels = Section::ContactNumber.traits().aliases;
    match direction {
        Direction::Inbound => [labels[0], labels[1]],
        Direction::Outbound => [labels[1], labels[0]],
    }
}

/// Returns `true` for an absolute `http` or `https` URL that cannot end the attribute it is written into, and that has no user
/// in front of its host: a reader takes such a user for the host (RFC 3986, section 7.6).
fn is_safe_url(text: &str) -> bool {
    let is_web = text.split_once("://").is_some_and(|(scheme, rest)| {
        let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        is_http && !authority.is_empty() && !authority.contains('@')
    });
    let is_unsafe = |char: char| char.is_whitespace() || char.is_control() || "\"'<>`\\".contains(char);
    is_web && !text.contains(is_unsafe)
}
