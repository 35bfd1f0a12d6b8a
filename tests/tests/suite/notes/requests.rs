//! Notes in requests to the functions: texts are stored as they were typed, and markup in them has no effect.

use serde_json::json;
use tests::{
    messages::{LOGGED, QUEUED_UNTIL_LOGGED, UPDATED},
    pipedrive::API_KEY,
    test_app::{api_key, call, user},
};

use crate::harness::{Harness, USER, warning, with};

/// Returns the HTML of a text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[tokio::test]
async fn a_note_is_shown_as_the_text_that_was_typed_whatever_it_contains() {
    let harness = Harness::start().await;
    let long = "Sentence after sentence. ".repeat(3_600);
    for (number, note) in [
        "$& $1 $$ \\1 {0} %s ${note}",
        "<script>alert(1)</script> a<b & c>d",
        "</li></ul><b>Duration</b>: 9 hours &amp; &lt;",
        "שלום \u{202e}evil\u{202c} مرحبا",
        "zero\u{200b}width\u{200d}\u{feff}",
        "👩‍👩‍👧‍👦 e\u{301} 한국어 𝔘𝔫𝔦",
        "- Duration: too long\u{2028}- Result: angry",
        "NUL\u{0}in the middle",
        long.trim_end(),
    ]
    .into_iter()
    .enumerate()
    {
        let session = format!("{}", number + 1);
        let response = harness.post(&with(call(&session), json!({"note": note}))).await;
        assert_eq!(response.message(), LOGGED, "{note}");
        let body = || harness.crm.activities()[number]["note"].as_str().unwrap().to_owned();
        let shown = escaped(note);
        let expected: String = shown.chars().filter(|char| *char != '\0').take(2_000).collect();
        assert!(body().replace('\0', "").contains(&expected), "{note:?} is not in {:?}", body());

        // The same note again, then another, then the first: the body is the same as before.
        let logged = body();
        for next in [note, "Another note", note] {
            let response = harness.patch(&json!({"sessionId": session, "note": next})).await;
            assert_eq!(response.message(), UPDATED, "{note}");
            assert_eq!(response.body["updatedNote"], body(), "{note}");
        }
        assert_eq!(body(), logged, "{note:?}");
    }
}

#[tokio::test]
async fn a_note_that_is_too_long_for_the_crm_is_cut() {
    let harness = Harness::start().await;
    let response = harness.post(&with(call("1"), json!({"note": "Long. ".repeat(20_000)}))).await;
    assert_eq!((response.status, response.message()), (200, LOGGED));
    let note = harness.note();
    assert!(
        note.contains("Long. Long.") && note.contains("(cut)") && note.len() <= 100_000,
        "{}",
        note.len()
    );
}

/// An update is queued in the table before it is written to the CRM, and an item has a maximum size.
#[tokio::test]
async fn an_update_that_is_too_long_to_queue_is_a_413() {
    let harness = Harness::start().await;
    harness.post(&call("1")).await;
    for (session, message) in [("1", UPDATED), ("2", QUEUED_UNTIL_LOGGED)] {
        for size in [650_000, 1_000_000] {
            let response = harness
                .patch(&json!({"sessionId": session, "transcript": tests::test_app::random_letters(size)}))
                .await;
            let expected = warning(
                "The update is too long to store. Shorten its texts to about 350 kB and send it again.",
                &[],
            );
            assert_eq!((response.status, response.body), (413, expected), "{session} {size}");
        }
        // The rejected update does not block the next one.
        assert_eq!(harness.patch(&json!({"sessionId": session, "note": "Short."})).await.message(), message);
    }
    assert!(harness.note().contains("Short."));
}

#[tokio::test]
async fn only_a_safe_url_becomes_a_link() {
    let harness = Harness::start().await;
    for (number, (link, is_link)) in [
        ("https://rec.example/646?a=1&b=2", true),
        ("javascript:alert(1)", false),
        ("JaVaScRiPt:alert(1)//https://rec.example", false),
        ("data:text/html,<script>alert(1)</script>", false),
        ("https://rec.example/\" onclick=\"alert(1)", false),
        (" \u{1}javascript:alert(1)", false),
    ]
    .into_iter()
    .enumerate()
    {
        let session = format!("{}", number + 1);
        harness.post(&call(&session)).await;
        let response =
            harness.patch(&json!({"sessionId": session, "recordingLink": link, "voicemailLink": link})).await;
        assert_eq!(response.message(), UPDATED, "{link}");
        let note = harness.crm.activities()[number]["note"].as_str().unwrap().to_owned();
        assert_eq!(note.contains(&format!("href=\"{}\"", escaped(link))), is_link, "{link}: {note}");
        let lower = note.to_lowercase();
        for evil in ["href=\"javascript", "href=\"data", "href=\" ", "\" onclick=", "<script"] {
            assert!(!lower.contains(evil), "{link}: {note}");
        }
    }
}

#[tokio::test]
async fn an_update_keeps_what_a_person_wrote_in_the_crm() {
    let harness = Harness::start().await;
    harness.post(&call("1")).await;
    let edited = format!("<p>Checked the address. Ann</p>{}<p>Sent the quote. Ann</p>", harness.note());
    harness.crm.edit_note(5001, &edited);
    harness.crm.edit(5001, "subject", json!("Ann's subject"));
    let update = json!({"sessionId": "1", "recordingLink": "https://rec.example/1", "subject": "Ours", "result": "Missed"});
    assert_eq!(harness.patch(&update).await.message(), UPDATED);
    let note = harness.note();
    for expected in
        ["<p>Checked the address. Ann</p>", "<p>Sent the quote. Ann</p>", "https://rec.example/1", "Missed"]
    {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    assert_eq!(harness.crm.activities()[0]["subject"], "Ann's subject");
}

#[tokio::test]
async fn a_note_follows_the_users_settings_and_time_zone() {
    let harness = Harness::start().await;
    let mut user = user(USER, Some(api_key(API_KEY)));
    user.zone = call_log::model::Zone::parse("America/Los_Angeles");
    user.settings.0.insert("addCallLogDuration".to_owned(), json!({"value": false}));
    harness.app.store.put_user(&user).await.unwrap();

    harness.post(&call("1")).await;
    let note = harness.note();
    assert!(note.contains("08:45:25"), "the user's zone, with daylight saving: {note}");
    assert!(!note.contains("Duration"), "{note}");
    harness.post(&with(call("2"), json!({"timezoneOffset": "+05:30"}))).await;
    let note = harness.crm.activities()[1]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("09:15:25"), "the request's zone takes precedence over the user's: {note}");
}

/// The times are in UTC if the user's zone is unknown, wherever the function runs.
#[tokio::test]
async fn a_note_never_has_the_time_zone_of_the_machine() {
    let harness = Harness::with(&[("TZ", "Asia/Tokyo")]).await;
    harness.post(&call("1")).await;
    let note = harness.note();
    assert!(note.contains("2025-03-12 03:45:25 PM"), "{note}");
    let activity = &harness.crm.activities()[0];
    assert_eq!((&activity["due_date"], &activity["due_time"]), (&json!("2025-03-12"), &json!("15:45")));
}
