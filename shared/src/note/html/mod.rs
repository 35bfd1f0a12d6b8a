//! HTML.
//!
//! Lines are items of a list below a heading. What is read may have gone through a CRM's editor: see [`tokens`] for
//! what counts as the same.

mod read;
mod tokens;

use super::{
    Section,
    markup::{Form, Item, Kind, Piece, end, insert},
    section::Shape,
};
use crate::model::Direction;
use tokens::{decode, escape, link_target};

const NOTE: &str = "Agent notes";
const HEADING: &str = "Call details";
const KEPT: &str = "Note edited in the CRM";

pub(super) struct Html;

impl Form for Html {
    fn write(&self, item: Item<'_>, over: Option<&str>) -> String {
        let (label, value) = (label(item, over), escape(item.value));
        match item.section.shape() {
            Shape::Header => format!("<b>{NOTE}</b><br>{value}<br><br>"),
            Shape::Link if is_url(item.value) => {
                format!("<li><b>{label}</b>: <a target=\"_blank\" href=\"{value}\">open</a></li>")
            }
            Shape::Line | Shape::Link => format!("<li><b>{label}</b>: {value}</li>"),
            Shape::Block => {
                let gap = if has_gap(item.section) { "<br>" } else { "" };
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

    fn read<'a>(&self, body: &'a str) -> Vec<Piece<'a>> {
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

    fn place(&self, pieces: &mut Vec<Piece<'_>>, item: Item<'_>) {
        let kind = Kind::Section(item.section);
        let written = self.write(item, None);
        let find = |pieces: &[Piece<'_>], kind| pieces.iter().position(|piece| piece.kind == kind);
        if item.section.is_block() {
            return insert(self, pieces, end(pieces), kind, written);
        }
        if find(pieces, Kind::Heading).is_none() {
            let has_lines = pieces.iter().any(|piece| piece.section().is_some_and(Section::is_line));
            if !has_lines {
                insert(self, pieces, 0, Kind::Foreign, "</ul>".to_owned());
                insert(self, pieces, 0, Kind::List, "<ul>".to_owned());
            }
            insert(self, pieces, 0, Kind::Heading, format!("<b>{HEADING}</b>"));
        }
        let heading = find(pieces, Kind::Heading).unwrap_or_default();
        if !item.section.is_line() {
            return insert(self, pieces, heading, kind, written);
        }
        let list = find(pieces, Kind::List).unwrap_or_else(|| {
            insert(self, pieces, heading + 1, Kind::Foreign, "</ul>".to_owned());
            insert(self, pieces, heading + 1, Kind::List, "<ul>".to_owned());
            heading + 1
        });
        insert(self, pieces, list + 1, kind, written);
    }

    fn is_open_ended(&self) -> bool {
        false
    }

    fn is_lines(&self) -> bool {
        false
    }
}

/// The contact's number is the caller's or the recipient's.
fn label(item: Item<'_>, over: Option<&str>) -> &'static str {
    let traits = item.section.traits();
    if item.section != Section::ContactNumber {
        return traits.html_label;
    }
    let is_recipients = match item.direction {
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
