//! The Markdown format.
//!
//! Each section starts with `#` or `**` at the start of a line. A line of a value that does so gets a backslash.

use super::{
    Section,
    markup::{Entry, Markup, Segment, SegmentBuilder, SegmentKind, end_of_lines, find, insert},
    section::Shape,
    text::{BodyLines, bare, map_lines},
};

const NOTE: &str = "## Agent notes";
const HEADING: &str = "## Call details";
const KEPT: &str = "### Note edited in the CRM";

pub(super) struct Markdown;

impl Markup for Markdown {
    fn write(&self, entry: Entry<'_>, _over: Option<&str>) -> String {
        let (label, value) = (entry.section.traits().label, entry.value);
        match entry.section.shape() {
            Shape::Header => format!("{NOTE}\n{}\n\n", encode(value)),
            Shape::Line | Shape::Link => format!("**{label}**: {}\n", encode_inline(value)),
            Shape::Block => format!("### {label}\n{}\n", encode(value)),
        }
    }

    fn keep(&self, encoded: &str) -> String {
        format!("{KEPT}\n{}\n\n", encoded.trim_end_matches(['\r', '\n']))
    }

    fn read<'a>(&self, body: &'a str) -> Vec<Segment<'a>> {
        let markdown = MarkdownBody::new(body);
        let mut segments = SegmentBuilder::new(body);
        let mut at = 0;
        while at < markdown.lines.count() {
            at = markdown.read(at, &mut segments);
        }
        segments.finish()
    }

    fn decode(&self, section: Section, encoded: &str) -> String {
        match section.shape() {
            Shape::Line | Shape::Link => decode_inline(encoded),
            // `write` puts an empty line below the note.
            Shape::Header => map_lines(bare(bare(encoded)), decode_line),
            Shape::Block => map_lines(encoded, decode_line).trim_end_matches('\n').to_owned(),
        }
    }

    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
        let written = self.write(entry, None);
        let at = match entry.section.shape() {
            Shape::Header => find(segments, SegmentKind::Heading).unwrap_or_else(|| {
                insert(self, segments, 0, SegmentKind::Heading, format!("{HEADING}\n"));
                0
            }),
            Shape::Line | Shape::Link => end_of_lines(segments),
            Shape::Block => segments.len(),
        };
        insert(self, segments, at, SegmentKind::Section(entry.section), written);
    }

    fn is_open_ended(&self) -> bool {
        true
    }

    fn is_line_based(&self) -> bool {
        true
    }
}

fn encode(value: &str) -> String {
    map_lines(value, |line, out| match split_marks(line) {
        Some((indent, marks)) => {
            out.push_str(indent);
            out.push('\\');
            out.push_str(&encode_inline(marks));
        }
        None => out.push_str(&encode_inline(line)),
    })
}

fn decode_line(line: &str, out: &mut String) {
    match split_marks(line).and_then(|(indent, marks)| Some((indent, marks.strip_prefix('\\')?))) {
        Some((indent, bare)) => {
            out.push_str(indent);
            out.push_str(&decode_inline(bare));
        }
        None => out.push_str(&decode_inline(line)),
    }
}

/// Splits a line that starts with a mark (`#`, `**`), or with backslashes and a mark, into its indent and the rest.
fn split_marks(line: &str) -> Option<(&str, &str)> {
    let marks = line.trim_start_matches(' ');
    let bare = marks.trim_start_matches('\\');
    let indent = &line[..line.len() - marks.len()];
    // Four spaces make the line code, in which a mark is plain text.
    (indent.len() < 4 && (bare.starts_with('#') || bare.starts_with("**"))).then_some((indent, marks))
}

/// Writes `<` as `&lt;`. Where the text itself has `&lt;`, `&amp;lt;` and so on, `&` becomes `&amp;`.
fn encode_inline(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        match char {
            '<' => encoded.push_str("&lt;"),
            '&' if is_escape(&text[at + 1..]) => encoded.push_str("&amp;"),
            char => encoded.push(char),
        }
    }
    encoded
}

fn decode_inline(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        (decoded, rest) = match (behind.strip_prefix("lt;"), behind.strip_prefix("amp;")) {
            (Some(behind), _) => (decoded + "<", behind),
            (_, Some(less)) if is_escape(less) => (decoded + "&", less),
            _ => (decoded + "&", behind),
        };
    }
    decoded + rest
}

/// Returns `true` if the text behind a `&` makes it the start of `&lt;`, `&amp;lt;`, `&amp;amp;lt;`, ...
fn is_escape(behind: &str) -> bool {
    behind.trim_start_matches("amp;").starts_with("lt;")
}

/// The lines of a body, with its last heading.
struct MarkdownBody<'a> {
    lines: BodyLines<'a>,
    last_heading: Option<usize>,
}

impl<'a> MarkdownBody<'a> {
    fn new(body: &'a str) -> MarkdownBody<'a> {
        let lines = BodyLines::new(body);
        let last_heading = lines.bare_from(0).rfind(|(_, line)| line.trim_end() == HEADING);
        MarkdownBody { last_heading: last_heading.map(|(at, _)| at), lines }
    }

    /// Reads what starts at a line. Returns the line below it.
    fn read(&self, at: usize, segments: &mut SegmentBuilder<'a>) -> usize {
        let lines = &self.lines;
        let line = lines.bare(at);
        let note = SegmentKind::Section(Section::AgentNote);
        match line.trim_end() {
            NOTE if !segments.has(note) => {
                let below = self.end_of_note(at + 1, segments);
                segments.push(note, lines.range(at, below), lines.range(at + 1, below));
                return below;
            }
            HEADING if !segments.has(SegmentKind::Heading) => {
                segments.push(SegmentKind::Heading, lines.range(at, at + 1), lines.range(at + 1, at + 1));
            }
            KEPT if segments.has(note) => {
                let below = self.end_of_note(at + 1, segments);
                segments.push(SegmentKind::Kept, lines.range(at, below), lines.range(at + 1, below));
                return below;
            }
            _ => {}
        }
        if let Some((section, length)) = labelled_line(line) {
            if !segments.has(SegmentKind::Section(section)) {
                let start = lines.offset(at);
                let value = start + length..start + line.len();
                segments.push(SegmentKind::Section(section), lines.range(at, at + 1), value);
            }
        } else if let Some(section) = labelled_block(line) {
            let below = lines.bare_from(at + 1).find(|(_, line)| ends_block(line));
            let below = below.map_or(lines.count(), |(below, _)| below);
            if !segments.has(SegmentKind::Section(section)) {
                let value = lines.range(at + 1, below);
                segments.push(SegmentKind::Section(section), lines.range(at, below), value);
            }
            return below;
        }
        at + 1
    }

    /// The first line from `from` on that is not text of an agent note: the heading, if there is one below.
    fn end_of_note(&self, from: usize, segments: &SegmentBuilder<'_>) -> usize {
        let is_below = self.last_heading.is_some_and(|heading| heading >= from);
        let has_heading = is_below && !segments.has(SegmentKind::Heading);
        let ends_note = |line: &str| {
            let is_ours = || labelled_line(line).is_some() || labelled_block(line).is_some();
            matches!(line.trim_end(), HEADING | KEPT) || !has_heading && is_ours()
        };
        let end = self.lines.bare_from(from).find(|(_, line)| ends_note(line));
        end.map_or(self.lines.count(), |(at, _)| at)
    }
}

/// Returns `true` for any heading, and for a line of ours.
fn ends_block(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    let is_heading = (1..=6).contains(&level) && (rest.is_empty() || rest.starts_with(' '));
    is_heading || labelled_line(line).is_some()
}

/// The section of a single line, and the length in bytes up to its value.
fn labelled_line(line: &str) -> Option<(Section, usize)> {
    let (label, rest) = line.strip_prefix("**")?.split_once("**:")?;
    let section = Section::labelled(label).filter(|section| section.is_line())?;
    Some((section, line.len() - rest.strip_prefix(' ').unwrap_or(rest).len()))
}

/// The section of a block's heading.
fn labelled_block(line: &str) -> Option<Section> {
    Section::labelled(line.strip_prefix("### ")?.trim_end()).filter(|section| section.is_block())
}
