//! Splits markup into tags, comments and text, and decodes the text that it shows.
//!
//! Differences that do not count: `<strong>` is `<b>`; attributes, case and `/>` do not matter. Line ends next to a tag
//! that breaks lines are layout. `<br>` and the edges of paragraphs are line breaks. Entities are the characters that
//! they stand for. Comments show nothing.

use std::{iter, ops::Range};

/// An element, as far as it means something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// `<a>`
    Anchor,
    /// `<b>` or `<strong>`
    Bold,
    /// `<br>`
    Break,
    /// `<div>`
    Division,
    /// `<li>`
    Item,
    /// `<ol>`
    OrderedList,
    /// `<p>`
    Paragraph,
    /// `<span>`
    Span,
    /// `<ul>`
    UnorderedList,
    /// An element that shows something other than text. It counts as one character.
    Object,
    Other,
}

impl Element {
    /// The elements that stand on lines of their own.
    const PARAGRAPHS: [Element; 5] =
        [Element::Paragraph, Element::Division, Element::Item, Element::UnorderedList, Element::OrderedList];

    fn named(name: &str) -> Element {
        const NAMES: [(&str, Element); 16] = [
            ("br", Element::Break),
            ("b", Element::Bold),
            ("li", Element::Item),
            ("p", Element::Paragraph),
            ("div", Element::Division),
            ("a", Element::Anchor),
            ("span", Element::Span),
            ("strong", Element::Bold),
            ("ul", Element::UnorderedList),
            ("ol", Element::OrderedList),
            ("img", Element::Object),
            ("video", Element::Object),
            ("audio", Element::Object),
            ("iframe", Element::Object),
            ("object", Element::Object),
            ("input", Element::Object),
        ];
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map_or(Element::Other, |(_, element)| *element)
    }
}

/// A tag, a comment, or the text up to the next one. It is small, because a body can consist of a million tags.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) tag: Tag,
    start: u32,
    end: u32,
}

impl Token {
    fn new(tag: Tag, range: Range<usize>) -> Token {
        let [start, end] = [range.start, range.end]
            .map(|offset| u32::try_from(offset).expect("a body is shorter than 4 GiB"));
        Token { tag, start, end }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tag {
    Open(Element),
    Close(Element),
    /// Text, up to the next tag or comment.
    Text,
    /// A comment, doctype, processing instruction or CDATA section: the CRM shows nothing of it.
    Comment,
    /// A comment without an end. It hides the rest of the body.
    OpenComment,
}

impl Tag {
    pub(super) fn opens(self, elements: &[Element]) -> bool {
        matches!(self, Tag::Open(element) if elements.contains(&element))
    }

    pub(super) fn closes(self, elements: &[Element]) -> bool {
        matches!(self, Tag::Close(element) if elements.contains(&element))
    }

    pub(super) fn is_comment(self) -> bool {
        matches!(self, Tag::Comment | Tag::OpenComment)
    }

    /// Returns `true` if the tag starts a new line, so that line ends next to it are layout.
    fn breaks_line(self) -> bool {
        self.opens(&[Element::Break]) || self.is_paragraph_edge()
    }

    /// Returns `true` for the edges of elements that stand on lines of their own.
    fn is_paragraph_edge(self) -> bool {
        self.opens(&Element::PARAGRAPHS) || self.closes(&Element::PARAGRAPHS)
    }
}

/// Splits markup into tokens. Their ranges follow each other without a gap.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token> {
    // The end of the last token, and the tag behind the text that was returned.
    let (mut end, mut behind) = (0, None);
    iter::from_fn(move || {
        if let Some(tag) = behind.take() {
            return Some(tag);
        }
        let (start, mut at) = (end, end);
        while let Some(found) = text[at..].find('<') {
            at += found;
            let Some((tag, length)) = comment(&text[at..]).or_else(|| tag(&text[at..])) else {
                at += 1;
                continue;
            };
            end = at + length;
            let tag = Token::new(tag, at..end);
            if start == at {
                return Some(tag);
            }
            behind = Some(tag);
            return Some(Token::new(Tag::Text, start..at));
        }
        end = text.len();
        (start < end).then(|| Token::new(Tag::Text, start..end))
    })
}

/// The comment at the start of a text, and its length in bytes.
///
/// Comments end where the HTML standard says (section 13.2.5, "Tokenization"): at `-->` or `--!>`, and `<!-->` is a
/// whole comment. Doctypes, conditions (`<![if !mso]>`) and processing instructions end at the first `>`. A CDATA
/// section ends at `]]>`, as in XML: HTML would end it at the first `>` and show the rest, with our words in it.
fn comment(text: &str) -> Option<(Tag, usize)> {
    let length = if text.starts_with("<!--") {
        let is_end = |at: &usize| text[2..*at].ends_with("--") || text[4..*at].ends_with("--!");
        text.match_indices('>').map(|(at, _)| at).find(is_end).map(|at| at + 1)
    } else if text.starts_with("<![CDATA[") {
        text.find("]]>").map(|at| at + "]]>".len())
    } else if text.starts_with("<!") || text.starts_with("<?") {
        text.find('>').map(|at| at + 1)
    } else {
        return None;
    };
    Some(length.map_or((Tag::OpenComment, text.len()), |length| (Tag::Comment, length)))
}

/// The comments in some markup, from front to back.
pub(super) fn comments(markup: &str) -> impl Iterator<Item = &str> {
    tokens(markup).filter(|token| token.tag.is_comment()).map(|token| &markup[token.range()])
}

/// The tag at the start of a text, and its length in bytes.
fn tag(text: &str) -> Option<(Tag, usize)> {
    let inside = &text[1..];
    let name_at = usize::from(inside.starts_with('/'));
    let name = &inside[name_at..];
    let name = &name[..name.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(name.len())];
    if !name.starts_with(|char: char| char.is_ascii_alphabetic()) {
        return None;
    }
    // A tag ends before the next `<`. So no byte is read more than twice, and time stays linear.
    let inside = &inside[..inside.find('<').unwrap_or(inside.len())];
    let length = end_of_tag(inside).or_else(|| inside.find('>'))? + 2;
    let element = Element::named(name);
    Some((if name_at == 1 { Tag::Close(element) } else { Tag::Open(element) }, length))
}

/// The offset of the first `>` that is not quoted.
fn end_of_tag(inside: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in inside.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Returns markup that shows a text.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("<br>"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Returns the text that markup shows.
pub(super) fn decode(markup: &str) -> String {
    let mut tokens = tokens(markup).filter(|token| !token.tag.is_comment()).peekable();
    let mut text = String::with_capacity(markup.len());
    let mut is_break_above = true;
    while let Some(token) = tokens.next() {
        if token.tag.opens(&[Element::Break]) {
            text.push('\n');
        } else if token.tag.opens(&[Element::Object]) {
            text.push('\u{fffc}');
        } else if token.tag.is_paragraph_edge() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
        } else if token.tag == Tag::Text {
            let mut raw = &markup[token.range()];
            if is_break_above {
                raw = without_layout_above(raw);
            }
            if tokens.peek().is_none_or(|below| below.tag.breaks_line()) {
                raw = without_layout_below(raw);
            }
            text.push_str(&decode_text(raw));
        }
        is_break_above = token.tag.breaks_line();
    }
    text
}

/// Cuts off a line end at the start of a text, and the indent of the next line.
fn without_layout_above(text: &str) -> &str {
    let bare = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if text[..text.len() - bare.len()].contains('\n') { bare } else { text }
}

/// Cuts off a line end at the end of a text, and the spaces around it.
fn without_layout_below(text: &str) -> &str {
    let bare = text.trim_end_matches([' ', '\t', '\r', '\n']);
    if text[bare.len()..].contains('\n') { bare } else { text }
}

/// Returns the characters that a text with entities stands for.
///
/// `&nbsp;` becomes a plain space: editors write it where we wrote one of several spaces.
pub(super) fn decode_text(text: &str) -> String {
    htmlize::unescape(text.replace("&nbsp;", " ")).into_owned()
}

/// Returns the target of the first link in some markup.
pub(super) fn link_target(markup: &str) -> Option<String> {
    let link = tokens(markup).find(|token| token.tag.opens(&[Element::Anchor]))?;
    let tag = &markup[link.range()];
    let at = tag.to_ascii_lowercase().find("href=")? + "href=".len();
    let value = &tag[at..tag.len() - 1];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(|char: char| char.is_ascii_whitespace()).next()?,
    };
    // Attributes have their own rule: `&copy=2` in a URL is a parameter.
    (!value.is_empty()).then(|| htmlize::unescape_attribute(value).into_owned())
}

/// Cuts off the line breaks, the layout and the edges of paragraphs around some markup.
pub(super) fn trim(markup: &str) -> &str {
    let edges = [Element::Break, Element::Paragraph, Element::Division];
    let is_edge = |token: &Token| match token.tag {
        Tag::Text => markup[token.range()].trim().is_empty(),
        tag => tag.opens(&edges) || tag.closes(&edges[1..]),
    };
    let mut inner = tokens(markup).filter(|token| !is_edge(token)).map(Token::range);
    let Some(first) = inner.next() else { return "" };
    let last = inner.last().unwrap_or(first.clone());
    &markup[first.start..last.end]
}
