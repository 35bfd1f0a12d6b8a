//! The result of a call, as HubSpot shows it: a status, and an outcome that people choose ("disposition").

use crate::model::Direction;

/// The statuses of a call (API reference, "Calls", property `hs_call_status`).
const COMPLETED: &str = "COMPLETED";
const NO_ANSWER: &str = "NO_ANSWER";
const BUSY: &str = "BUSY";
const CANCELED: &str = "CANCELED";
const FAILED: &str = "FAILED";
const IN_PROGRESS: &str = "IN_PROGRESS";

/// The ids of the outcomes that each account has at first (API reference, "Calls", property `hs_call_disposition`).
const CONNECTED: &str = "f240bbac-87c9-4f6e-bf70-924b57d47db7";
const LEFT_VOICEMAIL: &str = "b2cf5968-551e-4856-9783-52b3da59a7d0";
const NOT_ANSWERED: &str = "73a0d17f-1163-4015-bdd5-ec830791da20";
const WAS_BUSY: &str = "9d9162e7-6cf3-4944-bf63-4dff82258764";
const WRONG_NUMBER: &str = "17b47fee-58de-441e-a44c-c6300d46f273";

/// Returns status and outcome for RingCentral's result of a call. The outcome can be empty. `None`: the result is not known to
/// us, or the direction decides and is not known.
pub(super) fn of(result: &str, direction: Option<Direction>) -> Option<(&'static str, &'static str)> {
    Some(match result.trim().to_lowercase().as_str() {
        "accepted" | "call connected" | "answered elsewhere" => (COMPLETED, CONNECTED),
        "missed" | "no answer" => (NO_ANSWER, NOT_ANSWERED),
        "voicemail" | "sent to voicemail" | "reply" => match direction? {
            Direction::Inbound => (NO_ANSWER, NOT_ANSWERED),
            Direction::Outbound => (COMPLETED, LEFT_VOICEMAIL),
        },
        "busy" => (BUSY, WAS_BUSY),
        "hang up" | "stopped" | "abandoned" => (CANCELED, ""),
        "wrong number" => (COMPLETED, WRONG_NUMBER),
        "in progress" => (IN_PROGRESS, ""),
        "rejected"
        | "declined"
        | "blocked"
        | "call failed"
        | "call failure"
        | "internal error"
        | "not allowed"
        | "ip phone offline"
        | "no calling credit"
        | "restricted number"
        | "suspended account"
        | "international disabled"
        | "international restricted"
        | "account suspended"
        | "unknown"
        | "unavailable" => (FAILED, ""),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_decides_what_a_voicemail_means() {
        for (result, direction, expected) in [
            ("Accepted", None, Some((COMPLETED, CONNECTED))),
            (" missed ", None, Some((NO_ANSWER, NOT_ANSWERED))),
            ("Voicemail", Some(Direction::Inbound), Some((NO_ANSWER, NOT_ANSWERED))),
            ("Voicemail", Some(Direction::Outbound), Some((COMPLETED, LEFT_VOICEMAIL))),
            ("Voicemail", None, None),
            ("Hang Up", None, Some((CANCELED, ""))),
            ("Declined", Some(Direction::Inbound), Some((FAILED, ""))),
            ("Busy", None, Some((BUSY, WAS_BUSY))),
            ("Wrong Number", None, Some((COMPLETED, WRONG_NUMBER))),
            ("In Progress", None, Some((IN_PROGRESS, ""))),
            ("a word of next year", Some(Direction::Inbound), None),
            ("", None, None),
        ] {
            assert_eq!(of(result, direction), expected, "{result} {direction:?}");
        }
    }
}
