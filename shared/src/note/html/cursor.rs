//! A position among the tokens of an HTML body.

use std::{iter, ops::Range};

use super::tokens::{Element, Tag, Token};

/// A position: at a token, or behind the last one. A cursor is a value; its methods return other cursors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'t, 'a> {
    body: &'a str,
    /// The tokens from here on.
    tokens: &'t [Token],
    /// The offset in `body` of the end of the last token.
    end: usize,
}

impl<'t, 'a> Cursor<'t, 'a> {
    /// Returns the position of the first token.
    pub(super) fn new(body: &'a str, tokens: &'t [Token]) -> Cursor<'t, 'a> {
        Cursor { body, tokens, end: tokens.last().map_or(0, |token| token.range().end) }
    }

    /// The tag here, or `None` behind the last token.
    pub(super) fn tag(self) -> Option<Tag> {
        self.tokens.first().map(|token| token.tag)
    }

    pub(super) fn opens(self, elements: &[Element]) -> bool {
        self.tag().is_some_and(|tag| tag.opens(elements))
    }

    pub(super) fn closes(self, elements: &[Element]) -> bool {
        self.tag().is_some_and(|tag| tag.closes(elements))
    }

    /// The text here. Empty if this is not text.
    pub(super) fn text(self) -> &'a str {
        match self.tokens.first() {
            Some(token) if token.tag == Tag::Text => &self.body[token.range()],
            _ => "",
        }
    }

    /// The offset in the body.
    pub(super) fn offset(self) -> usize {
        self.tokens.first().map_or(self.end, |token| token.range().start)
    }

    /// The range in the body from here to another position.
    pub(super) fn to(self, end: Cursor<'_, '_>) -> Range<usize> {
        self.offset()..end.offset()
    }

    /// The position behind this token.
    pub(super) fn next(self) -> Cursor<'t, 'a> {
        Cursor { tokens: self.tokens.get(1..).unwrap_or_default(), ..self }
    }

    /// Skips this token if it satisfies a condition.
    pub(super) fn skip_if(self, condition: impl Fn(Cursor<'t, 'a>) -> bool) -> Cursor<'t, 'a> {
        if condition(self) { self.next() } else { self }
    }

    /// Skips the tokens of which the CRM shows nothing.
    pub(super) fn skip_blank(self) -> Cursor<'t, 'a> {
        self.find(|position| !position.is_blank())
    }

    /// Returns the first position from here on that satisfies a condition, else the one behind the last token.
    pub(super) fn find(self, condition: impl Fn(Cursor<'t, 'a>) -> bool) -> Cursor<'t, 'a> {
        let end = Cursor { tokens: &[], ..self };
        self.positions().find(|position| condition(*position)).unwrap_or(end)
    }

    /// The positions of the tokens from here on.
    pub(super) fn positions(self) -> impl Iterator<Item = Cursor<'t, 'a>> {
        let is_at_token = |position: &Cursor<'t, 'a>| !position.tokens.is_empty();
        iter::successors(Some(self), |position| Some(position.next())).take_while(is_at_token)
    }

    /// Returns `true` if the CRM shows nothing of this token.
    pub(super) fn is_blank(self) -> bool {
        match self.tag() {
            Some(Tag::Text) => self.text().trim().is_empty(),
            Some(tag) => tag == Tag::Comment,
            None => false,
        }
    }
}
