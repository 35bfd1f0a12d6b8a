//! The table of the three-way merge (`docs/note-format.md`, "Updating"), row by row.

use super::*;

const NOTE: Section = Section::AgentNote;
const KEPT: [(Format, &str); 3] = [
    (Format::Plain, "- Note: new\n- Note edited in the CRM: edited\n- Result: r\n"),
    (
        Format::Html,
        "<b>Agent notes</b><br>new<br><br><div><b>Note edited in the CRM</b><br>edited</div>\
         <b>Call details</b><ul><li><b>Result</b>: r</li></ul>",
    ),
    (
        Format::Markdown,
        "## Agent notes\nnew\n\n### Note edited in the CRM\nedited\n\n## Call details\n**Result**: r\n",
    ),
];

/// Merges one section in each format. The body then has the value `expected`.
fn check(section: Section, base: &str, theirs: &str, ours: &str, expected: &str) {
    for format in Format::ALL {
        let body = compose(format, &content(&[(section, theirs)]));
        let merged = update(format, &body, &[(section, base)], &[(section, ours)]);
        let read = parse(format, &merged).value(section).unwrap_or_default();
        assert_eq!(read, expected, "{format:?} {section:?}: {base:?} {theirs:?} {ours:?} to {merged:?}");
        if expected == theirs {
            assert_eq!(merged, body, "the body stays as it is");
        }
    }
}

#[test]
fn the_newest_value_wins_unless_it_is_stale() {
    for section in [Section::Result, Section::Subject, Section::AiNote, Section::Voicemail, Section::Journey]
    {
        for (base, theirs, ours, expected) in [
            ("a", "edited", "", "edited"),
            ("a", "edited", "a", "edited"),
            ("a", "", "a", ""),
            ("a", "a", "b", "b"),
            ("a", "", "b", "b"),
            ("", "", "b", "b"),
            ("a", "edited", "b", "b"),
            ("", "edited", "b", "b"),
            ("a", "b", "b", "b"),
        ] {
            check(section, base, theirs, ours, expected);
        }
    }
}

#[test]
fn an_edited_note_is_kept_below_ours() {
    for (base, theirs, ours, expected) in [
        ("a", "edited", "", "edited"),
        ("a", "edited", " \n", "edited"),
        ("a", "edited", "a", "edited"),
        ("a", "", "a", ""),
        ("a", "a", "b", "b"),
        ("", "b", "b", "b"),
        ("a", "b\nc", "b\nc", "b\nc"),
    ] {
        check(NOTE, base, theirs, ours, expected);
    }
    for (format, kept) in KEPT {
        let result = (Section::Result, "r");
        let body = compose(format, &content(&[(NOTE, "edited"), result]));
        for base in ["old", ""] {
            assert_eq!(update(format, &body, &[(NOTE, base)], &[(NOTE, "new")]), kept, "{format:?}");
        }
        // The next note replaces ours, and the kept text stays.
        let next = update(format, kept, &[(NOTE, "new")], &[(NOTE, "newer"), result]);
        assert_eq!(next, kept.replace("new", "newer"), "{format:?}");
    }
}

#[test]
fn the_same_text_is_kept_once() {
    for (format, kept) in KEPT {
        let edited = kept.replacen("new", "edited", 1);
        let merged = update(format, &edited, &[(NOTE, "old")], &[(NOTE, "newer")]);
        assert_eq!(merged, kept.replacen("new", "newer", 1), "{format:?}");
        let merged = update(format, &kept.replacen("new", "again", 1), &[(NOTE, "old")], &[(NOTE, "newer")]);
        assert_eq!(merged.matches("Note edited in the CRM").count(), 2, "{format:?} {merged}");
    }
}

#[test]
fn a_picture_added_to_a_note_is_an_edit() {
    for picture in ["<img src=\"p.png\">", "a<br><IMG src='p.png' />"] {
        let body = format!("<b>Agent notes</b><br>{picture}<br><br><b>Call details</b><ul></ul>");
        let merged = update(Format::Html, &body, &[(NOTE, "a")], &[(NOTE, "b")]);
        assert!(merged.contains(picture) && merged.contains("<br>b<br>"), "{merged}");
    }
}

#[test]
fn a_change_of_spaces_is_written_unless_the_note_was_edited() {
    for (base, theirs, ours, expected) in [
        ("a b", "a b", "a\nb", "a\nb"),
        ("a b", "a  b", "a\nb", "a\nb"),
        ("a b", "a\nb", "a b", "a\nb"),
        ("a b", "edited", "a\nb", "edited"),
        ("a b", "", "a\nb", ""),
        ("", "a b", "a\nb", "a b"),
    ] {
        check(NOTE, base, theirs, ours, expected);
    }
}

#[test]
fn a_placeholder_replaces_no_value_and_every_value_replaces_it() {
    let link = "https://r.example/1";
    for (section, pending, known) in [
        (Section::Recording, PENDING_LINK, link),
        (Section::Voicemail, PENDING_LINK, link),
        (Section::Duration, "pending", "5 seconds"),
        (NOTE, "From auto logging (Pending)", "Wants a quote"),
        (NOTE, "From auto logging", "Wants a quote"),
    ] {
        for base in ["", "other", pending, known] {
            check(section, base, known, pending, known);
        }
        check(section, "", pending, known, known);
        check(section, "other", pending, known, known);
        check(section, "", "", pending, pending);
        check(section, known, "", pending, "");
        for format in Format::ALL {
            let body = compose(format, &content(&[(section, pending)]));
            let fresh = compose(format, &content(&[(section, known)]));
            assert_eq!(update(format, &body, &[], &[(section, known)]), fresh, "a placeholder is not kept");
        }
    }
    check(NOTE, "", "From auto logging (Pending)", "From auto logging", "From auto logging");
}

#[test]
fn the_base_after_a_merge_is_what_we_wrote_or_accepted() {
    let known = |base: &[(Section, &str)], theirs: &[(Section, &str)], ours: &[(Section, &str)]| {
        let body = compose(Format::Plain, &content(theirs));
        merge(Format::Plain, &body, &content(base).fingerprints(), &content(ours)).base
    };
    let result = |value| [(Section::Result, value)];
    assert_eq!(known(&[], &result("a"), &result("b")), content(&result("b")).fingerprints());
    assert_eq!(known(&[], &result("a"), &result("a")), content(&result("a")).fingerprints());
    assert_eq!(known(&result("a"), &result("edited"), &result("a")), content(&result("a")).fingerprints());
    assert_eq!(
        known(&result("a"), &[], &[(NOTE, "n")]),
        content(&[(NOTE, "n"), result("a")[0]]).fingerprints()
    );
}

#[test]
fn the_label_of_the_contacts_number_follows_the_direction() {
    let with = |direction, values: &[(Section, &str)]| {
        Content::of(direction, values.iter().map(|(section, value)| (*section, (*value).to_owned())))
    };
    let number = [(Section::ContactNumber, "+1 & 2"), (Section::Result, "Stopped")];
    let (outbound, inbound) = (Some(Direction::Outbound), Some(Direction::Inbound));
    let outbound_body = compose(Format::Html, &with(outbound, &number));
    let inbound_body = compose(Format::Html, &with(inbound, &number));
    assert_ne!(outbound_body, inbound_body);
    let base = with(outbound, &number).fingerprints();
    // The number is not part of the correction, or it is as it was.
    for values in [&[][..], &number[..1]] {
        for (existing, direction, expected) in [
            (&outbound_body, inbound, &inbound_body),
            (&inbound_body, outbound, &outbound_body),
            (&outbound_body, outbound, &outbound_body),
            (&outbound_body, None, &outbound_body),
        ] {
            let merged = merge(Format::Html, existing, &base, &with(direction, values));
            assert_eq!(merged.body, *expected, "{direction:?} {values:?}");
        }
    }
    let edited = outbound_body.replace("<b>", "<strong>").replace("</b>", "</strong>").replace("+1 ", "+7 ");
    let merged = merge(Format::Html, &edited, &base, &with(inbound, &number));
    assert_eq!(merged.body, edited.replace("Recipient phone", "Caller phone"), "a person's number stays");
}
