//! Lines, and characters that a value may have.

use std::ops::Range;

/// Returns a text with `\n` as its only line end and without other control characters than the tab.
///
/// Databases and XML reject control characters, so a CRM may not store them. People cannot see them.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut after_return = false;
    for char in text.chars() {
        match char {
            '\n' if after_return => {}
            '\r' | '\n' | '\u{b}' | '\u{c}' => cleaned.push('\n'),
            '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' => {}
            char => cleaned.push(char),
        }
        after_return = char == '\r';
    }
    cleaned
}

/// Returns a text as one line, such as a subject or a name: without control characters and without those that change the
/// direction of the text around them (Unicode Bidirectional Algorithm, UAX #9, section 2), so that it cannot look like
/// another text.
pub fn one_line(text: &str) -> String {
    let is_kept = |char: &char| !matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let in_line = |char| if matches!(char, '\n' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { char };
    clean(text).chars().filter(is_kept).map(in_line).collect::<String>().trim().to_owned()
}

/// The lines of a body, and their offsets in it.
pub(super) struct BodyLines<'a> {
    body: &'a str,
    /// The offset of each line in bytes, and at last the length of the body.
    offsets: Vec<usize>,
}

impl<'a> BodyLines<'a> {
    pub(super) fn new(body: &'a str) -> BodyLines<'a> {
        let count = body.split_inclusive('\n').count();
        let mut offsets = Vec::with_capacity(count + 1);
        offsets.push(0);
        offsets.extend(body.split_inclusive('\n').scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        }));
        BodyLines { body, offsets }
    }

    pub(super) fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The line at an index, without its line end.
    pub(super) fn bare(&self, at: usize) -> &'a str {
        bare(&self.body[self.range(at, at + 1)])
    }

    /// The lines from an index on, without their line ends, each with its index.
    pub(super) fn bare_from(&self, from: usize) -> impl DoubleEndedIterator<Item = (usize, &'a str)> {
        (from..self.count()).map(|at| (at, self.bare(at)))
    }

    /// The offset in the body of a line, or of the end of the body.
    pub(super) fn offset(&self, at: usize) -> usize {
        self.offsets[at]
    }

    /// The range in the body of the lines from `from` up to, but without, `to`.
    pub(super) fn range(&self, from: usize, to: usize) -> Range<usize> {
        self.offsets[from]..self.offsets[to]
    }
}

/// A line without its line end.
pub(super) fn bare(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Changes each line of a text by itself.
pub(super) fn map_lines(text: &str, change: impl Fn(&str, &mut String)) -> String {
    let mut changed = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            changed.push('\n');
        }
        change(line.strip_suffix('\r').unwrap_or(line), &mut changed);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_character_that_changes_another_text() {
        for (text, expected) in [
            ("Quote", "Quote"),
            (" Quote\r\n for\tBob\u{2028}Client ", "Quote  for Bob Client"),
            ("a\0b\u{7f}c", "abc"),
            ("\u{202e}tcejbus\u{202c} \u{2066}x\u{2069}", "tcejbus x"),
            ("עברית", "עברית"),
            (" \n\u{202e}", ""),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }
}
