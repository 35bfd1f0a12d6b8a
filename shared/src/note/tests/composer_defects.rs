//! What App Connect's composer did wrong, by the defect's number in our list of them.

use super::*;

/// A note goes from `old` to `new` and says just that, in every format; then once more.
fn check(section: Section, old: &str, new: &str) {
    for format in Format::ALL {
        let body = compose(format, &content(&[(section, old), (Section::Result, "r")]));
        let merged = update(format, &body, &[(section, old)], &[(section, new)]);
        assert_eq!(merged, compose(format, &content(&[(section, new), (Section::Result, "r")])));
        assert_eq!(parse(format, &merged).value(section).as_deref(), Some(new), "{merged}");
        assert_eq!(update(format, &merged, &[(section, old)], &[(section, new)]), merged, "and again");
        assert_eq!(parse(format, &merged).value(Section::Result).as_deref(), Some("r"), "{merged}");
    }
}

#[test]
fn values_are_text() {
    let (note, ai_note) = (Section::AgentNote, Section::AiNote);
    for (section, old, new) in [
        // D19
        (note, "old", "cost $& or $1 or $$5 or $` end"),
        (ai_note, "old", "$$100 \\1 ${x}"),
        (Section::Subject, "S0", "A $& B"),
        // D20
        (note, "old", "He said:\n- Duration: too long\n- Result: angry"),
        (note, "He said:\n- Duration: too long\n- Result: angry", "new"),
        (note, "old", "<b>Result</b>: x</li><li><b>Date/time</b>: y"),
        (note, "old", "## Call details\n**Result**: x\n### AI Note"),
        // D21
        (note, "Items:\n- Price: 10\n- Qty: 2", "NEW"),
        // D22
        (note, "old", "<script>alert(1)</script> a<b & c"),
        (Section::Recording, "old", "http://x/\"onclick=alert(1)//"),
        (Section::Recording, "https://r.example/1?a=1&b=2", "javascript:alert(1)"),
        // D23
        (Section::Subject, "5 < 6", "New"),
        // D25
        (Section::ContactNumber, "+1-650-1", "+1-650-2"),
        // D27
        (ai_note, "x</div> y", "z"),
        // D28
        (Section::Transcript, "part\n--- END\nof it\n--- END", "all\n--- END\n--- JOURNEY END"),
        (Section::Journey, "a\n--- JOURNEY END", "b\n--- END"),
        // D29
        (Section::AceBulletedSummary, "- b1\n- b2", "- b1\n- b2\n  - b3"),
        // D30
        (ai_note, "### Transcript\nno", "### x\n**Result**: no"),
        // D32
        (note, "old", "line one\n\nline two\n"),
    ] {
        check(section, old, new);
    }
}

/// D25
#[test]
fn a_line_is_replaced_whole() {
    for (old, new) in [("Hang-up", "Call connected"), ("a: b <i>", "c")] {
        for format in Format::ALL {
            let body = compose(format, &content(&[(Section::Result, old)]));
            let merged = update(format, &body, &[], &[(Section::Result, new)]);
            assert_eq!(merged, compose(format, &content(&[(Section::Result, new)])));
        }
    }
}

/// D26: the CRM has cut the last line's end.
#[test]
fn no_two_items_stand_on_a_line() {
    let lines =
        [(Section::AgentNote, "a"), (Section::Duration, "d"), (Section::Result, "r"), (Section::AiNote, "x")];
    for format in Format::ALL {
        for count in 1..lines.len() {
            let body = compose(format, &content(&lines[..count]));
            let merged = update(format, body.trim_end(), &[], &lines[count..]);
            let fresh = compose(format, &content(&lines));
            let bare =
                |text: &str| text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            assert_eq!(bare(&merged), bare(&fresh), "{format:?} {count}");
        }
    }
}

/// D30: lines that come after a block stay when the block is written again.
#[test]
fn a_block_ends_where_the_next_item_starts() {
    let body = "### AI Note\nold\n**Call score**: 87\n**ACE recording link**: https://a.example/1\n";
    let merged = update(Format::Markdown, body, &[], &[(Section::AiNote, "new")]);
    assert_eq!(merged, body.replace("old", "new"));
}

/// D31: the extension sends empty notes in the background.
#[test]
fn an_empty_note_is_no_note() {
    for format in Format::ALL {
        let body = compose(format, &content(&[(Section::AgentNote, "a")]));
        for empty in ["", " ", "\n\r\n"] {
            assert_eq!(
                update(format, &body, &[(Section::AgentNote, "a")], &[(Section::AgentNote, empty)]),
                body
            );
        }
        assert_eq!(compose(format, &Content::default()), "");
    }
}

/// D37: one of each, also in bodies of the adapters of 2025-03.
#[test]
fn old_bodies_get_no_second_heading() {
    let body =
        "<b>Call details</b><ul><li><b>Duration</b>: 1 second<li></ul><div><b>AI note</b><br>old</div><br>";
    let ours = [(Section::AgentNote, "n"), (Section::Duration, "2 seconds"), (Section::AiNote, "new")];
    assert_eq!(update(Format::Html, body, &[], &ours), compose(Format::Html, &content(&ours)));
    let body = "- Agent note: From auto logging\n- Duration: \n- AI Note:\nold\n--- END\n";
    let expected = compose(Format::Plain, &content(&ours)).replace("\n\n", "\n");
    assert_eq!(update(Format::Plain, body, &[], &ours), expected);
}

#[test]
fn a_link_is_one_only_when_it_is_safe_to_follow() {
    for (link, is_link) in [
        ("https://r.example/1?a=1&b=2#c", true),
        ("HTTP://r.example", true),
        (PENDING_LINK, false),
        ("javascript:alert(1)", false),
        ("javascript://https://r.example", false),
        ("data:text/html,x", false),
        ("//r.example/1", false),
        ("https://", false),
        ("https:///x", false),
        ("https://r.example/\" onclick=\"alert(1)", false),
        ("https://r.example/<b>", false),
        (" https://r.example", false),
        ("https://r.example/\u{202e}", true),
    ] {
        let body = compose(Format::Html, &content(&[(Section::Recording, link)]));
        assert_eq!(body.contains("href="), is_link, "{body}");
        assert_eq!(parse(Format::Html, &body).value(Section::Recording).as_deref(), Some(link));
    }
}

#[test]
fn a_value_keeps_what_can_be_kept() {
    for (value, line, lines) in [
        ("a\r\nb\rc\n", "a b c ", "a\nb\nc"),
        ("a\0b\u{1b}[31mc\td", "ab[31mc\td", "ab[31mc\td"),
        ("e\u{301}\u{200b}\u{202e}👩‍👩‍👧", "e\u{301}\u{200b}\u{202e}👩‍👩‍👧", "e\u{301}\u{200b}\u{202e}👩‍👩‍👧"),
    ] {
        for format in Format::ALL {
            let body = compose(format, &content(&[(Section::Subject, value), (Section::AiNote, value)]));
            let document = parse(format, &body);
            assert_eq!(document.value(Section::Subject).as_deref(), Some(line), "{format:?}");
            assert_eq!(document.value(Section::AiNote).as_deref(), Some(lines), "{format:?}");
        }
    }
}
