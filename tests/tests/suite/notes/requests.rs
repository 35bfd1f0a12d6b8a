//! What people write arrives as they wrote it, and does nothing else.

use serde_json::json;
use tests::test_app::call;

use crate::harness::{Harness, USER, warning, with};

/// The text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[tokio::test]
async fn a_note_is_text_whatever_it_looks_like() {
    let stage = Harness::start().await;
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
        let answer = stage.post(&with(call(&session), json!({"note": note}))).await;
        assert_eq!(answer.message(), "Call logged", "{note}");
        let body = || stage.crm.activities()[number]["note"].as_str().unwrap().to_owned();
        let shown = escaped(note);
        let expected: String = shown.chars().filter(|char| *char != '\0').take(2_000).collect();
        assert!(body().replace('\0', "").contains(&expected), "{note:?} is not in {:?}", body());

        // The same note again, then another, then the first: nothing grows, nothing is left.
        let logged = body();
        for next in [note, "Another note", note] {
            let answer = stage.patch(&json!({"sessionId": session, "note": next})).await;
            assert_eq!(answer.message(), "Call log updated.", "{note}");
            assert_eq!(answer.body["updatedNote"], body(), "{note}");
        }
        assert_eq!(body(), logged, "{note:?}");
    }
}

#[tokio::test]
async fn a_note_that_is_too_long_for_the_crm_is_refused_in_its_words() {
    let stage = Harness::start().await;
    let answer = stage.post(&with(call("1"), json!({"note": "Long. ".repeat(20_000)}))).await;
    assert_eq!((answer.status, answer.message()), (200, "Pipedrive refused the call log"));
    assert_eq!(stage.post(&with(call("1"), json!({"note": "Short."}))).await.message(), "Call logged");
}

/// An update is noted in the table first, where an item has its limit; the call itself is not.
#[tokio::test]
async fn an_update_that_is_too_long_to_be_noted_is_a_413() {
    let stage = Harness::start().await;
    stage.post(&call("1")).await;
    for (session, message) in
        [("1", "Call log updated."), ("2", "The update will be added when the call is logged.")]
    {
        for size in [500_000, 1_000_000] {
            let answer = stage.patch(&json!({"sessionId": session, "transcript": "T".repeat(size)})).await;
            let expected = warning(
                "The update is too long to store. Shorten its texts to about 350 kB and send it again.",
                &[],
            );
            assert_eq!((answer.status, answer.body), (413, expected), "{session} {size}");
        }
        // It is not in the way of the next one.
        assert_eq!(stage.patch(&json!({"sessionId": session, "note": "Short."})).await.message(), message);
    }
    assert!(stage.note().contains("Short."));
}

#[tokio::test]
async fn a_link_is_one_only_when_it_is_safe() {
    let stage = Harness::start().await;
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
        stage.post(&call(&session)).await;
        let answer =
            stage.patch(&json!({"sessionId": session, "recordingLink": link, "voicemailLink": link})).await;
        assert_eq!(answer.message(), "Call log updated.", "{link}");
        let note = stage.crm.activities()[number]["note"].as_str().unwrap().to_owned();
        assert_eq!(note.contains(&format!("href=\"{}\"", escaped(link))), is_link, "{link}: {note}");
        let lower = note.to_lowercase();
        for evil in ["href=\"javascript", "href=\"data", "href=\" ", "\" onclick=", "<script"] {
            assert!(!lower.contains(evil), "{link}: {note}");
        }
    }
}

/// What a person wrote in the CRM is theirs.
#[tokio::test]
async fn what_a_person_wrote_in_the_crm_stays() {
    let stage = Harness::start().await;
    stage.post(&call("1")).await;
    let edited = format!("<p>Checked the address. Ann</p>{}<p>Sent the quote. Ann</p>", stage.note());
    stage.crm.edit_note(5001, &edited);
    stage.crm.edit(5001, "subject", json!("Ann's subject"));
    let update = json!({"sessionId": "1", "recordingLink": "https://rec.example/1", "subject": "Ours", "result": "Missed"});
    assert_eq!(stage.patch(&update).await.message(), "Call log updated.");
    let note = stage.note();
    for expected in
        ["<p>Checked the address. Ann</p>", "<p>Sent the quote. Ann</p>", "https://rec.example/1", "Missed"]
    {
        assert!(note.contains(expected), "{expected} is not in {note}");
    }
    assert_eq!(stage.crm.activities()[0]["subject"], "Ann's subject");
}

#[tokio::test]
async fn a_users_settings_and_zone_shape_the_note() {
    let stage = Harness::start().await;
    let mut user = crate::harness::user(USER, Some(crate::harness::api_key(tests::pipedrive::API_KEY)));
    user.zone = call_log::model::Zone::parse("America/Los_Angeles");
    user.settings.0.insert("addCallLogDuration".to_owned(), json!({"value": false}));
    stage.app.store.put_user(&user).await.unwrap();

    stage.post(&call("1")).await;
    let note = stage.note();
    assert!(note.contains("08:45:25"), "in the user's zone, with daylight saving: {note}");
    assert!(!note.contains("Duration"), "{note}");
    stage.post(&with(call("2"), json!({"timezoneOffset": "+05:30"}))).await;
    let note = stage.crm.activities()[1]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("09:15:25"), "the request's zone before the user's: {note}");
}

/// A user of whom no zone is known has their times in UTC, wherever the function runs.
#[tokio::test]
async fn the_machines_zone_is_in_no_note() {
    let stage = Harness::with(&[("TZ", "Asia/Tokyo")]).await;
    stage.post(&call("1")).await;
    let note = stage.note();
    assert!(note.contains("2025-03-12 03:45:25 PM"), "{note}");
    let activity = &stage.crm.activities()[0];
    assert_eq!((&activity["due_date"], &activity["due_time"]), (&json!("2025-03-12"), &json!("15:45")));
}
