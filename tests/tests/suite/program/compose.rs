//! `call-log compose`: composes notes from JSON lines.

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use serde_json::{Value, json};

use super::shell::{Shell, finished};

/// Returns the note of one line.
fn compose(format: &str, line: &Value) -> String {
    let out = Shell::new().run_with(&["compose", "--format", format], &format!("{line}\n")).out();
    assert_eq!(out.lines().count(), 1, "{out}");
    serde_json::from_str(&out).expect("a JSON string")
}

#[test]
fn a_line_is_composed_in_each_format() {
    let line = json!({
        "callLog": {
            "sessionId": "4503991004", "direction": "Inbound", "startTime": "2025-03-12T15:45:25Z", "duration": 65,
            "result": "Accepted", "from": {"phoneNumber": "+12135550111", "name": "Bob Client"},
        },
        "contactInfo": {"phoneNumber": "+12135550111"}, "note": "Wants a quote <b>\nCall back",
        "recordingLink": "https://rec.example/1?a=1&b=2", "aiNote": "Bob asked",
        "user": {"timezoneOffset": "-07:00", "userSettings": {"addCallLogResult": {"value": false}}},
    });
    insta::assert_snapshot!(compose("plain", &line), @r#"
    - Note: Wants a quote <b>
    Call back
    - Contact Number: +12135550111
    - Date/Time: 2025-03-12 08:45:25 AM
    - Duration: 1 minute, 5 seconds
    - Call recording link: https://rec.example/1?a=1&b=2

    - AI Note:
    Bob asked
    --- END
    "#);
    insta::assert_snapshot!(compose("html", &line), @r#"
    <b>Agent notes</b><br>Wants a quote &lt;b&gt;<br>Call back<br><br><b>Call details</b><ul><li><b>Caller phone number</b>: +12135550111</li><li><b>Date/time</b>: 2025-03-12 08:45:25 AM</li><li><b>Duration</b>: 1 minute, 5 seconds</li><li><b>Call recording link</b>: <a target="_blank" href="https://rec.example/1?a=1&amp;b=2">open</a></li></ul><div><b>AI Note</b><br>Bob asked</div><br>
    "#);
    insta::assert_snapshot!(compose("markdown", &line), @r#"
    ## Agent notes
    Wants a quote &lt;b>
    Call back

    ## Call details
    **Contact Number**: +12135550111
    **Date/Time**: 2025-03-12 08:45:25 AM
    **Duration**: 1 minute, 5 seconds
    **Call recording link**: https://rec.example/1?a=1&b=2
    ### AI Note
    Bob asked
    "#);
    assert_eq!(compose("text/html", &line), compose("html", &line));
    assert_eq!(compose("plain", &json!({})), "");
}

#[test]
fn a_line_with_a_body_updates_that_body() {
    let check = |line: Value, expected: &str| assert_eq!(compose("plain", &line), expected, "{line}");
    let body = "- Note: Wants a quote\n- Result: Accepted\nAnn: sent it\n";
    check(json!({"existingBody": body}), body);
    check(
        json!({"existingBody": body, "result": "Missed"}),
        "- Note: Wants a quote\n- Result: Missed\nAnn: sent it\n",
    );
    let base = json!({"note": "Wants a quote"});
    check(
        json!({"existingBody": body, "note": "Wants two", "base": base}),
        "- Note: Wants two\n- Result: Accepted\nAnn: sent it\n",
    );
    // An unchanged value does not overwrite a person's edit.
    let edited = "- Note: Wants ten\n";
    check(json!({"existingBody": edited, "note": "Wants a quote", "base": base}), edited);
}

#[test]
fn lines_are_composed_in_order_until_an_invalid_one() {
    let shell = Shell::new();
    let lines = |input: &str| shell.run_with(&["compose"], input);
    assert_eq!(lines("").out(), "");
    assert_eq!(
        lines("{\"note\": \"a\"}\r\n\n{\"note\": \"b\"}").out(),
        "\"- Note: a\\n\"\n\"- Note: b\\n\"\n"
    );
    for (invalid, sentence) in [
        ("{bad", "the line is not JSON: key must be a string at line 1 column 2"),
        ("[]", "the line is not an object: expected a JSON object, got a list"),
        (
            "{\"duration\": 1.5}",
            "`duration` is not a duration: expected whole seconds or \"pending\", got 1.5",
        ),
    ] {
        let finished = lines(&format!("{{\"note\": \"a\"}}\n\n{invalid}\n{{\"note\": \"c\"}}\n"));
        assert_eq!((finished.code, finished.out.as_str()), (Some(1), "\"- Note: a\\n\"\n"), "{invalid}");
        let action = "Correct the line. `call-log compose --help` has examples.";
        assert_eq!(finished.error, format!("call-log: line 3: {sentence}\n  {action}\n"));
    }
    assert_eq!(shell.run(&["compose", "--format", "pdf"]).code, Some(2));
}

#[test]
fn a_reader_that_closes_the_output_early_causes_no_error() {
    let shell = Shell::new();
    let lines = shell.path().join("lines");
    std::fs::write(&lines, "{\"note\": \"a\"}\n".repeat(50_000)).unwrap();
    let mut process = shell.command(&["compose"]).stdin(File::open(lines).unwrap()).spawn().unwrap();
    let mut first = String::new();
    // The reader closes the pipe after this line, when far more output than the pipe holds is left.
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "\"- Note: a\\n\"\n");
    assert_eq!(finished(process.wait_with_output().unwrap()).out(), "");
}
