//! Changes that a CRM makes to texts by itself, which are no edits, and edits that look like them.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::{super::fingerprint::subject_fingerprint, *};

const NOTE: Section = Section::AgentNote;

/// Checks a text that we sent and the CRM shows as `shown`: in a section, in the agent note and in a subject.
fn check(sent: &str, shown: &str, is_edit: bool) {
    for format in Format::ALL {
        let shown_as = format!("{format:?}: {sent:?} is shown as {shown:?}");
        for section in [Section::Result, Section::AiNote, NOTE] {
            let ours = content(&[(section, sent), (Section::Journey, "leg")]);
            let body = compose(format, &ours).replace(sent, shown);
            assert_eq!(merge(format, &body, &ours.fingerprints(), &ours).body, body, "{shown_as}: no news");
            // Without its base, ours is compared with theirs.
            let merged = merge(format, &body, &Fingerprints::default(), &ours);
            assert_eq!(merged.body != body, is_edit, "{shown_as} in {section:?}");
            // An unconfirmed text that the body has becomes the base.
            let unconfirmed = Fingerprints::unconfirmed([&ours.fingerprints()]);
            let confirmed = merge(format, &body, &unconfirmed, &content(&[])).base;
            assert_eq!(confirmed.get(section).is_none(), is_edit, "{shown_as} in {section:?}");
        }
        let body = compose(format, &content(&[(NOTE, sent)])).replace(sent, shown);
        let merged = update(format, &body, &[(NOTE, sent)], &[(NOTE, "next")]);
        assert_eq!(merged.contains("Note edited in the CRM"), is_edit, "{shown_as} in the note: {merged}");
        assert_eq!(merged == compose(format, &content(&[(NOTE, "next")])), !is_edit, "{shown_as}");
    }
    assert_eq!(
        !is_subject(&subject_fingerprint(sent), shown),
        is_edit,
        "subject: {sent:?} is shown as {shown:?}"
    );
}

#[test]
fn a_change_that_the_crm_makes_by_itself_is_no_edit() {
    for (sent, shown) in [
        // White space.
        ("a b", " a \t b "),
        ("a b", "a\u{a0}b"),
        ("a\u{2003}b", "a b"),
        // Unicode NFC, and the other way.
        ("Zoe\u{301} said", "Zoé said"),
        ("Zoé said", "Zoe\u{301} said"),
        ("a\u{2f800}b", "a\u{4e3d}b"),
        ("a\u{323}\u{307}b", "a\u{307}\u{323}b"),
        // Control characters, format characters and variation selectors.
        ("a\u{9b}b", "ab"),
        ("ab", "a\u{1}b\u{7f}"),
        ("a\u{200b}b\u{feff}", "ab"),
        ("ab", "a\u{200b}b"),
        ("so\u{ad}ft", "soft"),
        ("\u{202e}evil\u{202c} x", "evil x"),
        ("I ❤\u{fe0f} it", "I ❤ it"),
        ("I ❤ it", "I ❤\u{fe0f} it"),
        ("e\u{200d}\u{301}x", "éx"),
        // Characters above U+FFFF.
        ("👍 ok", "ok"),
        ("👍 ok", "? ok"),
        ("👍 ok", "?? ok"),
        ("👍 ok", "\u{fffd} ok"),
        ("ok 👍 yes", "ok  yes"),
        ("ok👍", "ok"),
        ("ok👍", "ok?"),
        ("ok👍", "ok????"),
        ("ok👍", "ok\u{fffd}\u{fffd}"),
        ("ok👍!", "ok?!"),
        ("why?👍", "why??"),
        ("why? 👍", "why?"),
        ("👩\u{200d}👩\u{200d}👧 home", "??? home"),
        ("👩\u{200d}👩\u{200d}👧 home", "?\u{200d}?\u{200d}? home"),
        ("𠮷野 x", "?野 x"),
        // Question marks of their own, which may stand for such characters.
        ("ok ?", "ok"),
        ("ok", "? ok ??"),
        ("ok \u{fffd}", "ok"),
    ] {
        check(sent, shown, false);
    }
}

#[test]
fn a_change_that_no_crm_makes_is_an_edit() {
    for (sent, shown) in [
        ("a b", "ab"),
        ("one", "One"),
        ("é", "e"),
        ("a\u{200b}b", "a b"),
        // A question mark within words is one.
        ("why?", "why"),
        ("why", "why?"),
        ("What??", "What?"),
        ("is it?yes", "is ityes"),
        // A question mark stands only where there was such a character.
        ("ok👍 so", "ok so?"),
        ("ok👍", "okay?"),
        ("ok👍", "o?k"),
        ("ok 👍", "fine ?"),
        // A CRM adds no such characters, and changes none into another.
        ("ok", "ok 👍"),
        ("ok 👍", "ok 👎"),
        ("ok?", "ok👍"),
        ("👍👎 ok", "👍 ok"),
    ] {
        check(sent, shown, true);
    }
}

#[test]
fn a_newer_text_is_written_even_if_only_such_characters_differ() {
    for (base, shown, newer) in [
        ("ok 👍", "ok 👍", "ok"),
        ("ok👍", "ok?", "ok"),
        ("ok", "ok", "ok 👍"),
        ("ok 👍", "ok 👍", "ok 👎"),
        ("ok", "ok", "ok ?"),
        ("👍", "👍", "👎"),
        ("👍", "", "👎"),
        ("e\u{301}", "e\u{301}", "é"),
    ] {
        for format in Format::ALL {
            let body =
                compose(format, &content(&[(NOTE, base), (Section::Journey, "leg")])).replace(base, shown);
            let merged = update(format, &body, &[(NOTE, base)], &[(NOTE, newer)]);
            let expected = compose(format, &content(&[(NOTE, newer), (Section::Journey, "leg")]));
            assert_eq!(merged, expected, "{base:?}, shown as {shown:?}");
        }
    }
}

#[test]
fn a_cut_subject_that_the_crm_changed_is_still_ours() {
    let limits = Limits { max_subject: Some(12), ..Limits::UNLIMITED };
    let sent = limits.cut_subject("Great 👍 Zoé called");
    assert_eq!(sent, "Great 👍 Zoé…");
    for (shown, is_ours) in [("Great ? Zoe\u{301}…", true), ("Great Zoé…", true), ("Great 👍 Zoé", false)]
    {
        assert_eq!(is_subject(&subject_fingerprint(&sent), shown), is_ours, "{shown}");
    }
    // A fingerprint of plain text is the one of former versions.
    assert_eq!(subject_fingerprint(" Call from Ann "), fingerprint("Call from Ann"));
}

#[test]
fn a_cut_text_that_the_crm_changed_is_still_ours() {
    let limits = Limits { max_body: Some(200), ..Limits::UNLIMITED };
    for section in [Section::Transcript, NOTE] {
        let ours = content(&[(section, &"Great 👍 Zoé! ".repeat(40))]);
        for format in Format::ALL {
            let written = compose_within(format, &ours, &limits);
            for body in [
                written.body.replace('👍', "?"),
                written.body.replace('👍', ""),
                written.body.replace('é', "e\u{301}"),
            ] {
                for base in [&written.base, &Fingerprints::default()] {
                    let merged = merge_within(format, &body, base, &ours, &limits);
                    assert_eq!((merged.body, merged.cut), (body.clone(), vec![section]));
                }
                let next = merge(format, &body, &written.base, &content(&[(section, "next")]));
                assert_eq!(next.body, compose(format, &content(&[(section, "next")])));
            }
        }
    }
}

/// The changes that a CRM may make to a whole body.
const CHANGES: [fn(&str) -> String; 8] = [
    |body| ComposingNormalizerBorrowed::new_nfc().normalize(body).into_owned(),
    |body| DecomposingNormalizerBorrowed::new_nfd().normalize(body).into_owned(),
    |body| body.replace(is_rare, ""),
    |body| body.replace(is_rare, "?"),
    |body| body.replace(is_rare, "??"),
    |body| body.replace(is_rare, "\u{fffd}"),
    |body| body.replace(['\u{200b}', '\u{200d}', '\u{fe0f}', '\u{9b}'], ""),
    |body| body.replace(' ', "  "),
];

fn is_rare(char: char) -> bool {
    char > '\u{ffff}'
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_note_that_the_crm_changed_is_not_written_again(
        values in prop::array::uniform3("[a-c?ée\u{301}👍👧\u{200b}\u{200d}\u{fe0f}\u{9b}❤ ]{0,20}"),
        changes in prop::collection::vec(prop::sample::select(CHANGES.to_vec()), 1..4),
    ) {
        let sections = [NOTE, Section::Result, Section::Transcript].into_iter().zip(values);
        let ours = Content::of(Some(Direction::Outbound), sections);
        for format in Format::ALL {
            let body = changes.iter().fold(compose(format, &ours), |body, change| change(&body));
            let merged = merge(format, &body, &ours.fingerprints(), &ours);
            prop_assert_eq!(&merged.body, &body);
            let next = merge(format, &body, &ours.fingerprints(), &content(&[(NOTE, "next")])).body;
            prop_assert!(!next.contains("edited in the CRM"), "{:?} to {:?}", body, next);
        }
    }
}
