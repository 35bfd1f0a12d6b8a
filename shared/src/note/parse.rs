//! Reads a body back.

use super::{
    Format, Section,
    markup::{Segment, SegmentKind, find, render},
};

/// A body, split into the sections that it has and foreign text.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    format: Format,
    pub(super) segments: Vec<Segment<'a>>,
}

/// Reads a body. Every text is a valid body: what is not a section of ours is foreign text.
///
/// Time is linear in the length of the body.
pub fn parse(format: Format, body: &str) -> Document<'_> {
    Document { format, segments: format.markup().read(body) }
}

impl Document<'_> {
    /// Returns the body, byte for byte.
    pub fn render(&self) -> String {
        render(&self.segments)
    }

    /// Returns the text of a section, or `None` if the body has no such section or its text is blank.
    pub fn value(&self, section: Section) -> Option<String> {
        let at = find(&self.segments, SegmentKind::Section(section))?;
        let value = self.format.markup().decode(section, self.segments[at].encoded());
        (!value.trim().is_empty()).then_some(value)
    }
}
