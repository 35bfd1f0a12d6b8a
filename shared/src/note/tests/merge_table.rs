//! The table of the three-way merge, row by row.

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

/// Merges one section in every format; `expected`: what it then says.
fn check(section: Section, base: &str, theirs: &str, ours: &str, expected: &str) {
    for format in Format::ALL {
        let body = compose(format, &content(&[(section, theirs)]));
        let merged = update(format, &body, &[(section, base)], &[(section, ours)]);
        let read = parse(format, &merged).value(section).unwrap_or_default();
        assert_eq!(read, expected, "{format:?} {section:?}: {base:?} {theirs:?} {ours:?} to {merged:?}");
        if expected == theirs {
            assert_eq!(merged, body, "nothing is written");
        }
    }
}

#[test]
fn a_machines_fact_is_the_newest_unless_it_is_stale() {
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
fn a_note_that_was_edited_is_kept_below_ours() {
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
        // The next note takes ours' place, and what was kept stays kept.
        let next = update(format, kept, &[(NOTE, "new")], &[(NOTE, "newer"), result]);
        assert_eq!(next, kept.replace("new", "newer"), "{format:?}");
    }
}

#[test]
fn what_is_kept_is_kept_once() {
    for (format, kept) in KEPT {
        let edited = kept.replacen("new", "edited", 1);
        let merged = update(format, &edited, &[(NOTE, "old")], &[(NOTE, "newer")]);
        assert_eq!(merged, kept.replacen("new", "newer", 1), "{format:?}");
        let merged = update(format, &kept.replacen("new", "again", 1), &[(NOTE, "old")], &[(NOTE, "newer")]);
        assert_eq!(merged.matches("Note edited in the CRM").count(), 2, "{format:?} {merged}");
    }
}

#[test]
fn a_picture_in_a_note_is_an_edit() {
    for picture in ["<img src=\"p.png\">", "a<br><IMG src='p.png' />"] {
        let body = format!("<b>Agent notes</b><br>{picture}<br><br><b>Call details</b><ul></ul>");
        let merged = update(Format::Html, &body, &[(NOTE, "a")], &[(NOTE, "b")]);
        assert!(merged.contains(picture) && merged.contains("<br>b<br>"), "{merged}");
    }
}

#[test]
fn a_note_whose_spaces_change_is_a_new_note() {
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
fn a_placeholder_displaces_nothing_and_is_displaced() {
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
            assert_eq!(update(format, &body, &[], &[(section, known)]), fresh, "nothing is kept");
        }
    }
    check(NOTE, "", "From auto logging (Pending)", "From auto logging", "From auto logging");
}

#[test]
fn what_we_know_afterwards_is_what_is_there() {
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
