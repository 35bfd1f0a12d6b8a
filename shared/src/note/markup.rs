//! What the formats have in common: how an item is written, found, decoded, and where the first of its kind goes.
//!
//! A body is a row of segments, and the segments' bytes are the body's. Whoever changes a note changes segments; those that
//! are foreign stay as they are.

use std::{borrow::Cow, ops::Range};

use super::{Format, Section, html::Html, markdown::Markdown, plain::Plain};
use crate::model::Direction;

/// What is known of a segment of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    Section(Section),
    /// The words above the lines.
    Heading,
    /// The start of the list of lines.
    List,
    /// What ends an agent note where nothing else does.
    NoteEnd,
    /// What became of a note that somebody changed in the CRM. It is foreign text from then on.
    Kept,
    Foreign,
    /// A foreign comment without an end, which hides the rest of the body. Nothing can be written below it.
    OpenComment,
}

/// A segment of a body.
#[derive(Clone, Debug)]
pub(super) struct Segment<'a> {
    pub(super) kind: SegmentKind,
    pub(super) raw: Cow<'a, str>,
    /// Where in `raw` the value stands, still encoded.
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

    pub(super) fn encoded(&self) -> &str {
        self.raw.get(self.value.clone()).unwrap_or_default()
    }
}

/// A section that is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) section: Section,
    pub(super) value: &'a str,
    pub(super) direction: Option<Direction>,
}

/// A format.
pub(super) trait Markup {
    /// An item as it stands in a body; `over`: what it takes the place of.
    fn write(&self, entry: Entry<'_>, over: Option<&str>) -> String;

    /// A note that somebody changed in the CRM, as the foreign text that it becomes.
    fn keep(&self, encoded: &str) -> String;

    /// The comments in the raw text of a section. They are foreign, and stay when the section is written again.
    fn comments(&self, _raw: &str) -> String {
        String::new()
    }

    /// A body's segments. No section is found twice.
    fn read<'a>(&self, body: &'a str) -> Vec<Segment<'a>>;

    /// The value in an encoded text.
    fn decode(&self, section: Section, encoded: &str) -> String;

    /// Puts the first item of its kind into a body.
    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>);

    /// Whether the end of the body ends a block, so that what others wrote below looks like a part of it.
    fn is_open_ended(&self) -> bool;

    /// Whether items end with a line end.
    fn is_lines(&self) -> bool;
}

impl Format {
    pub(super) fn markup(self) -> &'static dyn Markup {
        match self {
            Format::Plain => &Plain,
            Format::Html => &Html,
            Format::Markdown => &Markdown,
        }
    }
}

/// Puts an item where it belongs: behind the last of those that stand before it, else before the first of those that
/// stand behind it. What is foreign stays where it is, so the order in which items come does not matter.
pub(super) fn place(markup: &dyn Markup, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
    let siblings = || {
        let ranked =
            segments.iter().enumerate().filter_map(|(index, segment)| Some((segment.section()?, index)));
        ranked.filter(|(section, _)| section.is_beside(entry.section))
    };
    let before = siblings().filter(|(section, _)| *section < entry.section).max();
    let behind = siblings().filter(|(section, _)| *section > entry.section).min();
    let at = before.map(|(_, index)| index + 1).or(behind.map(|(_, index)| index));
    match at {
        Some(at) => {
            insert(markup, segments, at, SegmentKind::Section(entry.section), markup.write(entry, None))
        }
        None => markup.place(segments, entry),
    }
}

/// Inserts a segment, on a line of its own where the format has lines.
pub(super) fn insert(
    markup: &dyn Markup,
    segments: &mut Vec<Segment<'_>>,
    at: usize,
    kind: SegmentKind,
    raw: String,
) {
    if markup.is_lines()
        && let Some(before) = segments[..at].iter_mut().rfind(|segment| !segment.raw.is_empty())
        && !before.raw.ends_with('\n')
    {
        before.raw.to_mut().push('\n');
    }
    segments.insert(at, Segment::new(kind, raw));
}

/// The end of what a body shows.
pub(super) fn end(segments: &[Segment<'_>]) -> usize {
    segments.len()
        - usize::from(segments.last().is_some_and(|segment| segment.kind == SegmentKind::OpenComment))
}

/// Where the first block stands, or the body's end.
pub(super) fn end_of_lines(segments: &[Segment<'_>]) -> usize {
    let is_block = |segment: &Segment<'_>| segment.section().is_some_and(Section::is_block);
    segments.iter().position(is_block).unwrap_or(end(segments))
}

/// Collects the segments of a body from front to back; what nobody claims is foreign.
pub(super) struct SegmentBuilder<'a> {
    body: &'a str,
    segments: Vec<Segment<'a>>,
    /// What is there already and comes once.
    found: Vec<SegmentKind>,
    /// How much of the body is in segments.
    done: usize,
}

impl<'a> SegmentBuilder<'a> {
    pub(super) fn new(body: &'a str) -> SegmentBuilder<'a> {
        SegmentBuilder { body, segments: Vec::new(), found: Vec::new(), done: 0 }
    }

    /// Whether there is a segment of this kind already.
    pub(super) fn has(&self, kind: SegmentKind) -> bool {
        self.found.contains(&kind)
    }

    /// The segment at `range`, with its value at `value`.
    pub(super) fn push(&mut self, kind: SegmentKind, range: Range<usize>, value: Range<usize>) {
        self.pass(range.start);
        if kind != SegmentKind::Kept {
            self.found.push(kind);
        }
        let raw = Cow::Borrowed(&self.body[range.clone()]);
        let value = value.start - range.start..value.end - range.start;
        self.segments.push(Segment { kind, raw, value });
        self.done = range.end;
    }

    /// How much of the body is in segments.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    pub(super) fn finish(mut self) -> Vec<Segment<'a>> {
        self.pass(self.body.len());
        self.segments
    }

    /// What lies before `end` is foreign.
    fn pass(&mut self, end: usize) {
        if self.done < end {
            self.segments.push(Segment::new(SegmentKind::Foreign, &self.body[self.done..end]));
            self.done = end;
        }
    }
}
