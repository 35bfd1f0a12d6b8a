//! Defects of App Connect's composer that our notes do not have.

use super::*;

/// Replaces `old` by `new` in a note of each format. The result is a note with `new`, also after a second merge.
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
fn values_are_never_patterns_or_structure() {
    let (note, ai_note) = (Section::AgentNote, Section::AiNote);
    for (section, old, new) in [
        // References of replacement patterns.
        (note, "old", "cost $& or $1 or $$5 or $` end"),
        (ai_note, "old", "$$100 \\1 ${x}"),
        (Section::Subject, "S0", "A $& B"),
        // Labels and headings of ours.
        (note, "old", "He said:\n- Duration: too long\n- Result: angry"),
        (note, "He said:\n- Duration: too long\n- Result: angry", "new"),
        (note, "old", "<b>Result</b>: x</li><li><b>Date/time</b>: y"),
        (note, "old", "## Call details\n**Result**: x\n### AI Note"),
        // A list.
        (note, "Items:\n- Price: 10\n- Qty: 2", "NEW"),
        // Markup, and a URL that is not safe.
        (note, "old", "<script>alert(1)</script> a<b & c"),
        (Section::Recording, "old", "http://x/\"onclick=alert(1)//"),
        (Section::Recording, "https://r.example/1?a=1&b=2", "javascript:alert(1)"),
        // A `<` in a line.
        (Section::Subject, "5 < 6", "New"),
        // Characters with a meaning in patterns.
        (Section::ContactNumber, "+1-650-1", "+1-650-2"),
        // An end tag.
        (ai_note, "x</div> y", "z"),
        // The end of a block.
        (Section::Transcript, "part\n--- END\nof it\n--- END", "all\n--- END\n--- JOURNEY END"),
        (Section::Journey, "a\n--- JOURNEY END", "b\n--- END"),
        // A list in a block.
        (Section::AceBulletedSummary, "- b1\n- b2", "- b1\n- b2\n  - b3"),
        // Headings in a block.
        (ai_note, "### Transcript\nno", "### x\n**Result**: no"),
        // Empty lines.
        (note, "old", "line one\n\nline two\n"),
    ] {
        check(section, old, new);
    }
}

#[test]
fn the_whole_value_of_a_line_is_replaced() {
    for (old, new) in [("Hang-up", "Call connected"), ("a: b <i>", "c")] {
        for format in Format::ALL {
            let body = compose(format, &content(&[(Section::Result, old)]));
            let merged = update(format, &body, &[], &[(Section::Result, new)]);
            assert_eq!(merged, compose(format, &content(&[(Section::Result, new)])));
        }
    }
}

/// The CRM has cut off the end of the last line.
#[test]
fn each_section_starts_on_a_line_of_its_own() {
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

/// Replacing a block keeps the lines below it.
#[test]
fn a_block_ends_where_the_next_section_starts() {
    let body = "### AI Note\nold\n**Call score**: 87\n**ACE recording link**: https://a.example/1\n";
    let merged = update(Format::Markdown, body, &[], &[(Section::AiNote, "new")]);
    assert_eq!(merged, body.replace("old", "new"));
}

/// The browser extension sends empty notes in background updates.
#[test]
fn an_empty_note_changes_nothing() {
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

/// Also in bodies of the adapters of March 2025.
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
fn a_link_is_written_only_for_a_safe_url() {
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
        ("https://javascript:alert(1)@r.example/", false),
        ("https://r.example@evil.example/1", false),
        ("https://@r.example", false),
        ("https://r.example/a@b?c=@#@", true),
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
fn control_characters_are_dropped_and_everything_else_is_kept() {
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
