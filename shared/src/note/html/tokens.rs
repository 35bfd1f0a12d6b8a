//! Markup, as far as it matters: tags, comments, text between them, and what they say.
//!
//! `<strong>` is `<b>`; attributes, case and `/>` do not matter; line ends next to a tag are layout; `<br>` and the
//! edges of paragraphs are line breaks; entities are the characters that they stand for; comments say nothing.

use std::ops::Range;

/// What shows something that is not text; it counts as one character.
const OBJECTS: [&str; 6] = ["img", "video", "audio", "iframe", "object", "input"];

/// A tag, or the text up to the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) tag: Tag<'a>,
    pub(super) range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tag<'a> {
    Open(&'a str),
    Close(&'a str),
    /// Text between two of the others.
    Text,
    /// A comment, doctype, processing instruction or CDATA section: the CRM shows nothing of it.
    Comment,
    /// A comment without an end. It hides the rest of the body.
    OpenComment,
}

impl Tag<'_> {
    pub(super) fn opens(&self, names: &[&str]) -> bool {
        matches!(self, Tag::Open(name) if names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    pub(super) fn closes(&self, names: &[&str]) -> bool {
        matches!(self, Tag::Close(name) if names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// Whether it starts a new line, so that line ends beside it are layout.
    fn breaks(&self) -> bool {
        self.opens(&["br"]) || self.bounds()
    }

    /// Whether it is the edge of something that stands on lines of its own.
    fn bounds(&self) -> bool {
        let names = ["p", "div", "li", "ul", "ol"];
        self.opens(&names) || self.closes(&names)
    }
}

/// A text's tokens, from front to back.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(found) = text[at..].find('<') {
        at += found;
        match comment(&text[at..]).or_else(|| tag(&text[at..])) {
            Some((tag, length)) => {
                if start < at {
                    tokens.push(Token { tag: Tag::Text, range: start..at });
                }
                tokens.push(Token { tag, range: at..at + length });
                at += length;
                start = at;
            }
            None => at += 1,
        }
    }
    if start < text.len() {
        tokens.push(Token { tag: Tag::Text, range: start..text.len() });
    }
    tokens
}

/// The comment at the start of a text, and its length.
///
/// Comments end as in the HTML standard, section 13.2.5 "Tokenization": `-->` or `--!>`, and `<!-->` is a whole one.
/// Doctypes, conditions (`<![if !mso]>`) and processing instructions end at the first `>`. A CDATA section ends as in
/// XML, so that nothing inside it is taken for a tag.
fn comment(text: &str) -> Option<(Tag<'_>, usize)> {
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
    let is_comment = |token: &Token<'_>| matches!(token.tag, Tag::Comment | Tag::OpenComment);
    tokens(markup).into_iter().filter(is_comment).map(|token| &markup[token.range])
}

/// The tag at the start of a text, and its length.
fn tag(text: &str) -> Option<(Tag<'_>, usize)> {
    let inside = &text[1..];
    let name_at = usize::from(inside.starts_with('/'));
    let name = &inside[name_at..];
    let name = &name[..name.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(name.len())];
    if !name.starts_with(|char: char| char.is_ascii_alphabetic()) {
        return None;
    }
    // Up to the next tag: no tag is inside another, and nothing is looked at twice.
    let inside = &inside[..inside.find('<').unwrap_or(inside.len())];
    let length = end_of_tag(inside).or_else(|| inside.find('>'))? + 2;
    Some((if name_at == 1 { Tag::Close(name) } else { Tag::Open(name) }, length))
}

/// Where the first `>` is that is not quoted.
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

/// Text as markup that shows it.
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

/// The text that markup shows.
pub(super) fn decode(markup: &str) -> String {
    let is_shown = |token: &Token<'_>| !matches!(token.tag, Tag::Comment | Tag::OpenComment);
    let tokens: Vec<_> = tokens(markup).into_iter().filter(is_shown).collect();
    let mut text = String::with_capacity(markup.len());
    for (index, token) in tokens.iter().enumerate() {
        if token.tag.opens(&["br"]) {
            text.push('\n');
        } else if token.tag.opens(&OBJECTS) {
            text.push('\u{fffc}');
        } else if token.tag.bounds() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
        } else if token.tag == Tag::Text {
            let is_break = |index: Option<usize>| {
                index.and_then(|index| tokens.get(index)).is_none_or(|token| token.tag.breaks())
            };
            let mut raw = &markup[token.range.clone()];
            if is_break(index.checked_sub(1)) {
                raw = without_layout_before(raw);
            }
            if is_break(index.checked_add(1)) {
                raw = without_layout_behind(raw);
            }
            text.push_str(&decode_entities(raw));
        }
    }
    text
}

/// Without the line end that a text starts with, and what indents the next line.
fn without_layout_before(text: &str) -> &str {
    let bare = text.trim_start_matches([' ', '\t', '\r', '\n']);
    if text[..text.len() - bare.len()].contains('\n') { bare } else { text }
}

fn without_layout_behind(text: &str) -> &str {
    let bare = text.trim_end_matches([' ', '\t', '\r', '\n']);
    if text[bare.len()..].contains('\n') { bare } else { text }
}

/// The characters that a text with entities stands for. A no-break space, with which editors keep spaces apart, is a
/// space.
pub(super) fn decode_entities(text: &str) -> String {
    htmlize::unescape(without_no_break_spaces(text)).into_owned()
}

fn without_no_break_spaces(text: &str) -> String {
    text.replace("&nbsp;", " ")
}

/// Where the first link in some markup leads.
pub(super) fn link_target(markup: &str) -> Option<String> {
    let tokens = tokens(markup);
    let link = tokens.iter().find(|token| token.tag.opens(&["a"]))?;
    let tag = &markup[link.range.clone()];
    let at = tag.to_ascii_lowercase().find("href=")? + "href=".len();
    let value = &tag[at..tag.len() - 1];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(|char: char| char.is_ascii_whitespace()).next()?,
    };
    (!value.is_empty()).then(|| htmlize::unescape_attribute(without_no_break_spaces(value)).into_owned())
}

/// Markup without the line breaks, the layout and the edges of paragraphs around it.
pub(super) fn trim(markup: &str) -> &str {
    let tokens = tokens(markup);
    let is_edge = |token: &&Token<'_>| match token.tag {
        Tag::Text => markup[token.range.clone()].trim().is_empty(),
        tag => tag.opens(&["br", "p", "div"]) || tag.closes(&["p", "div"]),
    };
    let first = tokens.iter().find(|token| !is_edge(token));
    let last = tokens.iter().rfind(|token| !is_edge(token));
    match (first, last) {
        (Some(first), Some(last)) => &markup[first.range.start..last.range.end],
        _ => "",
    }
}
