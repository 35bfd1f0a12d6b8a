//! The formats, and what implements each.

use super::{html::Html, markdown::Markdown, markup::Markup, plain::Plain};

/// The format in which a CRM shows a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text, `text/plain`.
    Plain,
    /// HTML, `text/html`.
    Html,
    /// Markdown, `text/markdown`.
    Markdown,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 3] = [Format::Plain, Format::Html, Format::Markdown];

    /// Returns the media type of the format.
    pub fn mime(self) -> &'static str {
        match self {
            Format::Plain => "text/plain",
            Format::Html => "text/html",
            Format::Markdown => "text/markdown",
        }
    }

    /// Returns the format that a media type names.
    pub fn from_mime(mime: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.mime() == mime)
    }

    /// Returns the interface of the format.
    pub(super) fn markup(self) -> &'static dyn Markup {
        match self {
            Format::Plain => &Plain,
            Format::Html => &Html,
            Format::Markdown => &Markdown,
        }
    }
}
