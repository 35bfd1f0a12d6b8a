//! The parts of a telephone call: direction, parties, legs, duration, and the contact in the CRM.

use serde::{Deserialize, Serialize};

use super::ContactId;

/// The direction of a call, from the user's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The other party called the user.
    Inbound,
    /// The user called the other party.
    Outbound,
}

impl Direction {
    /// Returns RingCentral's word for the direction.
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
    /// The name that RingCentral shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The telephone number, in E.164 if RingCentral knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The number of a RingCentral extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_number: Option<String>,
}

impl Party {
    /// Returns `true` if neither name nor number is known.
    pub fn is_unknown(&self) -> bool {
        self.name.is_none() && self.phone_number.is_none() && self.extension_number.is_none()
    }
}

/// The longest telephone number, in characters.
const LONGEST_NUMBER: usize = 200;
/// The length from which on a number without a plus is no extension's of the caller's company, in characters.
const SHORTEST_NUMBER: usize = 7;

/// Returns `true` if a contact can have this number: it is no word such as `anonymous`.
pub fn is_number(text: &str) -> bool {
    text.chars().any(|digit| digit.is_ascii_digit()) && text.chars().count() <= LONGEST_NUMBER
}

/// Returns `true` if this number is an extension's of the caller's company, which no contact has.
pub fn is_extension_number(number: &str) -> bool {
    !number.starts_with('+') && number.len() < SHORTEST_NUMBER
}

/// The length of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallDuration {
    /// The call has not ended, or RingCentral has not reported its duration yet.
    Pending,
    /// The duration in seconds.
    Seconds(u64),
}

/// One stretch of a call between two parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The direction of this leg.
    pub direction: Direction,
    /// The calling party.
    pub from: Party,
    /// The called party.
    pub to: Party,
    /// RingCentral's `legType`: `Accept`, `PstnToSip`, ...
    pub leg_type: Option<String>,
    /// The duration in seconds.
    pub duration: Option<u64>,
}

impl Contact {
    /// Returns the contact with this id, of which nothing else is known.
    pub fn of(id: ContactId) -> Contact {
        Contact { id, kind: None, name: None, phone_number: None }
    }
}

/// A contact in the CRM: the other party of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The CRM's id of the contact.
    pub id: ContactId,
    /// The CRM's word for the kind of contact: `contact`, `lead`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The contact's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The telephone number by which the contact was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}
