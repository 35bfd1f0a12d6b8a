//! Finds our sections in an HTML body, also after a CRM's editor has rewritten it.

use super::{
    cursor::Cursor,
    labels::{HEADING, KEPT, NOTE, has_gap},
    tokens::{Element, Tag, Token, decode_text, tokens},
};
use crate::note::{
    Section,
    markup::{Segment, SegmentBuilder, SegmentKind},
};

const CONTAINERS: [Element; 2] = [Element::Division, Element::Paragraph];
const LISTS: [Element; 2] = [Element::UnorderedList, Element::OrderedList];
/// The tags that an editor may put between a container and the label in it.
const WRAPPERS: [Element; 2] = [Element::Paragraph, Element::Span];
/// The greatest number of wrappers around a label.
const WRAPPER_DEPTH: usize = 2;
/// The greatest number of tokens between the heading and its list.
const HEADING_TAIL: usize = 6;

/// Splits a body into segments.
pub(super) fn read(body: &str) -> Vec<Segment<'_>> {
    let mut tokens: Vec<Token> = tokens(body).collect();
    let open_comment = tokens.pop_if(|token| token.tag == Tag::OpenComment);
    let mut position = Cursor::new(body, &tokens);
    let last_heading = position.positions().filter(|position| position.is_heading()).last();
    let mut reader = HtmlReader {
        segments: SegmentBuilder::new(body),
        last_heading: last_heading.map(|heading| heading.offset()),
    };
    while position.tag().is_some() {
        position = reader.read(position).unwrap_or(position.next());
    }
    if let Some(comment) = open_comment {
        let range = comment.range();
        reader.segments.push(SegmentKind::OpenComment, range.clone(), range.start..range.start);
    }
    reader.segments.finish()
}

/// Bold words that may be a label.
struct Label<'t, 'a> {
    words: String,
    has_colon: bool,
    /// The position behind the label.
    behind: Cursor<'t, 'a>,
}

impl Label<'_, '_> {
    fn is(&self, words: &str) -> bool {
        self.words.eq_ignore_ascii_case(words)
    }

    fn section(&self) -> Option<Section> {
        Section::labelled_in_any_case(&self.words)
    }
}

/// A section that is a list item.
struct Line<'t, 'a> {
    section: Section,
    /// The offset of the value in the body.
    value: usize,
    /// The position at which the value ends.
    end: Cursor<'t, 'a>,
}

struct HtmlReader<'a> {
    segments: SegmentBuilder<'a>,
    /// The offset of the last heading above lines.
    last_heading: Option<usize>,
}

/// Each `read_` method reads what starts at a position and returns the position behind it, or `None` if it is foreign.
impl<'a> HtmlReader<'a> {
    fn read<'t>(&mut self, at: Cursor<'t, 'a>) -> Option<Cursor<'t, 'a>> {
        if at.opens(&[Element::Bold]) {
            let label = at.label()?;
            return if label.is(NOTE) {
                self.read_note(at, &label)
            } else if label.is(HEADING) {
                self.read_heading(at, &label)
            } else {
                None
            };
        }
        if at.opens(&[Element::Item]) {
            return self.read_line(at);
        }
        let label = at.container_label()?;
        if label.is(KEPT) && self.segments.has(SegmentKind::Section(Section::AgentNote)) {
            let end = self.end_of_note(label.behind);
            self.segments.push(SegmentKind::Kept, at.to(end), at.to(end));
            return Some(end);
        }
        self.read_block(at, &label)
    }

    fn read_note<'t>(&mut self, at: Cursor<'t, 'a>, label: &Label<'t, 'a>) -> Option<Cursor<'t, 'a>> {
        let kind = SegmentKind::Section(Section::AgentNote);
        if self.segments.has(kind) {
            return None;
        }
        let end = self.end_of_note(label.behind);
        let value = label.behind.skip_break().offset().min(end.offset());
        self.segments.push(kind, at.to(end), value..end.offset());
        Some(end)
    }

    fn read_heading<'t>(&mut self, at: Cursor<'t, 'a>, label: &Label<'t, 'a>) -> Option<Cursor<'t, 'a>> {
        if self.segments.has(SegmentKind::Heading) {
            return None;
        }
        let is_tail = |at: Cursor<'_, '_>| {
            at.is_blank() || at.opens(&[Element::Break, Element::Paragraph]) || at.closes(&CONTAINERS)
        };
        let behind_tail = label.behind.positions().take(HEADING_TAIL).find(|at| !is_tail(*at));
        let Some(list) = behind_tail.filter(|at| at.opens(&[Element::UnorderedList])) else {
            let end = label.behind.skip_if(|at| at.opens(&[Element::Break]));
            self.segments.push(SegmentKind::Heading, at.to(end), end.to(end));
            return Some(end);
        };
        self.segments.push(SegmentKind::Heading, at.to(list), list.to(list));
        let end = list.next();
        self.segments.push(SegmentKind::List, list.to(end), end.to(end));
        Some(end)
    }

    fn read_line<'t>(&mut self, at: Cursor<'t, 'a>) -> Option<Cursor<'t, 'a>> {
        let line = at.line()?;
        let behind = line.end.skip_end_of_line();
        let kind = SegmentKind::Section(line.section);
        if !self.segments.has(kind) {
            self.segments.push(kind, at.to(behind), line.value..line.end.offset());
        }
        Some(behind)
    }

    fn read_block<'t>(&mut self, at: Cursor<'t, 'a>, label: &Label<'t, 'a>) -> Option<Cursor<'t, 'a>> {
        let section = label.section().filter(|section| section.is_block())?;
        let end = at.end_of_block(label.behind)?;
        let value = label.behind.skip_break().offset().min(end.offset());
        let mut behind = end.next();
        let gap = behind.skip_blank();
        if has_gap(section) && gap.opens(&[Element::Break]) {
            behind = gap.next();
        }
        let kind = SegmentKind::Section(section);
        if !self.segments.has(kind) {
            self.segments.push(kind, at.to(behind), value..end.offset());
        }
        Some(behind)
    }

    /// The position at which the text of an agent note ends: at the heading, if there is one below.
    fn end_of_note<'t>(&self, text: Cursor<'t, 'a>) -> Cursor<'t, 'a> {
        let is_below = self.last_heading.is_some_and(|heading| heading >= text.offset());
        let has_heading = is_below && !self.segments.has(SegmentKind::Heading);
        text.find(|at| {
            let is_kept = || at.container_label().is_some_and(|label| label.is(KEPT));
            let is_line = || at.opens(&[Element::Item]) && at.line().is_some();
            at.is_heading() || is_kept() || !has_heading && (is_line() || at.is_block())
        })
    }
}

/// The parts of a note that a position may be at.
impl<'t, 'a> Cursor<'t, 'a> {
    fn is_heading(self) -> bool {
        self.label().is_some_and(|label| label.is(HEADING))
    }

    fn is_note(self) -> bool {
        self.label().is_some_and(|label| label.is(NOTE))
    }

    fn is_block(self) -> bool {
        let section = self.container_label().and_then(|label| label.section());
        section.is_some_and(Section::is_block)
    }

    /// The bold words here.
    fn label(self) -> Option<Label<'t, 'a>> {
        let (text, close) = (self.next(), self.next().next());
        if !self.opens(&[Element::Bold]) || text.tag() != Some(Tag::Text) || !close.closes(&[Element::Bold]) {
            return None;
        }
        let words = decode_text(text.text());
        let bare = words.trim();
        let (words, has_colon) = match bare.strip_suffix(':') {
            Some(words) => (words.trim_end(), true),
            None => (bare, false),
        };
        Some(Label { words: words.to_owned(), has_colon, behind: close.next() })
    }

    /// The label of the container that starts here.
    fn container_label(self) -> Option<Label<'t, 'a>> {
        self.opens(&CONTAINERS).then(|| self.inside().label())?
    }

    /// The list item that starts here, if it is one of our lines.
    fn line(self) -> Option<Line<'t, 'a>> {
        let label = self.inside().label()?;
        let section = label.section().filter(|section| section.is_line())?;
        let mut start = label.behind.offset();
        let mut text = label.behind.text();
        if !label.has_colon {
            let behind = label.behind.skip_blank();
            text = behind.text().trim_start().strip_prefix(':')?;
            start = behind.next().offset() - text.len();
        }
        let end = label.behind.find(|at| {
            let edges = [Element::Item, Element::UnorderedList, Element::OrderedList, Element::Division];
            at.opens(&edges) || at.closes(&edges) || at.is_heading() || at.is_note()
        });
        let value = start + usize::from(text.starts_with(' '));
        Some(Line { section, value: value.min(end.offset()), end })
    }

    /// Skips the tag that ends a line. The adapters of March 2025 end it with another `<li>`.
    fn skip_end_of_line(self) -> Cursor<'t, 'a> {
        let next = self.next().skip_blank();
        let is_stray = self.opens(&[Element::Item]) && (next.opens(&[Element::Item]) || next.closes(&LISTS));
        self.skip_if(|at| at.closes(&[Element::Item]) || is_stray)
    }

    /// The position of the tag that closes the block that opens here, or `None` if the block has lost its end.
    fn end_of_block(self, inside: Cursor<'t, 'a>) -> Option<Cursor<'t, 'a>> {
        let Some(Tag::Open(element)) = self.tag() else { return None };
        let mut depth = 1;
        let mut at = inside;
        loop {
            match at.tag()? {
                tag if tag.closes(&[element]) => depth -= 1,
                tag if tag.opens(&[element]) => depth += 1,
                _ => {}
            }
            if depth == 0 {
                return Some(at);
            }
            if at.is_block() {
                return None;
            }
            at = at.next();
        }
    }

    /// The first position inside the tag here that is not a wrapper.
    fn inside(self) -> Cursor<'t, 'a> {
        let mut inside = self.next();
        for _ in 0..=WRAPPER_DEPTH {
            inside = inside.skip_blank();
            if !inside.opens(&WRAPPERS) {
                break;
            }
            inside = inside.next();
        }
        inside
    }

    /// Skips the colon and the line break that may follow a label. Without a line break nothing is skipped.
    fn skip_break(self) -> Cursor<'t, 'a> {
        let next = self.skip_blank().skip_if(|at| at.text().trim() == ":").skip_blank();
        if next.opens(&[Element::Break]) { next.next() } else { self }
    }
}
