//! Merges into bodies of App Connect's composer, of its adapters of March 2025, and of CRMs' editors.

use super::*;

const DURATION: (Section, &str) = (Section::Duration, "7 seconds");
const RECORDING: (Section, &str) = (Section::Recording, "https://r.example/1");
const AI_NOTE: (Section, &str) = (Section::AiNote, "new");
const NOTE: (Section, &str) = (Section::AgentNote, "mine");

/// Merges twice into a body without a base.
fn check(format: Format, body: &str, ours: &[(Section, &str)], expected: &str) {
    let once = update(format, body, &[], ours);
    assert_eq!(once, expected);
    assert_eq!(update(format, &once, &[], ours), once, "and again");
}

/// Checks the values that a body has.
fn check_values(format: Format, body: &str, expected: &[(Section, &str)]) {
    let document = parse(format, body);
    let values = section::SECTIONS.iter().filter_map(|row| Some((row.section, document.value(row.section)?)));
    let expected: Vec<_> = expected.iter().map(|(section, value)| (*section, (*value).to_owned())).collect();
    assert_eq!(values.collect::<Vec<_>>(), expected, "{body}");
}

#[test]
fn plain_text_of_app_connect_is_read_and_merged() {
    let body = "- Note: line one\n\n- Price: 10\nline two\n- Summary: S\n- Contact Number: +1-650-1\n\n\n- Result: Hang-up\n\
                - Call recording link: (pending...)\n\n- AI Note:\nAI one\n- Summary: two\n--- END\n- Call score: 87\n\
                - Call journey:\nMade call from A, +1\n--- JOURNEY END\n";
    check_values(
        Format::Plain,
        body,
        &[
            (Section::AgentNote, "line one\n\n- Price: 10\nline two"),
            (Section::Subject, "S"),
            (Section::ContactNumber, "+1-650-1"),
            (Section::Result, "Hang-up"),
            (Section::Recording, PENDING_LINK),
            (Section::AceScore, "87"),
            (Section::AiNote, "AI one\n- Summary: two"),
            (Section::Journey, "Made call from A, +1"),
        ],
    );
    check(
        Format::Plain,
        body,
        &[DURATION, RECORDING, AI_NOTE],
        "- Note: line one\n\n- Price: 10\nline two\n- Summary: S\n- Contact Number: +1-650-1\n- Duration: 7 seconds\n\n\n\
         - Result: Hang-up\n- Call recording link: https://r.example/1\n\n- AI Note:\nnew\n--- END\n- Call score: 87\n\
         - Call journey:\nMade call from A, +1\n--- JOURNEY END\n",
    );
    check(
        Format::Plain,
        "- Agent notes: old\n- Result: R\n",
        &[NOTE],
        "- Note: mine\n- Note edited in the CRM: old\n- Result: R\n",
    );
}

#[test]
fn plain_text_of_the_2025_adapters_is_read_and_merged() {
    let body = "- Agent note: line one\nline two\n- Contact Number: +12135550111\n- Result: Call connected\n- Duration: \n\
                - Call recording link: (pending...)\n- AI Note:\nAI one\nAI two\n--- END\n- Transcript:\nA: hi\n\n--- END\n";
    check_values(
        Format::Plain,
        body,
        &[
            (Section::AgentNote, "line one\nline two"),
            (Section::ContactNumber, "+12135550111"),
            (Section::Result, "Call connected"),
            (Section::Recording, PENDING_LINK),
            (Section::AiNote, "AI one\nAI two"),
            (Section::Transcript, "A: hi"),
        ],
    );
    check(
        Format::Plain,
        body,
        &[DURATION, RECORDING, AI_NOTE],
        "- Agent note: line one\nline two\n- Contact Number: +12135550111\n- Result: Call connected\n- Duration: 7 seconds\n\
         - Call recording link: https://r.example/1\n- AI Note:\nnew\n--- END\n- Transcript:\nA: hi\n\n--- END\n",
    );
    check(
        Format::Plain,
        "- Result: R\n- Agent note: late\nand long\n",
        &[NOTE],
        "- Result: R\n- Note: mine\n- Note edited in the CRM: late\nand long\n",
    );
}

#[test]
fn html_of_app_connect_is_read_and_merged() {
    let body = "<b>Agent notes</b><br>line one\nline <i>two</i> <b>Result</b>: no<br><br><b>Call details</b><br>\
                <li><b>Summary</b>: S</li><li><b>Recipient phone number</b>: +1</li><li><b>Result</b>: Hang-up</li>\
                <div><b>AI Note</b><br>AI one<br>AI two</div><br><li><b>Call score</b>: 87</li>";
    check_values(
        Format::Html,
        body,
        &[
            (Section::AgentNote, "line one\nline two Result: no"),
            (Section::Subject, "S"),
            (Section::ContactNumber, "+1"),
            (Section::Result, "Hang-up"),
            (Section::AceScore, "87"),
            (Section::AiNote, "AI one\nAI two"),
        ],
    );
    check(
        Format::Html,
        body,
        &[DURATION, RECORDING, AI_NOTE],
        "<b>Agent notes</b><br>line one\nline <i>two</i> <b>Result</b>: no<br><br><b>Call details</b><br>\
         <li><b>Summary</b>: S</li><li><b>Recipient phone number</b>: +1</li><li><b>Duration</b>: 7 seconds</li>\
         <li><b>Result</b>: Hang-up</li>\
         <li><b>Call recording link</b>: <a target=\"_blank\" href=\"https://r.example/1\">open</a></li>\
         <div><b>AI Note</b><br>new</div><br><li><b>Call score</b>: 87</li>",
    );
    check(
        Format::Html,
        "<li><b>Result</b>: r</li>",
        &[NOTE],
        "<b>Agent notes</b><br>mine<br><br><b>Call details</b><li><b>Result</b>: r</li>",
    );
    check(
        Format::Html,
        "<b>Agent notes</b><br>mine<br><br><b>Call details</b><br>",
        &[DURATION],
        "<b>Agent notes</b><br>mine<br><br><b>Call details</b><br><ul><li><b>Duration</b>: 7 seconds</li></ul>",
    );
}

#[test]
fn html_of_the_2025_adapters_is_read_and_merged() {
    let body = "<b>Agent notes</b><br>line one\nline two<br><br><b>Call details</b><ul>\
                <li><b>Recipient phone number</b>: +12135550111<li><li><b>Date/time</b>: 2025-03-12 07:45:25 AM<li>\
                <li><b>Duration</b>: 1 minute<li><li><b>Result</b>: Call connected<li>\
                <li><b>Call recording link</b>: <a target=\"_blank\" href=https://r.example/0?a=b>open</a><li></ul>\
                <div><b>AI note</b><br>AI one<br>AI two</div><br><div><b>Transcript</b><br>A: hi<br>B: yo<br></div><br>";
    check_values(
        Format::Html,
        body,
        &[
            (Section::AgentNote, "line one\nline two"),
            (Section::ContactNumber, "+12135550111"),
            (Section::DateTime, "2025-03-12 07:45:25 AM"),
            (Section::Duration, "1 minute"),
            (Section::Result, "Call connected"),
            (Section::Recording, "https://r.example/0?a=b"),
            (Section::AiNote, "AI one\nAI two"),
            (Section::Transcript, "A: hi\nB: yo"),
        ],
    );
    check(
        Format::Html,
        body,
        &[DURATION, RECORDING, (Section::Voicemail, "https://v.example/1"), AI_NOTE],
        "<b>Agent notes</b><br>line one\nline two<br><br><b>Call details</b><ul>\
         <li><b>Recipient phone number</b>: +12135550111<li><li><b>Date/time</b>: 2025-03-12 07:45:25 AM<li>\
         <li><b>Duration</b>: 7 seconds</li><li><b>Result</b>: Call connected<li>\
         <li><b>Call recording link</b>: <a target=\"_blank\" href=\"https://r.example/1\">open</a></li>\
         <li><b>Voicemail recording link</b>: <a target=\"_blank\" href=\"https://v.example/1\">open</a></li></ul>\
         <div><b>AI Note</b><br>new</div><br><div><b>Transcript</b><br>A: hi<br>B: yo<br></div><br>",
    );
    check(
        Format::Html,
        "<b>Call details</b><ul><li><b>Result</b>: R<li></ul>",
        &[NOTE, DURATION],
        "<b>Agent notes</b><br>mine<br><br><b>Call details</b><ul><li><b>Duration</b>: 7 seconds</li>\
         <li><b>Result</b>: R<li></ul>",
    );
}

#[test]
fn html_that_an_editor_rewrote_is_read_and_merged() {
    let written = [
        (Section::AgentNote, "x & \"y\"\nand  more"),
        (Section::Subject, "5 < 6"),
        (Section::Recording, "https://r.example/0?a=1&b=2"),
        (Section::AiNote, "AI one\nAI two"),
    ];
    for body in [
        "<p><strong>Agent notes</strong><br/>x &amp; \"y\"<br/>and&nbsp; more<br/><br/></p>\n<p><strong>Call details</strong></p>\n\
         <ul>\n  <li>\n<strong>Summary</strong>: 5 &lt; 6</li>\n  <li><strong>Call recording link</strong>: \
         <a href=\"https://r.example/0?a=1&amp;b=2\" rel=\"noopener\" target='_blank'>open</a></li>\n</ul>\n\
         <div class=\"a\">\n<strong>AI Note</strong><br />\nAI one<br />\nAI two</div>\n<br />",
        "<div><p><B>Agent notes:</B></p><p>x &#38; &quot;y&quot;</p><p>and more</p><p><b style=\"color: red\">Call details</b></p>\
         <ul class=\"c\"><li><p><strong>Summary:</strong> 5 &lt; 6</p></li><li><p><strong>Call recording link</strong> : \
         <a class=\"d\" HREF='https://r.example/0?a=1&amp;b=2'>open</a></p></li></ul>\
         <p><strong>AI Note</strong><br>AI one<br>AI two</p></div>",
    ] {
        let document = parse(Format::Html, body);
        for (section, value) in written {
            let read = document.value(section).unwrap_or_default();
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&read), words(value), "{body}");
        }
        let stale = merge(Format::Html, body, &Fingerprints::default(), &content(&written));
        assert_eq!(stale.body, body, "the same words are not written again");
        let newer = [(Section::AgentNote, "newer"), (Section::Subject, "T"), AI_NOTE, DURATION];
        let merged = merge(Format::Html, body, &stale.base, &content(&newer)).body;
        for (section, value) in newer {
            assert_eq!(parse(Format::Html, &merged).value(section).as_deref(), Some(value), "{merged}");
        }
        for label in ["Agent notes", "Call details", "AI Note", "Summary"] {
            assert_eq!(merged.matches(label).count(), 1, "{label} in {merged}");
        }
    }
}

#[test]
fn markdown_of_app_connect_is_read_and_merged() {
    let body = "## Agent notes\nline one\n**Result**: no\n\n## Call details\n**Summary**: S\n**Result**: Hang-up\n\
                ### AI Note\nai < 1\n- b\n\n**Call score**: 87\n### Transcript\nA: hi\n\n";
    check_values(
        Format::Markdown,
        body,
        &[
            (Section::AgentNote, "line one\n**Result**: no"),
            (Section::Subject, "S"),
            (Section::Result, "Hang-up"),
            (Section::AceScore, "87"),
            (Section::AiNote, "ai < 1\n- b"),
            (Section::Transcript, "A: hi"),
        ],
    );
    check(
        Format::Markdown,
        body,
        &[DURATION, AI_NOTE],
        "## Agent notes\nline one\n**Result**: no\n\n## Call details\n**Summary**: S\n**Duration**: 7 seconds\n\
         **Result**: Hang-up\n### AI Note\nnew\n**Call score**: 87\n### Transcript\nA: hi\n\n",
    );
    check(
        Format::Markdown,
        "**Result**: r\n",
        &[NOTE],
        "## Agent notes\nmine\n\n## Call details\n**Result**: r\n",
    );
}

#[test]
fn our_sections_are_added_around_a_persons_text() {
    let ours = [NOTE, DURATION, AI_NOTE];
    check(
        Format::Plain,
        "Called them.\n- twice",
        &ours,
        "- Note: mine\n--- NOTE END\nCalled them.\n- twice\n- Duration: 7 seconds\n\n- AI Note:\nnew\n--- END\n",
    );
    check(
        Format::Html,
        "<p>Called them.</p>",
        &ours,
        "<b>Agent notes</b><br>mine<br><br><b>Call details</b><ul><li><b>Duration</b>: 7 seconds</li></ul>\
         <p>Called them.</p><div><b>AI Note</b><br>new</div><br>",
    );
    check(
        Format::Markdown,
        "Called them.",
        &ours,
        "## Agent notes\nmine\n\n## Call details\nCalled them.\n**Duration**: 7 seconds\n### AI Note\nnew\n",
    );
    // A person's text below a block of ours. In Markdown a block has no end of its own.
    for (format, body, expected) in [
        (Format::Plain, "\n- AI Note:\nold\n--- END\nMine.\n", "\n- AI Note:\nnew\n--- END\nMine.\n"),
        (
            Format::Html,
            "<div><b>AI Note</b><br>old</div><br>Mine.",
            "<div><b>AI Note</b><br>new</div><br>Mine.",
        ),
        (Format::Markdown, "### AI Note\nold\nMine.\n", "### AI Note\nnew\nMine.\n"),
        (Format::Markdown, "### AI Note\nold\n\n# Mine\n", "### AI Note\nnew\n\n# Mine\n"),
    ] {
        assert_eq!(update(format, body, &[(Section::AiNote, "old")], &[AI_NOTE]), expected);
    }
}

#[test]
fn html_that_lost_its_list_gets_a_new_one() {
    check(
        Format::Html,
        "<p>Mine</p><b>Agent notes</b><br>n<br><br><b>Call details</b><p>Mine too</p>",
        &[DURATION, (Section::AgentNote, "n")],
        "<p>Mine</p><b>Agent notes</b><br>n<br><br><b>Call details</b><ul><li><b>Duration</b>: 7 seconds</li></ul>\
         <p>Mine too</p>",
    );
    check(
        Format::Html,
        "Mine<b>Call details</b><ul></ul>",
        &[NOTE],
        "Mine<b>Agent notes</b><br>mine<br><br><b>Call details</b><ul></ul>",
    );
}
