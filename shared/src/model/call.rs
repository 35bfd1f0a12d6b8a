//! A telephone call, as far as a call log tells of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ContactId, SessionId};

/// Who started the call, seen from the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    /// As RingCentral writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Inbound => "Inbound",
            Direction::Outbound => "Outbound",
        }
    }
}

/// One end of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub name: Option<String>,
    /// E.164 where RingCentral knows it.
    pub phone_number: Option<String>,
    pub extension_number: Option<String>,
}

impl Party {
    pub fn is_unknown(&self) -> bool {
        self.name.is_none() && self.phone_number.is_none() && self.extension_number.is_none()
    }
}

/// How long the call lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallDuration {
    /// The call goes on, or RingCentral has not said yet.
    Pending,
    Seconds(u64),
}

/// One stretch of a call between two parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    pub direction: Direction,
    pub from: Party,
    pub to: Party,
    /// RingCentral's `legType`: `Accept`, `PstnToSip`, ...
    pub leg_type: Option<String>,
    /// Seconds.
    pub duration: Option<u64>,
}

/// The person at the other end, as the CRM knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub id: ContactId,
    /// The CRM's own word for the kind: `contact`, `lead`, ...
    pub kind: Option<String>,
    pub name: Option<String>,
    pub phone_number: Option<String>,
}

/// What a request tells about a call. All of it is optional: a fact that is absent leaves the log as it is.
/// A text fact is never empty. CallDetails that are parked are written down field by field, under these names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallDetails {
    /// Never written down: the key says it.
    #[serde(skip)]
    pub session: Option<SessionId>,
    pub direction: Option<Direction>,
    pub from: Option<Party>,
    pub to: Option<Party>,
    /// The contact's number.
    pub contact_number: Option<String>,
    /// What the agent wrote.
    pub note: Option<String>,
    /// The custom subject, when the user gave one.
    pub subject: Option<String>,
    pub start: Option<DateTime<Utc>>,
    pub duration: Option<CallDuration>,
    pub result: Option<String>,
    /// Link to the recording, or the placeholder `(pending...)`.
    pub recording: Option<String>,
    pub voicemail: Option<String>,
    pub ai_note: Option<String>,
    pub transcript: Option<String>,
    pub ace_score: Option<String>,
    pub ace_link: Option<String>,
    pub ace_transcript: Option<String>,
    pub ace_summary: Option<String>,
    pub ace_bulleted_summary: Option<String>,
    /// The legs in order; empty: not told.
    pub legs: Vec<Leg>,
}

impl CallDetails {
    /// The user's own end of the call.
    pub fn own_party(&self) -> Option<&Party> {
        match self.direction? {
            Direction::Inbound => self.to.as_ref(),
            Direction::Outbound => self.from.as_ref(),
        }
    }

    /// The other end of the call.
    pub fn other_party(&self) -> Option<&Party> {
        match self.direction? {
            Direction::Inbound => self.from.as_ref(),
            Direction::Outbound => self.to.as_ref(),
        }
    }
}
