//! What a note is made of, in the order in which it stands there. Sections are data: whoever writes or reads one asks
//! for its shape.

/// What can stand in a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    AgentNote,
    SessionId,
    UserName,
    UserNumber,
    Subject,
    ContactNumber,
    DateTime,
    Duration,
    Result,
    Recording,
    Voicemail,
    AceScore,
    AceLink,
    AiNote,
    Transcript,
    AceTranscript,
    AceSummary,
    AceBulletedSummary,
    Journey,
}

/// How a section stands in a note; how that looks is up to the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Many lines, above everything else.
    Header,
    /// One line.
    Line,
    /// One line that is a link, where it can be one.
    Link,
    /// Many lines, below all single lines.
    Block,
}

/// A section's row in the table.
#[derive(Debug)]
pub(super) struct Traits {
    pub(super) section: Section,
    pub(super) shape: Shape,
    /// In plain text and Markdown. The header's words are each format's own.
    pub(super) label: &'static str,
    pub(super) html_label: &'static str,
    /// What else it is called in bodies that others wrote.
    pub(super) aliases: &'static [&'static str],
    /// The user's switch, and what it is by default.
    pub(super) setting: (&'static str, bool),
    /// Its name where fingerprints are stored; never changes.
    pub(super) key: &'static str,
}

pub(super) static SECTIONS: [Traits; 19] = {
    use Section::*;
    use Shape::*;
    [
        row(AgentNote, Header, "Note", ("addCallLogNote", true), "note"),
        row(SessionId, Line, "Session Id", ("addCallSessionId", false), "session"),
        row(UserName, Line, "RingCentral user name", ("addRingCentralUserName", false), "user"),
        row(UserNumber, Line, "RingCentral number and extension", ("addRingCentralNumber", false), "number"),
        row(Subject, Line, "Summary", ("addCallLogSubject", true), "subject"),
        Traits {
            // In HTML it is one of these, after the call's direction: see `Content`.
            aliases: &["Caller phone number", "Recipient phone number"],
            ..row(ContactNumber, Line, "Contact Number", ("addCallLogContactNumber", true), "contact")
        },
        Traits {
            html_label: "Date/time",
            ..row(DateTime, Line, "Date/Time", ("addCallLogDateTime", true), "time")
        },
        row(Duration, Line, "Duration", ("addCallLogDuration", true), "duration"),
        row(Result, Line, "Result", ("addCallLogResult", true), "result"),
        row(Recording, Link, "Call recording link", ("addCallLogRecording", true), "recording"),
        row(Voicemail, Link, "Voicemail recording link", ("addCallLogRecording", true), "voicemail"),
        row(AceScore, Line, "Call score", ("addCallLogRingSenseRecordingAIScore", true), "score"),
        row(AceLink, Link, "ACE recording link", ("addCallLogRingSenseRecordingLink", true), "acelink"),
        Traits {
            aliases: &["AI note"],
            ..row(AiNote, Block, "AI Note", ("addCallLogAiNote", true), "ainote")
        },
        row(Transcript, Block, "Transcript", ("addCallLogTranscript", true), "transcript"),
        row(
            AceTranscript,
            Block,
            "ACE transcript",
            ("addCallLogRingSenseRecordingTranscript", true),
            "acetranscript",
        ),
        row(AceSummary, Block, "ACE summary", ("addCallLogRingSenseRecordingSummary", true), "acesummary"),
        row(
            AceBulletedSummary,
            Block,
            "ACE bulleted summary",
            ("addCallLogRingSenseRecordingBulletedSummary", true),
            "acebullets",
        ),
        row(Journey, Block, "Call journey", ("addCallLogLegs", true), "journey"),
    ]
};

const fn row(
    section: Section,
    shape: Shape,
    label: &'static str,
    setting: (&'static str, bool),
    key: &'static str,
) -> Traits {
    Traits { section, shape, label, html_label: label, aliases: &[], setting, key }
}

impl Section {
    pub(super) fn traits(self) -> &'static Traits {
        &SECTIONS[self as usize]
    }

    pub(super) fn shape(self) -> Shape {
        self.traits().shape
    }

    /// Whether it is one line, whatever that line is.
    pub(super) fn is_line(self) -> bool {
        matches!(self.shape(), Shape::Line | Shape::Link)
    }

    pub(super) fn is_block(self) -> bool {
        self.shape() == Shape::Block
    }

    /// Whether the two stand among each other.
    pub(super) fn is_beside(self, other: Section) -> bool {
        self.is_line() && other.is_line() || self.shape() == other.shape()
    }

    /// The section under a label, but for the header.
    pub(super) fn labelled(label: &str) -> Option<Section> {
        Section::with_label(|known| known == label)
    }

    /// The section under a label in whatever case.
    pub(super) fn labelled_in_any_case(label: &str) -> Option<Section> {
        Section::with_label(|known| known.eq_ignore_ascii_case(label))
    }

    fn with_label(is_it: impl Fn(&str) -> bool) -> Option<Section> {
        let has = |row: &&Traits| {
            let labels = [row.label, row.html_label];
            row.shape != Shape::Header && labels.iter().chain(row.aliases).any(|label| is_it(label))
        };
        SECTIONS.iter().find(has).map(|row| row.section)
    }

    /// The section under a stored name.
    pub(super) fn of_key(key: &str) -> Option<Section> {
        SECTIONS.iter().find(|row| row.key == key).map(|row| row.section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_sections_and_names_each_once() {
        for (index, row) in SECTIONS.iter().enumerate() {
            assert_eq!(row.section as usize, index, "{row:?}");
            assert_eq!(Section::of_key(row.key), Some(row.section));
            if row.shape != Shape::Header {
                for label in [row.label, row.html_label].iter().chain(row.aliases) {
                    assert_eq!(Section::labelled(label), Some(row.section), "{label}");
                }
            }
        }
        let ranks: Vec<_> =
            SECTIONS.iter().map(|row| (row.section.is_block(), row.section.is_line())).collect();
        assert!(
            ranks.is_sorted_by_key(|(is_block, is_line)| (*is_block, *is_line)),
            "lines stand before blocks"
        );
        assert_eq!((Section::labelled("Note"), Section::of_key("other")), (None, None));
    }
}
