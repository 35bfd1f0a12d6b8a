//! Splits markup into tags, comments and text, and decodes the text that it shows.
//!
//! Differences that do not count: `<strong>` is `<b>`; attributes, case and `/>` do not matter. Line ends next to a tag
//! that breaks lines are layout. `<br>` and the edges of paragraphs are line breaks. Entities are the characters that
//! they stand for. Comments show nothing.

use std::ops::Range;

/// The elements that show something other than text. Each counts as one character.
const OBJECTS: [&str; 6] = ["img", "video", "audio", "iframe", "object", "input"];

/// A tag, a comment, or the text up to the next one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) tag: Tag<'a>,
    pub(super) range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tag<'a> {
    Open(&'a str),
    Close(&'a str),
    /// Text, up to the next tag or comment.
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

    pub(super) fn is_comment(&self) -> bool {
        matches!(self, Tag::Comment | Tag::OpenComment)
    }

    /// Returns `true` if the tag starts a new line, so that line ends next to it are layout.
    fn breaks_line(&self) -> bool {
        self.opens(&["br"]) || self.is_paragraph_edge()
    }

    /// Returns `true` for the edges of elements that stand on lines of their own.
    fn is_paragraph_edge(&self) -> bool {
        let names = ["p", "div", "li", "ul", "ol"];
        self.opens(&names) || self.closes(&names)
    }
}

/// Splits markup into tokens. Their ranges follow each other without a gap.
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

/// The comment at the start of a text, and its length in bytes.
///
/// Comments end where the HTML standard says (section 13.2.5, "Tokenization"): at `-->` or `--!>`, and `<!-->` is a
/// whole comment. Doctypes, conditions (`<![if !mso]>`) and processing instructions end at the first `>`. A CDATA
/// section ends at `]]>`, as in XML: HTML would end it at the first `>` and show the rest, with our words in it.
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
    let comments = tokens(markup).into_iter().filter(|token| token.tag.is_comment());
    comments.map(|token| &markup[token.range])
}

/// The tag at the start of a text, and its length in bytes.
fn tag(text: &str) -> Option<(Tag<'_>, usize)> {
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
    Some((if name_at == 1 { Tag::Close(name) } else { Tag::Open(name) }, length))
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
    let tokens: Vec<_> = tokens(markup).into_iter().filter(|token| !token.tag.is_comment()).collect();
    let mut text = String::with_capacity(markup.len());
    for (index, token) in tokens.iter().enumerate() {
        if token.tag.opens(&["br"]) {
            text.push('\n');
        } else if token.tag.opens(&OBJECTS) {
            text.push('\u{fffc}');
        } else if token.tag.is_paragraph_edge() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
        } else if token.tag == Tag::Text {
            let is_break = |index: Option<usize>| {
                let neighbour = index.and_then(|index| tokens.get(index));
                neighbour.is_none_or(|token| token.tag.breaks_line())
            };
            let mut raw = &markup[token.range.clone()];
            if is_break(index.checked_sub(1)) {
                raw = without_layout_above(raw);
            }
            if is_break(index.checked_add(1)) {
                raw = without_layout_below(raw);
            }
            text.push_str(&decode_text(raw));
        }
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
    let tokens = tokens(markup);
    let link = tokens.iter().find(|token| token.tag.opens(&["a"]))?;
    let tag = &markup[link.range.clone()];
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
