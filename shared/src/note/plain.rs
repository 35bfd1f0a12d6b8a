//! The plain-text format.
//!
//! Each section starts on a line of its own. A line of a value that could be read as one of ours is indented by two
//! more spaces.

use std::collections::BTreeMap;

use super::{
    Section,
    markup::{Entry, Markup, Segment, SegmentBuilder, SegmentKind, end_of_lines, insert},
    section::Shape,
    text::{BodyLines, bare, map_lines},
};

/// The starts of an agent note: ours, App Connect's, and that of its adapters of March 2025.
const NOTES: [&str; 3] = ["- Note:", "- Agent notes:", "- Agent note:"];
const KEPT: &str = "- Note edited in the CRM:";
/// The line below an agent note that foreign text follows.
const NOTE_END: &str = "--- NOTE END";

pub(super) struct Plain;

impl Markup for Plain {
    fn write(&self, entry: Entry<'_>, over: Option<&str>) -> String {
        let (label, value) = (entry.section.traits().label, entry.value);
        match entry.section.shape() {
            Shape::Header => format!("{} {}\n", NOTES[0], encode(value)),
            Shape::Line | Shape::Link => format!("- {label}: {value}\n"),
            Shape::Block => {
                let above = match over {
                    Some(over) => above_label(over),
                    None if entry.section == Section::Journey => "",
                    None => "\n",
                };
                format!("{above}- {label}:\n{}\n{}\n", encode(value), end_of_block(entry.section))
            }
        }
    }

    fn keep(&self, encoded: &str) -> String {
        let end = if encoded.ends_with('\n') { "" } else { "\n" };
        format!("{KEPT} {encoded}{end}")
    }

    fn read<'a>(&self, body: &'a str) -> Vec<Segment<'a>> {
        let plain = PlainBody::new(body);
        let mut segments = SegmentBuilder::new(body);
        let mut at = 0;
        while at < plain.lines.count() {
            at = plain.read(at, &mut segments);
        }
        segments.finish()
    }

    fn decode(&self, section: Section, encoded: &str) -> String {
        match section.shape() {
            Shape::Line | Shape::Link => encoded.to_owned(),
            Shape::Header => map_lines(bare(encoded), decode_line),
            Shape::Block => map_lines(encoded, decode_line).trim_end_matches('\n').to_owned(),
        }
    }

    fn place(&self, segments: &mut Vec<Segment<'_>>, entry: Entry<'_>) {
        let written = self.write(entry, None);
        let at = match entry.section.shape() {
            Shape::Header => {
                let below = segments.iter().find(|segment| !segment.raw.trim().is_empty());
                if below.is_some_and(|segment| !ends_note(segment)) {
                    insert(self, segments, 0, SegmentKind::NoteEnd, format!("{NOTE_END}\n"));
                }
                0
            }
            Shape::Line | Shape::Link => end_of_lines(segments),
            Shape::Block => segments.len(),
        };
        insert(self, segments, at, SegmentKind::Section(entry.section), written);
    }

    fn is_open_ended(&self) -> bool {
        false
    }

    fn is_line_based(&self) -> bool {
        true
    }
}

/// Returns `true` if a segment ends an agent note above it.
fn ends_note(segment: &Segment<'_>) -> bool {
    match segment.kind {
        SegmentKind::Foreign => {
            let first = segment.raw.lines().find(|line| !line.trim().is_empty());
            first.is_some_and(ends_text)
        }
        _ => true,
    }
}

/// The part of a block's raw text above its label.
fn above_label(raw: &str) -> &str {
    &raw[..raw.find("- ").unwrap_or_default()]
}

fn end_of_block(section: Section) -> &'static str {
    match section {
        Section::Journey => "--- JOURNEY END",
        _ => "--- END",
    }
}

fn encode(value: &str) -> String {
    map_lines(value, |line, out| {
        if is_like_ours(line) {
            out.push_str("  ");
        }
        out.push_str(line);
    })
}

fn decode_line(line: &str, out: &mut String) {
    let bare = line.strip_prefix("  ").filter(|bare| is_like_ours(bare));
    out.push_str(bare.unwrap_or(line));
}

/// Returns `true` if a line could be read as one of ours without its indent.
fn is_like_ours(line: &str) -> bool {
    let line = line.trim_start_matches(' ');
    line.starts_with("- ") || line.starts_with("---")
}

/// Returns `true` if a line ends the text of a note above it. So does a block, which is known by more than a line.
fn ends_text(line: &str) -> bool {
    let is_line = || Label::of(line).is_some_and(|label| label.section.is_line());
    line.trim_end() == NOTE_END || line.starts_with(KEPT) || is_line()
}

/// The length of the words before an agent note.
fn note_prefix(line: &str) -> Option<usize> {
    let prefix = NOTES.iter().find(|prefix| line.starts_with(**prefix))?;
    Some(prefix.len() + usize::from(line[prefix.len()..].starts_with(' ')))
}

/// A label at the start of a line.
struct Label {
    section: Section,
    /// The length in bytes up to the value.
    length: usize,
}

impl Label {
    fn of(line: &str) -> Option<Label> {
        let (label, rest) = line.strip_prefix("- ")?.split_once(':')?;
        let section = Section::labelled(label)?;
        let length = line.len() - rest.strip_prefix(' ').unwrap_or(rest).len();
        (section.is_line() || rest.trim().is_empty()).then_some(Label { section, length })
    }
}

/// The lines of a body, with the ends of its blocks.
struct PlainBody<'a> {
    lines: BodyLines<'a>,
    /// For each line that starts a block and has an end, the line that ends it.
    block_ends: BTreeMap<usize, usize>,
}

impl<'a> PlainBody<'a> {
    fn new(body: &'a str) -> PlainBody<'a> {
        let lines = BodyLines::new(body);
        let mut block_ends = BTreeMap::new();
        // The next ends below the current line. A block ends at the first end below it. If another block starts
        // before that end, the block has lost its own end.
        let (mut end, mut journey_end) = (None, None);
        for (at, line) in lines.bare_from(0).rev() {
            let text = line.trim_end();
            match Label::of(text) {
                Some(Label { section, .. }) if section.is_block() => {
                    if let Some(end) = if section == Section::Journey { journey_end } else { end } {
                        block_ends.insert(at, end);
                    }
                    (end, journey_end) = (None, None);
                }
                _ if text == end_of_block(Section::AiNote) => end = Some(at),
                _ if text == end_of_block(Section::Journey) => journey_end = Some(at),
                _ => {}
            }
        }
        PlainBody { lines, block_ends }
    }

    /// Reads what starts at a line. Returns the line below it.
    fn read(&self, at: usize, segments: &mut SegmentBuilder<'a>) -> usize {
        let lines = &self.lines;
        let line = lines.bare(at);
        let note = SegmentKind::Section(Section::AgentNote);
        if let Some(prefix) = note_prefix(line) {
            if segments.has(note) {
                return at + 1;
            }
            let below = self.end_of_text(at + 1);
            segments.push(note, lines.range(at, below), lines.offset(at) + prefix..lines.offset(below));
            if below < lines.count() && lines.bare(below).trim_end() == NOTE_END {
                let range = lines.range(below, below + 1);
                segments.push(SegmentKind::NoteEnd, range.clone(), range);
                return below + 1;
            }
            return below;
        }
        if line.starts_with(KEPT) && segments.has(note) {
            let below = self.end_of_text(at + 1);
            segments.push(SegmentKind::Kept, lines.range(at, below), lines.range(at, below));
            return below;
        }
        let Some(label) = Label::of(line) else {
            return at + 1;
        };
        let kind = SegmentKind::Section(label.section);
        if segments.has(kind) {
            return self.block_ends.get(&at).unwrap_or(&at) + 1;
        }
        if label.section.is_line() {
            let start = lines.offset(at);
            segments.push(kind, lines.range(at, at + 1), start + label.length..start + line.len());
            return at + 1;
        }
        let Some(&end) = self.block_ends.get(&at) else {
            return at + 1;
        };
        let has_gap = self.has_gap(at) && lines.offset(at - 1) >= segments.done();
        let first = if has_gap { at - 1 } else { at };
        segments.push(kind, lines.range(first, end + 1), lines.range(at + 1, end));
        end + 1
    }

    /// Returns `true` if the line above a block's label is the empty one that belongs to it.
    fn has_gap(&self, label: usize) -> bool {
        let is_journey = Label::of(self.lines.bare(label).trim_end())
            .is_some_and(|label| label.section == Section::Journey);
        !is_journey && label > 0 && self.lines.bare(label - 1).is_empty()
    }

    /// The first line from `from` on that is not text of a note.
    fn end_of_text(&self, from: usize) -> usize {
        let is_block = |at: usize| self.block_ends.contains_key(&at);
        let end = self.lines.bare_from(from).find(|(at, line)| is_block(*at) || ends_text(line));
        match end {
            Some((at, _)) if is_block(at) && at > from && self.has_gap(at) => at - 1,
            Some((at, _)) => at,
            None => self.lines.count(),
        }
    }
}
