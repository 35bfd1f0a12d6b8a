//! The interface of the three formats, and the segments that a body is made of.
//!
//! A body is a sequence of segments; their bytes, joined, are the body. Changing a note means changing segments.
//! Foreign segments stay as they are.

use std::{borrow::Cow, ops::Range};

use super::Section;
use crate::model::Direction;

/// The kind of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// A section of ours.
    Section(Section),
    /// The heading above the lines.
    Heading,
    /// The start of the list of lines.
    List,
    /// The end of an agent note that foreign text follows.
    NoteEnd,
    /// A text that a person edited and a newer one of ours displaced. From then on it is foreign.
    Kept,
    /// Any other text.
    Foreign,
    /// A foreign comment without an end, which hides the rest of the body. Nothing can be written below it.
    OpenComment,
}

/// A segment of a body.
#[derive(Clone, Debug)]
pub(super) struct Segment<'a> {
    pub(super) kind: SegmentKind,
    pub(super) raw: Cow<'a, str>,
    /// The range of the encoded value in `raw`.
    pub(super) value: Range<usize>,
}

impl<'a> Segment<'a> {
    pub(super) fn new(kind: SegmentKind, raw: impl Into<Cow<'a, str>>) -> Segment<'a> {
        Segment { kind, raw: raw.into(), value: 0..0 }
    }

    pub(super) fn section(&self) -> Option<Section> {
        match self.kind {
            SegmentKind::Section(section) => Some(section),
            _ => None,
        }
    }

    /// The value, encoded as the format requires.
    pub(super) fn encoded(&self) -> &str {
        self.raw.get(self.value.clone()).unwrap_or_default()
    }
}

/// A section to write into a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) section: Section,
    pub(super) value: &'a str,
    pub(super) direction: Option<Direction>,
}

/// A format, as code.
pub(super) trait Markup {
    /// Returns the raw text of a section. `over` is the raw text that it replaces.
    fn write(&self, entry: Entry<'_>, over: Option<&str>) -> String;

    /// Returns the foreign text that keeps an edited value.
    fn keep(&self, encoded: &str) -> String;

    /// Returns the comments in the raw text of a section. They are foreign, so they stay when the section is replaced.
    fn comments(&self, _raw: &str) -> String {
        String::new()
    }

    /// Splits a body into segments. No section occurs twice.
    fn read<'a>(&self, body: &'a str) -> Vec<Segment<'a>>;

    /// Returns the value that an encoded text stands for.
    fn decode(&self, section: Section, encoded: &str) -> String;

    /// Corrects the labels that depend on the direction of the call. The values stay.
    fn relabel(&self, _segments: &mut [Segment<'_>], _direction: Direction) {}

    /// Inserts a section that has no neighbours in the body yet.
    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>);

    /// Returns `true` if a block may end with the body, so that text below a block looks like a part of it.
    fn is_open_ended(&self) -> bool;

    /// Returns `true` if each section starts on a line of its own.
    fn is_line_based(&self) -> bool;
}

/// Joins segments to a body.
pub(super) fn render(segments: &[Segment<'_>]) -> String {
    segments.iter().map(|segment| segment.raw.as_ref()).collect()
}

/// Returns the index of the first segment of a kind.
pub(super) fn find(segments: &[Segment<'_>], kind: SegmentKind) -> Option<usize> {
    segments.iter().position(|segment| segment.kind == kind)
}

/// Inserts a section in the order of the sections: below its nearest predecessor, else above its nearest successor.
///
/// Foreign text stays where it is, so the order in which sections are inserted makes no difference.
pub(super) fn place(markup: &dyn Markup, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
    let neighbours = || {
        let sections = segments.iter().enumerate().filter_map(|(at, segment)| Some((segment.section()?, at)));
        sections.filter(|(section, _)| section.is_beside(entry.section))
    };
    let predecessor = neighbours().filter(|(section, _)| *section < entry.section).max();
    let successor = neighbours().filter(|(section, _)| *section > entry.section).min();
    match predecessor.map(|(_, at)| at + 1).or(successor.map(|(_, at)| at)) {
        Some(at) => {
            insert(markup, segments, at, SegmentKind::Section(entry.section), markup.write(entry, None))
        }
        None => markup.place(segments, entry),
    }
}

/// Inserts a segment, in a line-based format on a line of its own.
pub(super) fn insert(
    markup: &dyn Markup,
    segments: &mut Vec<Segment<'_>>,
    at: usize,
    kind: SegmentKind,
    raw: String,
) {
    if markup.is_line_based()
        && let Some(above) = segments[..at].iter_mut().rfind(|segment| !segment.raw.is_empty())
        && !above.raw.ends_with('\n')
    {
        above.raw.to_mut().push('\n');
    }
    segments.insert(at, Segment::new(kind, raw));
}

/// Returns the index below the last segment that the CRM shows.
pub(super) fn end_of_body(segments: &[Segment<'_>]) -> usize {
    find(segments, SegmentKind::OpenComment).unwrap_or(segments.len())
}

/// Returns the index of the first block, or of the end of the body if it has none.
pub(super) fn end_of_lines(segments: &[Segment<'_>]) -> usize {
    let is_block = |segment: &Segment<'_>| segment.section().is_some_and(Section::is_block);
    segments.iter().position(is_block).unwrap_or(end_of_body(segments))
}

/// Collects the segments of a body from front to back. Text between two segments becomes foreign.
pub(super) struct SegmentBuilder<'a> {
    body: &'a str,
    segments: Vec<Segment<'a>>,
    /// The kinds that occur at most once and have been found. A body may have any number of the others.
    found: Vec<SegmentKind>,
    /// The offset in `body` of the end of the last segment.
    done: usize,
}

impl<'a> SegmentBuilder<'a> {
    pub(super) fn new(body: &'a str) -> SegmentBuilder<'a> {
        SegmentBuilder { body, segments: Vec::new(), found: Vec::new(), done: 0 }
    }

    /// Returns `true` if a segment of this kind, which occurs at most once, has been found.
    pub(super) fn has(&self, kind: SegmentKind) -> bool {
        self.found.contains(&kind)
    }

    /// Adds the segment at `range` of the body, with its value at `value`.
    pub(super) fn push(&mut self, kind: SegmentKind, range: Range<usize>, value: Range<usize>) {
        self.push_foreign(range.start);
        if kind != SegmentKind::Kept {
            self.found.push(kind);
        }
        let raw = Cow::Borrowed(&self.body[range.clone()]);
        let value = value.start - range.start..value.end - range.start;
        self.segments.push(Segment { kind, raw, value });
        self.done = range.end;
    }

    /// The offset in the body of the end of the last segment.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    pub(super) fn finish(mut self) -> Vec<Segment<'a>> {
        self.push_foreign(self.body.len());
        self.segments
    }

    /// Adds the text before `end` as foreign.
    fn push_foreign(&mut self, end: usize) {
        if self.done < end {
            self.segments.push(Segment::new(SegmentKind::Foreign, &self.body[self.done..end]));
            self.done = end;
        }
    }
}
