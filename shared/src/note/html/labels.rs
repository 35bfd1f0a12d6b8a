//! The headings of the HTML format, which are written and recognised.

use crate::note::Section;

pub(super) const NOTE: &str = "Agent notes";
pub(super) const HEADING: &str = "Call details";
pub(super) const KEPT: &str = "Note edited in the CRM";

/// Returns `true` if an empty line follows the block.
pub(super) fn has_gap(section: Section) -> bool {
    matches!(section, Section::AiNote | Section::Transcript)
}
