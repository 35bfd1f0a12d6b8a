//! The parts of a CRM record that a call can be logged without.

use serde::{Deserialize, Serialize};

use super::CallDetails;

/// A part of a new record that is left out if the CRM accepts the record without it only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordPart {
    /// The values of the form fields, such as a deal.
    Form,
    /// The contact.
    Contact,
    /// The details that [`CallDetails::barest`] leaves out.
    Details,
    /// The owner. The CRM chooses one, usually the user to whom the credential belongs.
    Owner,
}

impl RecordPart {
    /// All parts, in the order in which they are left out.
    pub const ALL: [RecordPart; 4] =
        [RecordPart::Form, RecordPart::Contact, RecordPart::Details, RecordPart::Owner];

    /// Returns the name for log lines and the table.
    pub fn name(self) -> &'static str {
        match self {
            RecordPart::Form => "form",
            RecordPart::Contact => "contact",
            RecordPart::Details => "details",
            RecordPart::Owner => "owner",
        }
    }

    /// Returns the part with this name.
    pub fn named(name: &str) -> Option<RecordPart> {
        RecordPart::ALL.into_iter().find(|part| part.name() == name)
    }
}

impl CallDetails {
    /// Returns the details without which a record would not be the log of a call: its parties, its start and the note.
    #[must_use]
    pub fn barest(&self) -> CallDetails {
        let CallDetails { session, direction, from, to, contact_number, contact_name, note, start, .. } =
            self.clone();
        CallDetails {
            session,
            direction,
            from,
            to,
            contact_number,
            contact_name,
            note,
            start,
            ..CallDetails::default()
        }
    }
}
