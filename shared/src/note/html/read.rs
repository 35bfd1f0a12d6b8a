//! Finding our items in a body, ours or what an editor made of it.

use super::{
    HEADING, KEPT, NOTE, has_gap,
    tokens::{Tag, Token, decode_entities, tokens},
};
use crate::note::{
    Section,
    markup::{Segment, SegmentBuilder, SegmentKind},
};

const BOLD: [&str; 2] = ["b", "strong"];
const CONTAINERS: [&str; 2] = ["div", "p"];
const LISTS: [&str; 2] = ["ul", "ol"];
/// What an editor may put between an item and its label, and how deep.
const WRAPPERS: [&str; 2] = ["p", "span"];
const WRAPPER_DEPTH: usize = 2;
/// How many tags may stand between the heading and its list.
const HEADING_TAIL: usize = 6;

pub(super) fn read(body: &str) -> Vec<Segment<'_>> {
    let html = HtmlBody::new(body);
    let mut reader = SegmentBuilder::new(body);
    let mut at = 0;
    while at < html.tokens.len() {
        at = html.read(at, &mut reader).unwrap_or(at + 1);
    }
    if html.end < body.len() {
        reader.push(SegmentKind::OpenComment, html.end..body.len(), html.end..html.end);
    }
    reader.finish()
}

/// Emphasised words that may be a label.
struct Label {
    words: String,
    has_colon: bool,
    /// The token behind.
    behind: usize,
}

impl Label {
    fn is(&self, words: &str) -> bool {
        self.words.eq_ignore_ascii_case(words)
    }

    fn section(&self) -> Option<Section> {
        Section::labelled_in_any_case(&self.words)
    }
}

struct HtmlBody<'a> {
    body: &'a str,
    tokens: Vec<Token<'a>>,
    /// Where the tokens end: at a comment without an end, if there is one.
    end: usize,
    /// The last heading above the lines.
    last_heading: Option<usize>,
}

impl<'a> HtmlBody<'a> {
    fn new(body: &'a str) -> HtmlBody<'a> {
        let mut tokens = tokens(body);
        let open = tokens.pop_if(|token| token.tag == Tag::OpenComment);
        let end = open.map_or(body.len(), |token| token.range.start);
        let mut html = HtmlBody { body, tokens, end, last_heading: None };
        html.last_heading = (0..html.tokens.len()).rfind(|at| html.is_heading(*at));
        html
    }

    /// Reads what starts at a token; the token behind, if it is something.
    fn read(&self, at: usize, reader: &mut SegmentBuilder<'a>) -> Option<usize> {
        let tag = self.tag(at)?;
        if tag.opens(&BOLD) {
            let label = self.label(at)?;
            if label.is(NOTE) {
                return self.read_note(at, &label, reader);
            }
            return if label.is(HEADING) { self.read_heading(at, &label, reader) } else { None };
        }
        if tag.opens(&["li"]) {
            return self.read_line(at, reader);
        }
        let label = self.container_label(at)?;
        if label.is(KEPT) && reader.has(SegmentKind::Section(Section::AgentNote)) {
            let behind = self.behind_note(label.behind, reader);
            let range = self.start(at)..self.start(behind);
            reader.push(SegmentKind::Kept, range.clone(), range);
            return Some(behind);
        }
        self.read_block(at, &label, reader)
    }

    fn read_note(&self, at: usize, label: &Label, reader: &mut SegmentBuilder<'a>) -> Option<usize> {
        let kind = SegmentKind::Section(Section::AgentNote);
        if reader.has(kind) {
            return None;
        }
        let behind = self.behind_note(label.behind, reader);
        let value = self.behind_break(label.behind).min(behind);
        reader.push(kind, self.start(at)..self.start(behind), self.start(value)..self.start(behind));
        Some(behind)
    }

    fn read_heading(&self, at: usize, label: &Label, reader: &mut SegmentBuilder<'a>) -> Option<usize> {
        if reader.has(SegmentKind::Heading) {
            return None;
        }
        let is_tail = |at: &usize| {
            self.is_blank(*at)
                || self.tag(*at).is_some_and(|tag| tag.opens(&["br", "p"]) || tag.closes(&CONTAINERS))
        };
        let list = (label.behind..label.behind + HEADING_TAIL).find(|at| !is_tail(at));
        let list = list.filter(|at| self.tag(*at).is_some_and(|tag| tag.opens(&["ul"])));
        let behind = list.unwrap_or_else(|| {
            let is_break = self.tag(label.behind).is_some_and(|tag| tag.opens(&["br"]));
            label.behind + usize::from(is_break)
        });
        let end = self.start(behind);
        reader.push(SegmentKind::Heading, self.start(at)..end, end..end);
        let Some(list) = list else {
            return Some(behind);
        };
        let end = self.start(list + 1);
        reader.push(SegmentKind::List, self.start(list)..end, end..end);
        Some(list + 1)
    }

    fn read_line(&self, at: usize, reader: &mut SegmentBuilder<'a>) -> Option<usize> {
        let (section, value, behind) = self.line(at)?;
        let (end, behind) = (self.start(behind), self.behind_line(behind));
        if !reader.has(SegmentKind::Section(section)) {
            reader.push(
                SegmentKind::Section(section),
                self.start(at)..self.start(behind),
                value.min(end)..end,
            );
        }
        Some(behind)
    }

    /// The item at a token: its section, where its value starts, the token at which it ends.
    fn line(&self, at: usize) -> Option<(Section, usize, usize)> {
        let label = self.label(self.inside(at))?;
        let section = label.section().filter(|section| section.is_line())?;
        let start = self.start(label.behind);
        let mut value = start;
        if !label.has_colon {
            let colon = self.behind_blank(label.behind);
            let text = self.body[self.start(colon)..self.end].trim_start();
            let rest = text.strip_prefix(':').filter(|_| self.tag(colon) == Some(Tag::Text))?;
            value = self.end - rest.len();
        }
        value += usize::from(self.body[value..].starts_with(' '));
        let ends = |at: &usize| {
            self.tag(*at).is_none_or(|tag| {
                let edges = ["li", "ul", "ol", "div"];
                tag.opens(&edges) || tag.closes(&edges) || self.is_heading(*at) || self.is_note(*at)
            })
        };
        let behind = (label.behind..).find(ends)?;
        Some((section, value, behind))
    }

    /// The token behind a line that ends at a token. The adapters of 2025-03 end it with another `<li>`.
    fn behind_line(&self, at: usize) -> usize {
        let is_end = self.tag(at).is_some_and(|tag| tag.closes(&["li"]));
        let is_stray = || {
            let next = self.behind_blank(at + 1);
            let is_next = |tag: Tag<'_>| tag.opens(&["li"]) || tag.closes(&LISTS);
            self.tag(at).is_some_and(|tag| tag.opens(&["li"])) && self.tag(next).is_some_and(is_next)
        };
        at + usize::from(is_end || is_stray())
    }

    fn read_block(&self, at: usize, label: &Label, reader: &mut SegmentBuilder<'a>) -> Option<usize> {
        let section = label.section().filter(|section| section.is_block())?;
        let Some(Tag::Open(name)) = self.tag(at) else {
            return None;
        };
        let mut depth = 1;
        let mut end = label.behind;
        loop {
            let tag = self.tag(end)?;
            if tag.closes(&[name]) {
                depth -= 1;
            } else if tag.opens(&[name]) {
                depth += 1;
            }
            if depth == 0 {
                break;
            }
            if self.is_block(end) {
                // It has lost its end.
                return None;
            }
            end += 1;
        }
        let value = self.behind_break(label.behind).min(end);
        let mut behind = end + 1;
        if has_gap(section) {
            let next = self.behind_blank(behind);
            if self.tag(next).is_some_and(|tag| tag.opens(&["br"])) {
                behind = next + 1;
            }
        }
        if !reader.has(SegmentKind::Section(section)) {
            let range = self.start(at)..self.start(behind);
            reader.push(SegmentKind::Section(section), range, self.start(value)..self.start(end));
        }
        Some(behind)
    }

    /// The token at which the text of an agent note ends that goes on at `at`: the heading, where there is one.
    fn behind_note(&self, at: usize, reader: &SegmentBuilder<'_>) -> usize {
        let is_below = self.last_heading.is_some_and(|heading| heading >= at);
        let has_heading = is_below && !reader.has(SegmentKind::Heading);
        let ends = |at: &usize| {
            let is_kept = || self.container_label(*at).is_some_and(|label| label.is(KEPT));
            let is_line = || self.tag(*at).is_some_and(|tag| tag.opens(&["li"])) && self.line(*at).is_some();
            self.is_heading(*at) || is_kept() || !has_heading && (is_line() || self.is_block(*at))
        };
        (at..self.tokens.len()).find(ends).unwrap_or(self.tokens.len())
    }

    /// The token behind the line break that follows a label, if one does.
    fn behind_break(&self, at: usize) -> usize {
        let mut next = self.behind_blank(at);
        if self.tag(next) == Some(Tag::Text) && self.text(next).trim() == ":" {
            next = self.behind_blank(next + 1);
        }
        if self.tag(next).is_some_and(|tag| tag.opens(&["br"])) { next + 1 } else { at }
    }

    fn is_heading(&self, at: usize) -> bool {
        self.label(at).is_some_and(|label| label.is(HEADING))
    }

    fn is_note(&self, at: usize) -> bool {
        self.label(at).is_some_and(|label| label.is(NOTE))
    }

    fn is_block(&self, at: usize) -> bool {
        let section = self.container_label(at).and_then(|label| label.section());
        section.is_some_and(Section::is_block)
    }

    /// What a block that starts at a token is called.
    fn container_label(&self, at: usize) -> Option<Label> {
        self.tag(at)?.opens(&CONTAINERS).then(|| self.label(self.inside(at)))?
    }

    /// The emphasised words at a token.
    fn label(&self, at: usize) -> Option<Label> {
        let is_bold = self.tag(at)?.opens(&BOLD) && self.tag(at + 2)?.closes(&BOLD);
        if !is_bold || self.tag(at + 1) != Some(Tag::Text) {
            return None;
        }
        let words = decode_entities(self.text(at + 1));
        let bare = words.trim();
        let (words, has_colon) = match bare.strip_suffix(':') {
            Some(words) => (words.trim_end(), true),
            None => (bare, false),
        };
        Some(Label { words: words.to_owned(), has_colon, behind: at + 3 })
    }

    /// The first token inside the one at `at` that is no wrapper.
    fn inside(&self, at: usize) -> usize {
        let mut inside = at + 1;
        for _ in 0..=WRAPPER_DEPTH {
            inside = self.behind_blank(inside);
            if !self.tag(inside).is_some_and(|tag| tag.opens(&WRAPPERS)) {
                break;
            }
            inside += 1;
        }
        inside
    }

    fn tag(&self, at: usize) -> Option<Tag<'a>> {
        self.tokens.get(at).map(|token| token.tag)
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| &self.body[token.range.clone()])
    }

    /// Whether the CRM shows nothing of a token.
    fn is_blank(&self, at: usize) -> bool {
        match self.tag(at) {
            Some(Tag::Text) => self.text(at).trim().is_empty(),
            Some(tag) => tag == Tag::Comment,
            None => false,
        }
    }

    /// The first token from `at` on that is not blank.
    fn behind_blank(&self, mut at: usize) -> usize {
        while self.is_blank(at) {
            at += 1;
        }
        at
    }

    fn start(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(self.end, |token| token.range.start)
    }
}
