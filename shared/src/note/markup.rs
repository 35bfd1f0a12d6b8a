//! What the formats have in common: how an item is written, found, decoded, and where the first of its kind goes.
//!
//! A body is a row of pieces, and the pieces' bytes are the body's. Whoever changes a note changes pieces; those that
//! are foreign stay as they are.

use std::{borrow::Cow, ops::Range};

use super::{Format, Section, html::Html, markdown::Markdown, plain::Plain};
use crate::model::Direction;

/// What is known of a piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

/// A piece of a body.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    pub(super) kind: Kind,
    pub(super) raw: Cow<'a, str>,
    /// Where in `raw` the value stands, still encoded.
    pub(super) value: Range<usize>,
}

impl<'a> Piece<'a> {
    pub(super) fn new(kind: Kind, raw: impl Into<Cow<'a, str>>) -> Piece<'a> {
        Piece { kind, raw: raw.into(), value: 0..0 }
    }

    pub(super) fn section(&self) -> Option<Section> {
        match self.kind {
            Kind::Section(section) => Some(section),
            _ => None,
        }
    }

    pub(super) fn encoded(&self) -> &str {
        self.raw.get(self.value.clone()).unwrap_or_default()
    }
}

/// A section that is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) section: Section,
    pub(super) value: &'a str,
    pub(super) direction: Option<Direction>,
}

/// A format.
pub(super) trait Form {
    /// An item as it stands in a body; `over`: what it takes the place of.
    fn write(&self, item: Item<'_>, over: Option<&str>) -> String;

    /// A note that somebody changed in the CRM, as the foreign text that it becomes.
    fn keep(&self, encoded: &str) -> String;

    /// The comments in the raw text of a section. They are foreign, and stay when the section is written again.
    fn comments(&self, _raw: &str) -> String {
        String::new()
    }

    /// A body's pieces. No section is found twice.
    fn read<'a>(&self, body: &'a str) -> Vec<Piece<'a>>;

    /// The value in an encoded text.
    fn decode(&self, section: Section, encoded: &str) -> String;

    /// Puts the first item of its kind into a body.
    fn place(&self, pieces: &mut Vec<Piece<'_>>, item: Item<'_>);

    /// Whether the end of the body ends a block, so that what others wrote below looks like a part of it.
    fn is_open_ended(&self) -> bool;

    /// Whether items end with a line end.
    fn is_lines(&self) -> bool;
}

impl Format {
    pub(super) fn form(self) -> &'static dyn Form {
        match self {
            Format::Plain => &Plain,
            Format::Html => &Html,
            Format::Markdown => &Markdown,
        }
    }
}

/// Puts an item where it belongs: behind the last of those that stand before it, else before the first of those that
/// stand behind it. What is foreign stays where it is, so the order in which items come does not matter.
pub(super) fn place(form: &dyn Form, pieces: &mut Vec<Piece<'_>>, item: Item<'_>) {
    let siblings = || {
        let ranked = pieces.iter().enumerate().filter_map(|(index, piece)| Some((piece.section()?, index)));
        ranked.filter(|(section, _)| section.is_beside(item.section))
    };
    let before = siblings().filter(|(section, _)| *section < item.section).max();
    let behind = siblings().filter(|(section, _)| *section > item.section).min();
    let at = before.map(|(_, index)| index + 1).or(behind.map(|(_, index)| index));
    match at {
        Some(at) => insert(form, pieces, at, Kind::Section(item.section), form.write(item, None)),
        None => form.place(pieces, item),
    }
}

/// Inserts a piece, on a line of its own where the format has lines.
pub(super) fn insert(form: &dyn Form, pieces: &mut Vec<Piece<'_>>, at: usize, kind: Kind, raw: String) {
    if form.is_lines()
        && let Some(before) = pieces[..at].iter_mut().rfind(|piece| !piece.raw.is_empty())
        && !before.raw.ends_with('\n')
    {
        before.raw.to_mut().push('\n');
    }
    pieces.insert(at, Piece::new(kind, raw));
}

/// The end of what a body shows.
pub(super) fn end(pieces: &[Piece<'_>]) -> usize {
    pieces.len() - usize::from(pieces.last().is_some_and(|piece| piece.kind == Kind::OpenComment))
}

/// Where the first block stands, or the body's end.
pub(super) fn end_of_lines(pieces: &[Piece<'_>]) -> usize {
    let is_block = |piece: &Piece<'_>| piece.section().is_some_and(Section::is_block);
    pieces.iter().position(is_block).unwrap_or(end(pieces))
}

/// Collects the pieces of a body from front to back; what nobody claims is foreign.
pub(super) struct Reader<'a> {
    body: &'a str,
    pieces: Vec<Piece<'a>>,
    /// What is there already and comes once.
    found: Vec<Kind>,
    /// How much of the body is in pieces.
    done: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a str) -> Reader<'a> {
        Reader { body, pieces: Vec::new(), found: Vec::new(), done: 0 }
    }

    /// Whether there is a piece of this kind already.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.found.contains(&kind)
    }

    /// The piece at `range`, with its value at `value`.
    pub(super) fn push(&mut self, kind: Kind, range: Range<usize>, value: Range<usize>) {
        self.pass(range.start);
        if kind != Kind::Kept {
            self.found.push(kind);
        }
        let raw = Cow::Borrowed(&self.body[range.clone()]);
        let value = value.start - range.start..value.end - range.start;
        self.pieces.push(Piece { kind, raw, value });
        self.done = range.end;
    }

    /// How much of the body is in pieces.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    pub(super) fn finish(mut self) -> Vec<Piece<'a>> {
        self.pass(self.body.len());
        self.pieces
    }

    /// What lies before `end` is foreign.
    fn pass(&mut self, end: usize) {
        if self.done < end {
            self.pieces.push(Piece::new(Kind::Foreign, &self.body[self.done..end]));
            self.done = end;
        }
    }
}
