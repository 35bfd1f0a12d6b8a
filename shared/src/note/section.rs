//! The sections of a note, as data, in the order in which a note has them.
//!
//! Code that writes or reads a section depends on its shape, not on which section it is.

/// A section of a note. The order of the variants is the order in a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The note that the agent wrote.
    AgentNote,
    /// RingCentral's session id of the call.
    SessionId,
    /// The name of the user's own party.
    UserName,
    /// The number and extension of the user's own party.
    UserNumber,
    /// The custom subject of the call log.
    Subject,
    /// The phone number of the contact.
    ContactNumber,
    /// The start of the call, in the user's time zone.
    DateTime,
    /// The duration of the call.
    Duration,
    /// The result of the call, such as `Call connected`.
    Result,
    /// The link to the recording of the call.
    Recording,
    /// The link to the recording of a voicemail.
    Voicemail,
    /// The score of the call from RingCentral's AI Conversation Expert (ACE).
    AceScore,
    /// The link to the recording in ACE.
    AceLink,
    /// The notes of RingCentral's AI assistant.
    AiNote,
    /// The transcript of the call.
    Transcript,
    /// The transcript from ACE.
    AceTranscript,
    /// The summary from ACE.
    AceSummary,
    /// The summary from ACE, as a list.
    AceBulletedSummary,
    /// The legs of the call.
    Journey,
}

/// The shape of a section. Each format gives a shape its look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Several lines of text, above all other sections.
    Header,
    /// A label and a value on one line.
    Line,
    /// A line whose value is a link, if the format has links.
    Link,
    /// A label and several lines of text, below all lines and links.
    Block,
}

/// A row of the table of sections.
#[derive(Debug)]
pub(super) struct Traits {
    pub(super) section: Section,
    pub(super) shape: Shape,
    /// The label in plain text and Markdown. Each format has its own words for the header.
    pub(super) label: &'static str,
    pub(super) html_label: &'static str,
    /// Further labels that the section has in bodies of App Connect.
    pub(super) aliases: &'static [&'static str],
    /// The key of the user's setting that includes the section, and the setting's default.
    pub(super) setting: (&'static str, bool),
    /// The key under which its fingerprint is stored. It never changes.
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
            // In HTML the label is one of these. It depends on the direction of the call.
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
    /// Returns the name of the section: its label in plain text.
    pub fn label(self) -> &'static str {
        self.traits().label
    }

    pub(super) fn traits(self) -> &'static Traits {
        &SECTIONS[self as usize]
    }

    pub(super) fn shape(self) -> Shape {
        self.traits().shape
    }

    /// Returns `true` for a line or a link.
    pub(super) fn is_line(self) -> bool {
        matches!(self.shape(), Shape::Line | Shape::Link)
    }

    pub(super) fn is_block(self) -> bool {
        self.shape() == Shape::Block
    }

    /// Returns `true` if both sections belong to the same part of a note: header, lines and links, or blocks.
    pub(super) fn is_beside(self, other: Section) -> bool {
        self.is_line() && other.is_line() || self.shape() == other.shape()
    }

    /// Returns the section that has a label. The header has none.
    pub(super) fn labelled(label: &str) -> Option<Section> {
        Section::with_label(|known| known == label)
    }

    /// Returns the section that has a label, in upper or lower case.
    pub(super) fn labelled_in_any_case(label: &str) -> Option<Section> {
        Section::with_label(|known| known.eq_ignore_ascii_case(label))
    }

    fn with_label(is_label: impl Fn(&str) -> bool) -> Option<Section> {
        let has = |row: &&Traits| {
            let labels = [row.label, row.html_label];
            row.shape != Shape::Header && labels.iter().chain(row.aliases).any(|label| is_label(label))
        };
        SECTIONS.iter().find(has).map(|row| row.section)
    }

    /// Returns the section whose fingerprint is stored under a key.
    pub(super) fn of_key(key: &str) -> Option<Section> {
        SECTIONS.iter().find(|row| row.key == key).map(|row| row.section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_section_once_and_in_order() {
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
