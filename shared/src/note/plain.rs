//! Plain text.
//!
//! Items stand at the start of a line. A line of a value that could be taken for one is indented by two more spaces.

use std::ops::Range;

use super::{
    Section,
    markup::{Entry, Markup, Segment, SegmentBuilder, SegmentKind, end_of_lines, insert},
    section::Shape,
    text::{bare, ended, lines, map_lines},
};

/// The last two are App Connect's and its adapters' of 2025-03.
const NOTES: [&str; 3] = ["- Note:", "- Agent notes:", "- Agent note:"];
const KEPT: &str = "- Note edited in the CRM:";
/// Stands below a note that foreign text follows.
const NOTE_END: &str = "--- NOTE END";

pub(super) struct Plain;

impl Markup for Plain {
    fn write(&self, entry: Entry<'_>, over: Option<&str>) -> String {
        let (label, value) = (entry.section.traits().label, entry.value);
        match entry.section.shape() {
            Shape::Header => format!("{} {}\n", NOTES[0], encode(value)),
            Shape::Line | Shape::Link => format!("- {label}: {value}\n"),
            Shape::Block => {
                let lead = match over {
                    Some(over) => &over[..lead(over)],
                    None if entry.section == Section::Journey => "",
                    None => "\n",
                };
                format!("{lead}- {label}:\n{}\n{}\n", encode(value), end(entry.section))
            }
        }
    }

    fn keep(&self, encoded: &str) -> String {
        ended(&format!("{KEPT} {encoded}"))
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

/// Whether a segment ends a note that stands above it.
fn ends_note(segment: &Segment<'_>) -> bool {
    match segment.kind {
        SegmentKind::Foreign => {
            segment.raw.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| {
                let is_line = || Label::of(line).is_some_and(|label| label.section.is_line());
                line.trim_end() == NOTE_END || line.starts_with(KEPT) || is_line()
            })
        }
        _ => true,
    }
}

/// How much of a block's raw text is the line above it.
fn lead(raw: &str) -> usize {
    raw.find("- ").unwrap_or_default()
}

fn end(section: Section) -> &'static str {
    match section {
        Section::Journey => "--- JOURNEY END",
        _ => "--- END",
    }
}

fn encode(value: &str) -> String {
    map_lines(value, |line, out| {
        if is_forging(line) {
            out.push_str("  ");
        }
        out.push_str(line);
    })
}

fn decode_line(line: &str, out: &mut String) {
    let bare = line.strip_prefix("  ").filter(|bare| is_forging(bare));
    out.push_str(bare.unwrap_or(line));
}

/// Whether a line looks like one of ours, but for its indent.
fn is_forging(line: &str) -> bool {
    let line = line.trim_start_matches(' ');
    line.starts_with("- ") || line.starts_with("---")
}

/// A line that starts with one of our labels.
struct Label {
    section: Section,
    /// How long it is, to the start of what follows.
    length: usize,
}

impl Label {
    fn of(line: &str) -> Option<Label> {
        let (label, rest) = line.strip_prefix("- ")?.split_once(':')?;
        let section = Section::labelled(label)?;
        let colon = line.len() - rest.len();
        let length = if rest.starts_with(' ') { colon + 1 } else { colon };
        (section.is_line() || rest.trim().is_empty()).then_some(Label { section, length })
    }
}

/// A body's lines, and for each that heads a block, where the block ends.
struct Lines<'a> {
    all: Vec<&'a str>,
    starts: Vec<usize>,
    ends: Vec<Option<usize>>,
}

impl<'a> Lines<'a> {
    fn new(body: &'a str) -> Lines<'a> {
        let all = lines(body);
        let mut starts = vec![0];
        for line in &all {
            starts.push(starts[starts.len() - 1] + line.len());
        }
        let mut ends = vec![None; all.len()];
        // A block ends at the first end below it, but not below another block's head: then it has lost its own.
        let (mut block_end, mut journey_end) = (None, None);
        for (at, line) in all.iter().enumerate().rev() {
            let text = line.trim_end();
            match Label::of(text) {
                Some(Label { section: Section::Journey, .. }) => {
                    ends[at] = journey_end;
                    (block_end, journey_end) = (None, None);
                }
                Some(Label { section, .. }) if section.is_block() => {
                    ends[at] = block_end;
                    (block_end, journey_end) = (None, None);
                }
                _ if text == end(Section::AiNote) => block_end = Some(at),
                _ if text == end(Section::Journey) => journey_end = Some(at),
                _ => {}
            }
        }
        Lines { all, starts, ends }
    }

    /// Reads what starts at a line; the line behind it.
    fn read(&self, at: usize, reader: &mut SegmentBuilder<'a>) -> usize {
        let line = bare(self.all[at]);
        if let Some(prefix) = note_prefix(line) {
            let note = SegmentKind::Section(Section::AgentNote);
            if reader.has(note) {
                return at + 1;
            }
            let below = self.behind_text(at + 1);
            let start = self.starts[at];
            reader.push(note, start..self.starts[below], start + prefix..self.starts[below]);
            if self.all.get(below).is_some_and(|line| line.trim_end() == NOTE_END) {
                let range = self.range(below, below + 1);
                reader.push(SegmentKind::NoteEnd, range.clone(), range);
                return below + 1;
            }
            return below;
        }
        if line.starts_with(KEPT) && reader.has(SegmentKind::Section(Section::AgentNote)) {
            let behind = self.behind_text(at + 1);
            let range = self.range(at, behind);
            reader.push(SegmentKind::Kept, range.clone(), range);
            return behind;
        }
        let Some(label) = Label::of(line) else {
            return at + 1;
        };
        let kind = SegmentKind::Section(label.section);
        if reader.has(kind) {
            return self.ends[at].unwrap_or(at) + 1;
        }
        if label.section.is_line() {
            let start = self.starts[at];
            reader.push(kind, self.range(at, at + 1), start + label.length..start + line.len());
            return at + 1;
        }
        let Some(end) = self.ends[at] else {
            return at + 1;
        };
        let has_lead = self.has_lead(at) && self.starts[at - 1] >= reader.done();
        let first = if has_lead { at - 1 } else { at };
        reader.push(kind, self.range(first, end + 1), self.range(at + 1, end));
        end + 1
    }

    fn range(&self, from: usize, to: usize) -> Range<usize> {
        self.starts[from]..self.starts[to]
    }

    /// Whether the line above a block's head is the empty one that belongs to it.
    fn has_lead(&self, head: usize) -> bool {
        let is_journey =
            Label::of(self.all[head].trim_end()).is_some_and(|label| label.section == Section::Journey);
        !is_journey && head > 0 && bare(self.all[head - 1]).is_empty()
    }

    /// The first line from `at` on that is not text of a note.
    fn behind_text(&self, at: usize) -> usize {
        let end = (at..self.all.len()).find(|at| self.ends_text(*at)).unwrap_or(self.all.len());
        let is_block = end < self.all.len() && self.ends[end].is_some();
        if is_block && end > at && self.has_lead(end) { end - 1 } else { end }
    }

    fn ends_text(&self, at: usize) -> bool {
        let line = bare(self.all[at]);
        self.ends[at].is_some()
            || Label::of(line).is_some_and(|label| label.section.is_line())
            || line.starts_with(KEPT)
            || line.trim_end() == NOTE_END
    }
}

/// How long the words before an agent note are.
fn note_prefix(line: &str) -> Option<usize> {
    let prefix = NOTES.iter().find(|prefix| line.starts_with(**prefix))?;
    Some(prefix.len() + usize::from(line[prefix.len()..].starts_with(' ')))
}
