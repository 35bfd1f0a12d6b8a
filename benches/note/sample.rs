//! A call with all details and a long transcript.

use call_log::{
    model::{CallDetails, CallDuration, Direction, Party, SessionId, Settings, Zone},
    note::{Content, Fingerprints, Format, compose},
};

/// A note as the CRM stores it, with the fingerprints of what we wrote.
pub(crate) struct Note {
    pub(crate) body: String,
    pub(crate) base: Fingerprints,
}

/// Returns the details of a call whose note has about this many bytes.
pub(crate) fn details(bytes: usize) -> CallDetails {
    let line = "Ada: Good morning, what can I do for you? Bob: I would like a quote for 40 seats, please.\n";
    let party = |name: &str, number: &str| Party {
        name: Some(name.to_owned()),
        phone_number: Some(number.to_owned()),
        extension_number: None,
    };
    CallDetails {
        session: SessionId::new("4503991004"),
        direction: Some(Direction::Inbound),
        from: Some(party("BOB CLIENT", "+12135550111")),
        to: Some(party("Ada Agent", "+16505550100")),
        contact_number: Some("+12135550111".to_owned()),
        note: Some("Wants a quote\nCall back Friday".to_owned()),
        subject: Some("Inbound Call from Bob Client".to_owned()),
        start: "2025-03-12T15:45:25Z".parse().ok(),
        duration: Some(CallDuration::Seconds(65)),
        result: Some("Accepted".to_owned()),
        recording: Some("https://media.example/recording/4503991004".to_owned()),
        ai_note: Some("Bob asks for a quote for 40 seats.".to_owned()),
        transcript: Some(line.repeat(bytes.div_ceil(line.len()))),
        ..CallDetails::default()
    }
}

/// Returns the content of such a call's note.
pub(crate) fn content(bytes: usize) -> Content {
    Content::new(&details(bytes), &Settings::default(), Zone::UTC)
}

/// Returns such a note, with a sentence that a person added.
pub(crate) fn note(format: Format, bytes: usize) -> Note {
    let content = content(bytes);
    let body = format!("{}\nCalled him back, he is happy.\n", compose(format, &content));
    Note { body, base: content.fingerprints() }
}

/// Returns the content of an update of such a call.
pub(crate) fn update(bytes: usize) -> Content {
    let details = CallDetails {
        note: Some("Wants a quote for 40 seats\nCall back Friday at 10".to_owned()),
        ai_note: Some("Bob asks for a quote for 40 seats by Friday.".to_owned()),
        ..details(bytes)
    };
    Content::new(&details, &Settings::default(), Zone::UTC)
}
