//! A body read back.

use super::{
    Format, Section,
    markup::{Form, Piece},
};

/// A body, with the sections that stand in it. Everything else in it is kept as it is.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    format: Format,
    pub(super) pieces: Vec<Piece<'a>>,
}

/// Reads a body. Any text is one.
pub fn parse(format: Format, body: &str) -> Document<'_> {
    Document { format, pieces: format.form().read(body) }
}

impl Document<'_> {
    /// The body, byte for byte.
    pub fn render(&self) -> String {
        self.pieces.iter().map(|piece| piece.raw.as_ref()).collect()
    }

    /// What a section says; `None` when it is not there or says nothing.
    pub fn value(&self, section: Section) -> Option<String> {
        let piece = self.pieces.iter().find(|piece| piece.section() == Some(section))?;
        let value = self.form().decode(section, piece.encoded());
        (!value.trim().is_empty()).then_some(value)
    }

    pub(super) fn form(&self) -> &'static dyn Form {
        self.format.form()
    }
}
