//! A body read back.

use super::{
    Format, Section,
    markup::{Markup, Segment},
};

/// A body, with the sections that stand in it. Everything else in it is kept as it is.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    format: Format,
    pub(super) segments: Vec<Segment<'a>>,
}

/// Reads a body. Any text is one.
pub fn parse(format: Format, body: &str) -> Document<'_> {
    Document { format, segments: format.markup().read(body) }
}

impl Document<'_> {
    /// The body, byte for byte.
    pub fn render(&self) -> String {
        self.segments.iter().map(|segment| segment.raw.as_ref()).collect()
    }

    /// What a section says; `None` when it is not there or says nothing.
    pub fn value(&self, section: Section) -> Option<String> {
        let segment = self.segments.iter().find(|segment| segment.section() == Some(section))?;
        let value = self.markup().decode(section, segment.encoded());
        (!value.trim().is_empty()).then_some(value)
    }

    pub(super) fn markup(&self) -> &'static dyn Markup {
        self.format.markup()
    }
}
