//! Merging updates into notes: with unusual texts, with bodies that the CRM rewrote, and with notes of App Connect.

use std::time::{Duration, Instant};

use call_log::{
    api::wire::read_compose_line,
    note::{Content, Fingerprints, Format, Merged, compose, merge},
};
use serde_json::{Map, Value, json};

/// Returns the content of a request with these fields.
fn content(fields: &Value) -> Content {
    let line = read_compose_line(&fields.to_string()).unwrap();
    Content::new(&line.details, &line.settings, line.zone)
}

/// Merges these fields into a note that only we have written.
fn update(format: Format, before: &Merged, fields: &Value) -> Merged {
    merge(format, &before.body, &before.base, &content(fields))
}

fn nothing() -> Merged {
    Merged { body: String::new(), base: Fingerprints::default(), cut: vec![], left_out: vec![] }
}

/// Asserts that a text contains each part of `present` once, and no part of `absent`.
fn check_text(text: &str, present: &[&str], absent: &[&str]) {
    for part in present {
        assert_eq!(text.matches(part).count(), 1, "{part} in {text}");
    }
    for part in absent {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

/// In each format, successive updates give the same note as one update with the latest value of each field. In plain
/// text, the note contains each part of the first list once, and no part of the second.
#[test]
fn successive_updates_give_the_same_note_as_one_update_with_all_their_values() {
    let base = json!({"note": "old", "aiNote": "ai", "subject": "S0", "duration": 9, "result": "Accepted"});
    let list = json!({"note": "Items:\n- Price: 10\n- Qty: 2"});
    let bullets = json!({"ringSenseBulletedSummary": "- b1\n- b2"});
    let forged = json!({"note": "He said:\n- Duration: too long\n- Result: angry\n- Date/Time: never\n\
        <b>Result</b>: x\n**Result**: y\n### AI Note\n--- END"});
    let fenced = json!({"transcript": "before\n--- END\nbehind\n--- JOURNEY END"});
    let parties = json!({
        "direction": "Outbound", "from": {"phoneNumber": "+16505550100", "extensionNumber": 101},
        "to": {"phoneNumber": "+1-213-555-0111", "extensionNumber": 999},
        "user": {"userSettings": {"addRingCentralNumber": {"value": true}}},
    });
    let legs = |to: Value| {
        json!({"legs": [
            {"direction": "Outbound", "from": {"name": "Ada"}}, {"direction": "Outbound"},
            {"direction": "Inbound", "to": to},
        ]})
    };
    for (updates, present, absent) in [
        // Texts that are references in a replacement or in a pattern.
        (
            vec![base.clone(), json!({"note": "cost $& or $1 or $$5 or $` end"})],
            vec!["cost $& or $1 or $$5 or $` end"],
            vec!["old"],
        ),
        (vec![base.clone(), json!({"aiNote": "$$100 $0 \\1"})], vec!["$$100 $0 \\1"], vec![]),
        (vec![base.clone(), json!({"subject": "A $& B"})], vec!["- Summary: A $& B\n"], vec!["S0"]),
        // Texts that look like a heading of ours, above and below the real ones.
        (
            vec![
                forged.clone(),
                json!({"duration": 60, "result": "Accepted", "aiNote": "ai"}),
                json!({"duration": 61, "result": "Missed"}),
            ],
            vec![
                "- Duration: too long",
                "- Result: angry",
                "\n- Duration: 1 minute, 1 second\n",
                "\n- Result: Missed\n",
            ],
            vec!["Accepted"],
        ),
        (vec![json!({"duration": 60, "result": "Accepted"}), forged], vec!["too long", "angry"], vec![]),
        // The same value again, then another: nothing is repeated, and nothing is left of the first.
        (
            vec![list.clone(), list.clone(), list.clone(), list, json!({"note": "NEW"})],
            vec!["NEW"],
            vec!["Price", "Qty"],
        ),
        (vec![fenced.clone(), fenced.clone(), fenced], vec!["before", "behind"], vec![]),
        (vec![bullets.clone(), bullets.clone(), bullets.clone(), bullets], vec!["- b1", "- b2"], vec![]),
        (vec![base.clone(), base.clone(), base], vec!["- Note: old\n", "- Summary: S0\n"], vec![]),
        // Values with characters that end a pattern.
        (
            vec![json!({"result": "Hang-up"}), json!({"result": "Call connected"})],
            vec!["- Result: Call connected\n"],
            vec!["Hang-up"],
        ),
        (vec![json!({"subject": "5 < 6"}), json!({"subject": "New"})], vec!["- Summary: New\n"], vec!["6"]),
        (
            vec![json!({"aiNote": "x</div> y\n\n### z"}), json!({"aiNote": "new"})],
            vec!["new"],
            vec!["x", "y", "z"],
        ),
        (
            vec![
                json!({"contactInfo": {"phoneNumber": "+1-650-1"}}),
                json!({"contactInfo": {"phoneNumber": "+1-650-2"}}),
            ],
            vec!["- Contact Number: +1-650-2\n"],
            vec!["+1-650-1"],
        ),
        // A block, then lines, then the block again.
        (
            vec![
                json!({"aiNote": "ai"}),
                json!({"result": "Accepted", "recordingLink": "https://rec.example/1", "subject": "S", "duration": 5}),
                json!({"ringSenseAIScore": {"score": 87}, "ringSenseLink": "https://ace.example/1"}),
                json!({"note": "n", "aiNote": "ai two"}),
                json!({"ringSenseAIScore": {"score": 88}}),
            ],
            vec![
                "ai two",
                "Accepted",
                "https://rec.example/1",
                "https://ace.example/1",
                "- Call score: 88\n",
            ],
            vec!["87", "[object"],
        ),
        // The agent's own extension, and legs without one or both parties.
        (
            vec![parties.clone(), parties],
            vec!["+16505550100 101", "- Contact Number: +1-213-555-0111\n"],
            vec!["999"],
        ),
        (
            vec![legs(json!(null)), legs(json!({"phoneNumber": "+13105550133"}))],
            vec!["Made call from Ada", "Transferred to +13105550133\n"],
            vec!["undefined", "null"],
        ),
    ] {
        let mut all = Map::new();
        let mut requests = Vec::new();
        for update in &updates {
            requests.push(update.to_string());
            all.extend(update.as_object().unwrap().clone());
        }
        let all = content(&Value::Object(all));
        for format in Format::ALL {
            let merged = updates.iter().fold(nothing(), |before, fields| update(format, &before, fields));
            let expected = Merged {
                body: compose(format, &all),
                base: all.fingerprints(),
                cut: vec![],
                left_out: vec![],
            };
            assert_eq!(merged, expected, "{format:?} {requests:?}");
        }
        check_text(&compose(Format::Plain, &all), &present, &absent);
    }
}

/// A CRM may trim a body, change its line breaks, and replace its markup by equivalent markup.
#[test]
fn a_note_that_the_crm_rewrote_is_recognised_as_ours() {
    let first =
        json!({"note": "one\ntwo", "result": "Hang-up", "duration": 5, "aiNote": "a\nb", "subject": "S"});
    let later =
        json!({"result": "Missed", "duration": 65, "aiNote": "c", "recordingLink": "https://rec.example/1"});
    let strong = |body: &str| body.replace("<b>", "<strong>").replace("</b>", "</strong>");
    for (format, rewritten) in [
        (Format::Plain, (|body| body.trim_end().to_owned()) as fn(&str) -> String),
        (Format::Plain, |body| body.replace('\n', "\r\n")),
        (Format::Markdown, |body| body.trim_end().to_owned()),
        (Format::Markdown, |body| body.replace('\n', "\r\n")),
        (Format::Html, |body| body.trim_end_matches("<br>").to_owned()),
        (Format::Html, |body| body.replace("<br>", "<br />\n").replace("<li>", "\n<li>")),
        (Format::Html, |body| body.replace("<div>", "<div class=\"note\">\n")),
        (Format::Html, |body| format!("<p>{}</p>", body.replace(' ', "&nbsp;"))),
    ] {
        for is_strong in [false, true] {
            let written = update(format, &nothing(), &first);
            let mut stored = rewritten(&written.body);
            if is_strong {
                stored = strong(&stored);
            }
            let merged = merge(format, &stored, &written.base, &content(&later)).body;
            let shown = format!("{format:?} of {stored}: {merged}");
            for label in ["Summary", "Duration", "Result", "Call recording link", "AI Note"] {
                assert_eq!(merged.matches(label).count(), 1, "{label} in {shown}");
            }
            for (part, count) in [("Missed", 1), ("Hang-up", 0), ("1 minute", 1), ("one", 1), ("two", 1)] {
                assert_eq!(merged.replace("&nbsp;", " ").matches(part).count(), count, "{part} in {shown}");
            }
        }
    }
}

/// The notes are those of App Connect's adapters of 2025, and of its present composer.
#[test]
fn a_note_of_app_connect_is_updated_in_place() {
    let later = json!({
        "direction": "Inbound", "startTime": "2025-03-12T15:45:25Z", "duration": 65, "result": "Missed",
        "recordingLink": "https://rec.example/1", "aiNote": "new",
    });
    for (format, body) in [
        (
            Format::Plain,
            "- Agent note: line one\n- Contact Number: +12135550111\n- Result: Call connected\n- Duration: \n\
             - Call recording link: (pending...)\n- AI Note:\nold\n--- END\n",
        ),
        (
            Format::Plain,
            "- Note: line one\n- Summary: S\n- Date/Time: 2025-03-12 03:45:25 PM\n- Duration: pending\n\
             - Result: Hang-up\n\n- AI Note:\nold\n--- END\n",
        ),
        (
            Format::Html,
            "<b>Agent notes</b><br>line one<br><br><b>Call details</b><ul><li><b>Caller phone number</b>: +1<li>\
             <li><b>Date/time</b>: 2025-03-12 03:45:25 PM<li><li><b>Duration</b>: 1 minute<li>\
             <li><b>Result</b>: Call connected<li><li><b>Call recording link</b>: (pending...)<li></ul>\
             <div><b>AI note</b><br>old</div><br>",
        ),
        (
            Format::Html,
            "<b>Agent notes</b><br>line one<br><br><b>Call details</b><br><li><b>Date/time</b>: x</li>\
             <li><b>Duration</b>: pending</li><li><b>Result</b>: Hang-up</li><div><b>AI Note</b><br>old</div><br>",
        ),
        (
            Format::Markdown,
            "## Agent notes\nline one\n\n## Call details\n**Duration**: pending\n**Result**: Hang-up\n### AI Note\nold\n",
        ),
    ] {
        let once = merge(format, body, &Fingerprints::default(), &content(&later));
        let text = once.body.to_lowercase();
        let labels =
            ["duration", "result", "call recording link", "ai note", "1 minute, 5 seconds", "missed"];
        check_text(&text, &labels, &["old", "hang-up", "call connected", "pending"]);
        check_text(&text, &["line one", "new", "https://rec.example/1"], &[]);
        let headings = usize::from(format != Format::Plain);
        assert_eq!(text.matches("call details").count(), headings, "{text}");
        assert_eq!(update(format, &once, &later), once, "{format:?}: a repeated update");
    }
}

/// A duration that is absent has no line; a duration of zero has one.
#[test]
fn a_duration_is_whole_seconds_pending_or_absent() {
    for (duration, shown) in [
        (json!(null), None),
        (json!(""), None),
        (json!(0), Some("0 seconds")),
        (json!(-5), Some("0 seconds")),
        (json!("90"), Some("1 minute, 30 seconds")),
        (json!(86_400), Some("24 hours")),
        (json!("pending"), Some("pending")),
    ] {
        let body = compose(Format::Plain, &content(&json!({"duration": duration, "note": "n"})));
        let lines = shown.map(|shown| format!("- Duration: {shown}\n")).unwrap_or_default();
        assert_eq!(body, format!("- Note: n\n{lines}"), "{duration}");
    }
    for wrong in [json!(61.5), json!(true), json!("1 minute")] {
        assert!(read_compose_line(&json!({"duration": wrong}).to_string()).is_err(), "{wrong}");
    }
}

/// Parsing is linear. With patterns that search again from each heading, this would take minutes.
#[test]
fn a_note_with_twenty_thousand_headings_is_merged_within_ten_seconds() {
    let later =
        json!({"note": "new", "aiNote": "new", "result": "Missed", "recordingLink": "https://rec.example/1"});
    for (format, heading) in [
        (Format::Plain, "- Note: "),
        (Format::Plain, "- AI Note:\n"),
        (Format::Html, "<b>Agent notes</b>"),
        (Format::Html, "<div><b>AI Note</b><br>"),
        (Format::Html, "<li><b>Call recording link</b>: "),
        (Format::Markdown, "## Agent notes\n"),
        (Format::Markdown, "### AI Note\n"),
    ] {
        let started = Instant::now();
        merge(format, &heading.repeat(20_000), &Fingerprints::default(), &content(&later));
        assert!(started.elapsed() < Duration::from_secs(10), "{heading}: {:?}", started.elapsed());
    }
}
