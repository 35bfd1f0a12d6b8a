//! Limits on the length of a note and of a subject, and the marks of texts that were cut.

use std::{borrow::Cow, fmt};

use super::words::{is_inside_character, starts_with};

/// The end of a section that was cut.
pub(super) const CUT: &str = "… (cut)";
/// The end of a subject that was cut.
const ELLIPSIS: &str = "…";
/// The shortest part of a section that is worth showing, in characters. A section without room for it is left out.
pub(super) const MIN_SHOWN: usize = 40;

/// The greatest lengths that a CRM accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The greatest length of a subject; `None`: unlimited.
    pub max_subject: Option<usize>,
    /// The greatest length of a body; `None`: unlimited. The body is measured as it is sent, so in HTML with its tags and
    /// entities.
    pub max_body: Option<usize>,
    /// The unit of both lengths.
    pub unit: TextUnit,
}

/// The unit in which a CRM measures texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextUnit {
    /// Unicode characters (code points).
    Characters,
    /// UTF-16 code units: a character above U+FFFF counts twice.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
}

impl TextUnit {
    /// Returns the length of a text in this unit.
    pub fn length(self, text: &str) -> usize {
        match self {
            TextUnit::Characters => text.chars().count(),
            TextUnit::Utf16 => text.chars().map(char::len_utf16).sum(),
            TextUnit::Bytes => text.len(),
        }
    }

    /// Returns `true` if a text is not longer than `max`.
    fn fits(self, text: &str, max: Option<usize>) -> bool {
        // No unit is shorter than a byte, so most texts need not be counted.
        max.is_none_or(|max| text.len() <= max || self.length(text) <= max)
    }
}

impl Limits {
    /// No limits.
    pub const UNLIMITED: Limits = Limits { max_subject: None, max_body: None, unit: TextUnit::Characters };

    /// Returns `true` if a body is not too long.
    pub fn fits_body(&self, body: &str) -> bool {
        self.unit.fits(body, self.max_body)
    }

    /// Returns a subject that is not too long. If it has to be cut, it ends with `…`.
    pub fn cut_subject<'s>(&self, subject: &'s str) -> Cow<'s, str> {
        if self.unit.fits(subject, self.max_subject) {
            return Cow::Borrowed(subject);
        }
        let cut = longest_start(subject, 0, |start| {
            let cut = format!("{}{ELLIPSIS}", start.trim_end());
            self.unit.fits(&cut, self.max_subject).then_some(cut)
        });
        Cow::Owned(cut.unwrap_or_default())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            TextUnit::Characters => "characters",
            TextUnit::Utf16 => "UTF-16 units",
            TextUnit::Bytes => "bytes",
        };
        match (self.max_subject, self.max_body) {
            (None, None) => out.write_str("unlimited"),
            (Some(subject), None) => write!(out, "subject {subject} {unit}"),
            (None, Some(body)) => write!(out, "body {body} {unit}"),
            (Some(subject), Some(body)) => write!(out, "subject {subject}, body {body} {unit}"),
        }
    }
}

/// Returns what `accept` makes of the longest start of a text that it accepts, and that is shorter than the text and
/// has at least `min` characters. A character is not separated from its accents.
///
/// `accept` accepts each start that is shorter than an accepted one. It is called a logarithmic number of times.
pub(super) fn longest_start<T>(text: &str, min: usize, accept: impl Fn(&str) -> Option<T>) -> Option<T> {
    let (mut low, _) = text.char_indices().nth(min)?;
    let mut high = text.len();
    let start = |length: usize| {
        let mut end = text.floor_char_boundary(length);
        while end > 0 && is_inside_character(text, end) {
            end = text.floor_char_boundary(end - 1);
        }
        &text[..end]
    };
    let mut longest = accept(start(low))?;
    while high - low > 1 {
        let middle = low.midpoint(high);
        match accept(start(middle)) {
            Some(accepted) => (low, longest) = (middle, accepted),
            None => high = middle,
        }
    }
    Some(longest)
}

/// Returns `true` if a text is what was left of `whole` when it was cut.
pub(super) fn is_cut_of(text: &str, whole: &str) -> bool {
    text.trim_end().strip_suffix(CUT).is_some_and(|start| starts_with(whole, start))
}

/// Returns the number of lines at the start of a text up to the first one that ends like a cut text.
pub(super) fn lines_up_to_cut(text: &str) -> Option<usize> {
    text.lines().position(|line| line.trim_end().ends_with(CUT)).map(|last| last + 1)
}
