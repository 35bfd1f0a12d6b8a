//! The call note: the text that people read in the CRM.
//!
//! This module composes a note from call details, reads a note back from a CRM, and merges newer details into a note
//! that people may have edited. `docs/note-format.md` describes the format.
//!
//! The module is pure: it does no I/O, reads no clock and cannot fail. It uses only [`crate::model`]. It must not know
//! a CRM, the table, a request or the delivery protocol. A value is never read as structure.
//!
//! # Composing
//!
//! ```
//! use call_log::{
//!     model::{CallDetails, Settings, Zone},
//!     note::{Content, Format, compose},
//! };
//!
//! let details = CallDetails {
//!     note: Some("Wants 40 seats.".to_owned()),
//!     result: Some("Call connected".to_owned()),
//!     ..CallDetails::default()
//! };
//! let content = Content::new(&details, &Settings::default(), Zone::UTC);
//! let body = compose(Format::Plain, &content);
//! assert_eq!(body, "- Note: Wants 40 seats.\n- Result: Call connected\n");
//! ```
//!
//! # Merging
//!
//! ```
//! use call_log::{
//!     model::{CallDetails, Settings, Zone},
//!     note::{Content, Fingerprints, Format, merge},
//! };
//!
//! let content = |result: &str, recording: &str| {
//!     let details = CallDetails {
//!         result: Some(result.to_owned()),
//!         recording: Some(recording.to_owned()),
//!         ..CallDetails::default()
//!     };
//!     Content::new(&details, &Settings::default(), Zone::UTC)
//! };
//! // We wrote this note, and a person has edited it in the CRM since.
//! let base = content("In progress", "(pending...)").fingerprints();
//! let edited = "Ask for the budget!\n- Result: In progress, busy\n- Call recording link: (pending...)\n";
//!
//! // The result is as it was, so the person's words stay. The recording is new.
//! let newer = content("In progress", "https://media.example/1");
//! let merged = merge(Format::Plain, edited, &base, &newer);
//! assert_eq!(
//!     merged.body,
//!     "Ask for the budget!\n- Result: In progress, busy\n- Call recording link: https://media.example/1\n"
//! );
//! // Merging again changes nothing.
//! assert_eq!(merge(Format::Plain, &merged.body, &merged.base, &newer), merged);
//! ```
//!
//! # Limits
//!
//! ```
//! use call_log::{
//!     model::{CallDetails, Settings, Zone},
//!     note::{Content, Format, Limits, Section, compose_within},
//! };
//!
//! let details = CallDetails {
//!     note: Some("Wants 40 seats.".to_owned()),
//!     transcript: Some("Good morning, what can I do for you? ".repeat(20)),
//!     ..CallDetails::default()
//! };
//! let content = Content::new(&details, &Settings::default(), Zone::UTC);
//! let limits = Limits { max_body: Some(100), ..Limits::UNLIMITED };
//! let composed = compose_within(Format::Plain, &content, &limits);
//! assert_eq!(
//!     composed.body,
//!     "- Note: Wants 40 seats.\n\n- Transcript:\nGood morning, what can I do for you? Good mor… (cut)\n--- END\n"
//! );
//! assert_eq!(composed.cut, [Section::Transcript]);
//! ```
//!
//! # Modules
//!
//! - `section`: the sections of a note, as data.
//! - `content`: the values of the sections; `wording` writes durations, dates and journeys.
//! - `markup`: the interface of the formats, and the segments of a body; `plain`, `html`, `markdown`: the formats.
//! - `compose`: writes a new body.
//! - `parse`: reads a body back without losing a byte.
//! - `compare`: compares a body with what was sent.
//! - `merge`: writes newer values into a body; `fingerprint`: how we recognise what we last wrote; `words`: the changes of
//!   a CRM that are no edits.
//! - `limits`: how long a body or a subject may be; `fit`: shortens a note that is too long.

mod compare;
mod compose;
mod content;
mod fingerprint;
mod fit;
mod format;
mod html;
mod limits;
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
mod words;

pub use compare::differing_sections;
pub use compose::compose;
pub use content::{Content, is_setting};
pub(crate) use fingerprint::subject_fingerprint;
pub use fingerprint::{Fingerprints, fingerprint, is_subject};
pub use fit::{compose_within, merge_within};
pub use format::Format;
pub use limits::{Limits, TextUnit};
pub use merge::{Merged, is_placeholder, merge};
pub use parse::{Document, parse};
pub use section::Section;
pub use text::one_line;

/// The placeholder for the link to a recording that is not known yet.
pub const PENDING_LINK: &str = "(pending...)";
