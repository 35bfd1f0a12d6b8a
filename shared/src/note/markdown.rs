//! Markdown.
//!
//! Items start with `#` or `**` at the start of a line. A line of a value that does gets a backslash.

use super::{
    Section,
    markup::{Entry, Markup, Segment, SegmentBuilder, SegmentKind, end_of_lines, insert},
    section::Shape,
    text::{bare, lines, map_lines},
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
        let lines = Lines::new(body);
        let mut reader = SegmentBuilder::new(body);
        let mut at = 0;
        while at < lines.all.len() {
            at = lines.read(at, &mut reader);
        }
        reader.finish()
    }

    fn decode(&self, section: Section, encoded: &str) -> String {
        match section.shape() {
            Shape::Line | Shape::Link => decode_inline(encoded),
            // The line's own end, and the empty line below.
            Shape::Header => map_lines(bare(bare(encoded)), decode_line),
            Shape::Block => map_lines(encoded, decode_line).trim_end_matches('\n').to_owned(),
        }
    }

    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
        let written = self.write(entry, None);
        let at = match entry.section.shape() {
            Shape::Header => match segments.iter().position(|segment| segment.kind == SegmentKind::Heading) {
                Some(heading) => heading,
                None => {
                    insert(self, segments, 0, SegmentKind::Heading, format!("{HEADING}\n"));
                    0
                }
            },
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
    map_lines(value, |line, out| match forging(line) {
        Some(marks) => {
            out.push_str(&line[..line.len() - marks.len()]);
            out.push('\\');
            out.push_str(&encode_inline(marks));
        }
        None => out.push_str(&encode_inline(line)),
    })
}

fn decode_line(line: &str, out: &mut String) {
    match forging(line).and_then(|marks| Some((marks, marks.strip_prefix('\\')?))) {
        Some((marks, bare)) => {
            out.push_str(&line[..line.len() - marks.len()]);
            out.push_str(&decode_inline(bare));
        }
        None => out.push_str(&decode_inline(line)),
    }
}

/// A line from its mark on, when it starts with one, or with one behind backslashes: `# `, `\**`.
fn forging(line: &str) -> Option<&str> {
    let marks = line.trim_start_matches(' ');
    let bare = marks.trim_start_matches('\\');
    // Behind four spaces a mark is none.
    (line.len() - marks.len() < 4 && (bare.starts_with('#') || bare.starts_with("**"))).then_some(marks)
}

/// `<` becomes `&lt;`, and what would be read as that gets one more `amp;`.
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

/// Whether what follows a `&` makes it the start of `&lt;`, `&amp;lt;`, `&amp;amp;lt;`, ...
fn is_escape(behind: &str) -> bool {
    behind.trim_start_matches("amp;").starts_with("lt;")
}

/// A body's lines.
struct Lines<'a> {
    all: Vec<&'a str>,
    starts: Vec<usize>,
    /// The line of the last heading, if any.
    last_heading: Option<usize>,
}

impl<'a> Lines<'a> {
    fn new(body: &'a str) -> Lines<'a> {
        let all = lines(body);
        let mut starts = vec![0];
        for line in &all {
            starts.push(starts[starts.len() - 1] + line.len());
        }
        let last_heading = all.iter().rposition(|line| line.trim_end() == HEADING);
        Lines { all, starts, last_heading }
    }

    /// Reads what starts at a line; the line behind it.
    fn read(&self, at: usize, reader: &mut SegmentBuilder<'a>) -> usize {
        let line = bare(self.all[at]);
        let start = self.starts[at];
        let text = self.starts[at + 1];
        let note = SegmentKind::Section(Section::AgentNote);
        match line.trim_end() {
            NOTE if !reader.has(note) => {
                let behind = self.behind_note(at + 1, reader);
                reader.push(note, start..self.starts[behind], text..self.starts[behind]);
                return behind;
            }
            HEADING if !reader.has(SegmentKind::Heading) => {
                reader.push(SegmentKind::Heading, start..text, text..text)
            }
            KEPT if reader.has(note) => {
                let behind = self.behind_note(at + 1, reader);
                reader.push(SegmentKind::Kept, start..self.starts[behind], text..self.starts[behind]);
                return behind;
            }
            _ => {}
        }
        if let Some((section, length)) = labelled_line(line) {
            if !reader.has(SegmentKind::Section(section)) {
                reader.push(SegmentKind::Section(section), start..text, start + length..start + line.len());
            }
        } else if let Some(section) = labelled_block(line) {
            let behind = (at + 1..self.all.len()).find(|at| self.ends_block(*at)).unwrap_or(self.all.len());
            if !reader.has(SegmentKind::Section(section)) {
                reader.push(
                    SegmentKind::Section(section),
                    start..self.starts[behind],
                    text..self.starts[behind],
                );
            }
            return behind;
        }
        at + 1
    }

    /// The first line from `at` on that is not text of an agent note: the heading, where there is one.
    fn behind_note(&self, at: usize, reader: &SegmentBuilder<'_>) -> usize {
        let is_below = self.last_heading.is_some_and(|heading| heading >= at);
        let has_heading = is_below && !reader.has(SegmentKind::Heading);
        let ends = |line: &str| {
            let line = bare(line);
            let is_ours = || labelled_line(line).is_some() || labelled_block(line).is_some();
            matches!(line.trim_end(), HEADING | KEPT) || !has_heading && is_ours()
        };
        self.all[at..].iter().position(|line| ends(line)).map_or(self.all.len(), |count| at + count)
    }

    fn ends_block(&self, at: usize) -> bool {
        let line = bare(self.all[at]);
        let marks = line.trim_start_matches('#');
        let is_heading =
            (1..=6).contains(&(line.len() - marks.len())) && (marks.is_empty() || marks.starts_with(' '));
        is_heading || labelled_line(line).is_some()
    }
}

/// The section of a single line, and where its value starts.
fn labelled_line(line: &str) -> Option<(Section, usize)> {
    let (label, rest) = line.strip_prefix("**")?.split_once("**:")?;
    let section = Section::labelled(label).filter(|section| section.is_line())?;
    Some((section, line.len() - rest.strip_prefix(' ').unwrap_or(rest).len()))
}

fn labelled_block(line: &str) -> Option<Section> {
    Section::labelled(line.strip_prefix("### ")?.trim_end()).filter(|section| section.is_block())
}
