//! The call note: what people read in the CRM. Pure, and it cannot fail.
//!
//! - `section`: what a note is made of, as data;
//! - `content`: what one note says, in the words of `wording`;
//! - `markup`: what the three formats have in common; `plain`, `html`, `markdown`: each of them;
//! - `compose`: a fresh body;
//! - `parse`: a body read back, without losing a byte;
//! - `merge`: what became known later, written into what people made of the body since; `fingerprint`: what we
//!   remember of what we wrote.
//!
//! Nothing here knows a CRM, a table or a protocol, and no value is ever taken for structure.

mod compose;
mod content;
mod fingerprint;
mod html;
mod markdown;
mod markup;
mod merge;
mod parse;
mod plain;
mod section;
#[cfg(test)]
mod tests;
mod text;
mod wording;

pub use compose::compose;
pub use content::Content;
pub(crate) use fingerprint::subject_fingerprint;
pub use fingerprint::{Fingerprints, fingerprint};
pub use merge::{Merged, is_placeholder, merge};
pub use parse::{Document, parse};
pub use section::Section;

/// What stands in a recording's place until its link is known.
pub const PENDING_LINK: &str = "(pending...)";

/// How a CRM shows a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Plain,
    Html,
    Markdown,
}

impl Format {
    pub const ALL: [Format; 3] = [Format::Plain, Format::Html, Format::Markdown];

    /// The format's media type.
    pub fn mime(self) -> &'static str {
        match self {
            Format::Plain => "text/plain",
            Format::Html => "text/html",
            Format::Markdown => "text/markdown",
        }
    }

    /// The format of a media type.
    pub fn from_mime(mime: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.mime() == mime)
    }
}
