//! Notes and subjects that have to be shortened, because a CRM limits their length.

use super::{
    super::{fingerprint::ComparedText, limits::CUT},
    properties::check_foreign,
    *,
};

const NOTE: Section = Section::AgentNote;
const UNITS: [TextUnit; 3] = [TextUnit::Characters, TextUnit::Utf16, TextUnit::Bytes];

fn limits(max_body: usize, unit: TextUnit) -> Limits {
    Limits { max_body: Some(max_body), unit, ..Limits::UNLIMITED }
}

/// Content with values of several lengths.
fn long_content() -> impl Strategy<Value = Content> {
    (any_content(), prop::collection::vec(1..20_usize, SECTIONS.len())).prop_map(|(content, repeats)| {
        let repeated =
            content.iter().zip(repeats).map(|((section, value), times)| (section, value.repeat(times)));
        Content::of(content.direction, repeated)
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (0..3_000_usize, prop::sample::select(UNITS.to_vec())).prop_map(|(max, unit)| limits(max, unit))
}

/// Fails unless `merged` reports each section of `ours` that `whole` shows and that its body does not show as whole.
fn check_report(format: Format, whole: &str, merged: &Merged, ours: &Content) -> Result<(), TestCaseError> {
    let (whole, shown) = (parse(format, whole), parse(format, &merged.body));
    for (section, _) in ours.iter() {
        let is_same = whole.value(section) == shown.value(section);
        let is_reported = merged.cut.contains(&section) || merged.left_out.contains(&section);
        prop_assert!(is_same || is_reported, "{section:?} in {merged:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_composed_note_is_within_the_limit_and_composing_it_again_changes_nothing(
        content in long_content(),
        limits in any_limits(),
    ) {
        for format in Format::ALL {
            let whole = compose(format, &content);
            let composed = compose_within(format, &content, &limits);
            prop_assert!(limits.fits_body(&composed.body), "{:?} {:?}", limits, composed);
            prop_assert_eq!(composed.body == whole, limits.fits_body(&whole));
            check_report(format, &whole, &composed, &content)?;
            let again = |base: &Fingerprints, limits: &Limits| merge_within(format, &composed.body, base, &content, limits);
            prop_assert_eq!(&again(&composed.base, &limits), &composed);
            prop_assert_eq!(&again(&composed.base, &Limits::UNLIMITED), &composed, "after the limit was raised");
            prop_assert_eq!(again(&Fingerprints::default(), &limits).body, composed.body.as_str(), "the base was lost");
            let stored = Fingerprints::from_pairs(composed.base.iter());
            prop_assert_eq!(&stored, &composed.base);
        }
    }

    #[test]
    fn a_merged_note_is_within_the_limit_unless_foreign_text_alone_is_longer(
        written in long_content(),
        ours in long_content(),
        text in "[a-z <&\"🙂]{0,300}",
        limits in any_limits(),
    ) {
        for format in Format::ALL {
            let composed = compose_within(format, &written, &limits);
            let foreign = match format {
                Format::Html => format!("<p>{}</p>", text.replace(['<', '&', '"'], "&amp;")),
                _ => format!("{text}\n"),
            };
            let body = composed.body.clone() + &foreign;
            let merged = merge_within(format, &body, &composed.base, &ours, &limits);
            prop_assert!(merged.body.contains(&foreign), "{:?} is not in {:?}", foreign, merged);
            // What cannot be removed: the scaffold, the text, and a section that the text has become a part of.
            let document = parse(format, &body);
            let is_ours = |section: Section| {
                let value = document.value(section).unwrap_or_default();
                composed.base.get(section).is_some_and(|known| known.is_of(&ComparedText::new(&value)))
            };
            let stays = document.segments.iter().filter(|segment| !segment.section().is_some_and(is_ours));
            let scaffold = stays.map(|segment| limits.unit.length(&segment.raw)).sum::<usize>() + limits.unit.length(&foreign);
            let is_within = limits.fits_body(&merged.body);
            prop_assert!(is_within || merged.body == body, "{:?} {:?}", limits, merged);
            let is_new = merge(format, &body, &composed.base, &ours).body != body;
            // Without our other sections, the text can become a part of the note.
            let removed = |section: Section| section != NOTE && is_ours(section);
            let left = document.segments.iter().filter(|segment| !segment.section().is_some_and(removed));
            let left: String = left.map(|segment| &*segment.raw).collect();
            let is_joined = parse(format, &left).value(NOTE) != document.value(NOTE);
            prop_assert!(is_within || !is_new || is_joined || scaffold > limits.max_body.unwrap_or_default(), "{:?} {:?}", limits, merged);
        }
    }

    #[test]
    fn a_limit_keeps_the_laws_of_merging(
        (format, body) in any_body(),
        base in any_content(),
        ours in long_content(),
        limits in any_limits(),
    ) {
        let base = base.fingerprints();
        let whole = merge(format, &body, &base, &ours);
        prop_assert_eq!(&merge_within(format, &body, &base, &ours, &Limits::UNLIMITED), &whole);
        let once = merge_within(format, &body, &base, &ours, &limits);
        if limits.fits_body(&whole.body) {
            prop_assert_eq!(&once, &whole);
        }
        prop_assert!(once.body == body || limits.fits_body(&once.body), "{:?} {:?}", limits, once);
        // White space alone is no person's text. It can become a part of a section that is cut.
        if !body.trim().is_empty() {
            check_foreign(format, &body, &once.body)?;
        }
        check_report(format, &whole.body, &once, &ours)?;
        let twice = merge_within(format, &once.body, &once.base, &ours, &limits);
        prop_assert_eq!((twice.body, twice.base), (once.body, once.base));
    }

    #[test]
    fn a_cut_subject_is_the_start_of_the_subject(subject in "\\PC{0,60}", max in 0..60_usize) {
        for unit in UNITS {
            let limits = Limits { max_subject: Some(max), unit, ..Limits::UNLIMITED };
            let cut = limits.cut_subject(&subject);
            prop_assert!(unit.length(&cut) <= max, "{:?} {:?}", limits, cut);
            prop_assert_eq!(limits.cut_subject(&cut), cut.as_ref());
            if unit.length(&subject) <= max {
                prop_assert_eq!(cut, subject.as_str());
            } else if let Some(start) = cut.strip_suffix('…') {
                prop_assert!(subject.starts_with(start));
            } else {
                prop_assert!(max < unit.length("…"), "{:?} {:?}", limits, cut);
            }
        }
    }
}

#[test]
fn a_subject_is_cut_between_characters() {
    for (subject, max, unit, expected) in [
        ("Call from Ann", 13, TextUnit::Characters, "Call from Ann"),
        ("Call from Ann", 12, TextUnit::Characters, "Call from A…"),
        ("Call from Ann", 11, TextUnit::Characters, "Call from…"),
        ("Call from Ann", 1, TextUnit::Characters, "…"),
        ("Call from Ann", 0, TextUnit::Characters, ""),
        ("äöüß", 4, TextUnit::Characters, "äöüß"),
        ("äöüß", 8, TextUnit::Bytes, "äöüß"),
        ("äöüß", 7, TextUnit::Bytes, "äö…"),
        ("👍👍👍", 3, TextUnit::Characters, "👍👍👍"),
        ("👍👍👍", 6, TextUnit::Utf16, "👍👍👍"),
        ("👍👍👍", 5, TextUnit::Utf16, "👍👍…"),
        ("👍👍👍", 4, TextUnit::Utf16, "👍…"),
        // An accent, a skin tone and a joined character stay with theirs.
        ("e\u{301}e\u{301}", 3, TextUnit::Characters, "e\u{301}…"),
        ("xe\u{301}", 2, TextUnit::Characters, "x…"),
        ("x👍\u{1f3fd}!", 3, TextUnit::Characters, "x…"),
        ("x👩\u{200d}👧!", 4, TextUnit::Characters, "x…"),
    ] {
        let limits = Limits { max_subject: Some(max), unit, ..Limits::UNLIMITED };
        assert_eq!(limits.cut_subject(subject), expected, "{limits:?}");
    }
    assert_eq!(Limits::UNLIMITED.cut_subject("any"), "any");
}

/// A note with each section that can be cut, and with lines.
fn full() -> Vec<(Section, String)> {
    let value = |row: &section::Traits| match row.section.is_line() {
        true => "value".to_owned(),
        false => format!("{}: {}", row.key, "word ".repeat(40)),
    };
    SECTIONS.iter().map(|row| (row.section, value(row))).collect()
}

/// The smaller the limit, the more sections are cut or left out, in this order.
#[test]
fn machine_texts_are_shortened_first_then_the_agent_note_then_lines_from_the_last() {
    let order = [
        Section::Transcript,
        Section::AceTranscript,
        Section::AceSummary,
        Section::AceBulletedSummary,
        Section::AiNote,
        Section::Journey,
        NOTE,
        Section::AceLink,
        Section::AceScore,
        Section::Voicemail,
        Section::Recording,
        Section::Result,
        Section::Duration,
        Section::DateTime,
        Section::ContactNumber,
        Section::Subject,
        Section::UserNumber,
        Section::UserName,
        Section::SessionId,
    ];
    let content = Content::of(Some(Direction::Outbound), full());
    for format in Format::ALL {
        let length = compose(format, &content).len();
        let mut seen = Vec::new();
        for max in (0..length).rev().step_by(5) {
            let limits = limits(max, TextUnit::Bytes);
            let composed = compose_within(format, &content, &limits);
            let count = composed.left_out.len();
            let mut left_out = order[..count].to_vec();
            left_out.sort();
            assert_eq!(composed.left_out, left_out, "{limits:?}");
            assert!(composed.cut.is_empty() || composed.cut == [order[count]], "{limits:?} {composed:?}");
            if composed.cut.is_empty() && composed.body.is_empty() {
                break;
            }
            for section in &composed.cut {
                let shown = parse(format, &composed.body).value(*section).unwrap();
                assert!(shown.ends_with(CUT) && shown.len() > 40, "{shown}");
                assert!(
                    limits.max_body.unwrap() - composed.body.len() < 16,
                    "as long as possible: {composed:?}"
                );
            }
            seen.extend(composed.cut);
        }
        seen.dedup();
        assert_eq!(seen, order[..7], "each text is cut before it is left out");
    }
}

const LONG: &str = "The transcript of a call, long enough that it has to be cut when the limit is low. And so on, and so on.";

/// Checks a merge into a note that a limit of 100 characters has cut. The note has `expected` then.
fn check(ours: &[(Section, &str)], limits: &Limits, expected: &str) {
    let written = content(&[(NOTE, "n"), (Section::Transcript, LONG)]);
    let composed = compose_within(Format::Plain, &written, &self::limits(100, TextUnit::Characters));
    let merged = merge_within(Format::Plain, &composed.body, &composed.base, &content(ours), limits);
    assert_eq!(merged.body, expected, "{ours:?} into {composed:?}");
}

#[test]
fn the_whole_value_and_the_cut_one_are_what_we_wrote() {
    let cut = "The transcript of a call, long enough that it has to be cut… (cut)";
    let whole_body = |transcript: &str| format!("- Note: n\n\n- Transcript:\n{transcript}\n--- END\n");
    let (limited, unlimited) = (limits(100, TextUnit::Characters), Limits::UNLIMITED);
    for limits in [limited, unlimited] {
        check(&[(Section::Transcript, LONG)], &limits, &whole_body(cut));
        check(&[(Section::Transcript, cut)], &limits, &whole_body(cut));
        check(&[(Section::Transcript, "new")], &limits, &whole_body("new"));
        check(&[], &limits, &whole_body(cut));
    }
    // Another whole value is new, even if it starts with the cut text.
    check(&[(Section::Transcript, &format!("{LONG} End."))], &limited, &whole_body(cut));
    check(
        &[(Section::Transcript, &format!("{LONG} End."))],
        &unlimited,
        &whole_body(&format!("{LONG} End.")),
    );
}

#[test]
fn a_standing_text_is_cut_again_and_again_to_make_room() {
    let transcript = (Section::Transcript, LONG);
    for format in Format::ALL {
        let mut merged = compose_within(format, &content(&[(NOTE, "n"), transcript]), &Limits::UNLIMITED);
        let limits = limits(TextUnit::Characters.length(&merged.body) + 10, TextUnit::Characters);
        let mut shown = LONG.len();
        for note in ["A longer note that needs room", "A longer note that needs room, and even more of it"] {
            merged = merge_within(format, &merged.body, &merged.base, &content(&[(NOTE, note)]), &limits);
            assert!(limits.fits_body(&merged.body), "{merged:?}");
            assert_eq!(
                (merged.cut.as_slice(), merged.left_out.as_slice()),
                ([Section::Transcript].as_slice(), [].as_slice())
            );
            let document = parse(format, &merged.body);
            assert_eq!(document.value(NOTE).as_deref(), Some(note));
            let cut = document.value(Section::Transcript).unwrap();
            assert!(cut.ends_with(CUT) && cut.matches(CUT).count() == 1 && cut.len() < shown, "{cut}");
            shown = cut.len();
            // The transcript that was whole at first is no news.
            let again =
                merge_within(format, &merged.body, &merged.base, &content(&[transcript]), &Limits::UNLIMITED);
            assert_eq!(again.body, merged.body);
        }
        // There is no room for a part of it that is worth showing.
        let merged = merge_within(format, &merged.body, &merged.base, &content(&[(NOTE, LONG)]), &limits);
        assert_eq!((merged.cut, merged.left_out), (vec![], vec![Section::Transcript]), "{format:?}");
        assert_eq!(parse(format, &merged.body).value(NOTE).as_deref(), Some(LONG));
    }
}

#[test]
fn a_cut_note_that_a_person_edited_is_kept_below_the_next_note() {
    let limits = limits(120, TextUnit::Characters);
    for format in Format::ALL {
        let first = compose_within(format, &content(&[(NOTE, &LONG.repeat(2))]), &limits);
        assert_eq!(first.cut, [NOTE]);
        let merge = |body: &str, ours: &str| {
            merge_within(format, body, &first.base, &content(&[(NOTE, ours)]), &Limits::UNLIMITED).body
        };
        assert!(!merge(&first.body, "next").contains("edited in the CRM"));
        let edited = first.body.replace("long", "very long");
        assert!(merge(&edited, "next").contains("edited in the CRM"));
        assert_eq!(merge(&edited, &LONG.repeat(2)), edited, "the whole note again is no news");
    }
}

#[test]
fn foreign_text_below_a_cut_block_stays_when_the_base_was_lost() {
    let limits = limits(120, TextUnit::Characters);
    for section in [Section::Transcript, Section::AiNote] {
        let ours = content(&[(section, &LONG.repeat(2))]);
        let body = compose_within(Format::Markdown, &ours, &limits).body + "A person's text\n";
        let limits = self::limits(500, TextUnit::Characters);
        let merged = merge_within(Format::Markdown, &body, &Fingerprints::default(), &ours, &limits);
        assert_eq!((&merged.body, merged.cut), (&body, vec![section]));
        let next = content(&[(section, "next")]);
        let next = merge_within(Format::Markdown, &body, &merged.base, &next, &limits);
        assert!(next.body.ends_with("next\nA person's text\n"), "{next:?}");
    }
}

#[test]
fn nothing_is_written_beside_foreign_text_that_leaves_no_room() {
    let foreign = "A person wrote this. ".repeat(10);
    for format in Format::ALL {
        let written = compose(format, &content(&[(Section::Result, "r")]));
        let body = written + &foreign;
        let base = content(&[(Section::Result, "r")]).fingerprints();
        let ours = content(&[(NOTE, "note"), (Section::Result, "new")]);
        let limits = limits(foreign.len() - 1, TextUnit::Characters);
        let merged = merge_within(format, &body, &base, &ours, &limits);
        let left_out = vec![NOTE, Section::Result];
        assert_eq!(merged, Merged { body: body.clone(), base, cut: vec![], left_out });
        let none = merge_within(format, &body, &merged.base, &content(&[]), &limits);
        assert_eq!((none.body, none.left_out), (body, vec![]), "nothing is new");
    }
}

#[test]
fn a_section_that_was_left_out_appears_when_it_is_new() {
    for format in Format::ALL {
        let written = content(&[(Section::Result, "r"), (Section::Transcript, LONG)]);
        let limits = limits(compose(format, &content(&[(Section::Result, "r")])).len(), TextUnit::Characters);
        let composed = compose_within(format, &written, &limits);
        assert_eq!(composed.left_out, [Section::Transcript]);
        for (transcript, is_shown) in [(LONG, false), ("new", true)] {
            let ours = content(&[(Section::Transcript, transcript)]);
            let merged = merge_within(format, &composed.body, &composed.base, &ours, &Limits::UNLIMITED);
            assert_eq!(
                parse(format, &merged.body).value(Section::Transcript).is_some(),
                is_shown,
                "{merged:?}"
            );
        }
    }
}

/// Without the transcript between them, a person's text follows the note directly, and so it is a part of the note. Then the note
/// is not only ours, and stays as it is.
#[test]
fn a_note_that_foreign_text_would_join_is_not_cut() {
    let limits = limits(120, TextUnit::Characters);
    let written = Content::of(None, [(NOTE, "Hi".to_owned()), (Section::AceTranscript, "a ".repeat(40))]);
    let composed = compose_within(Format::Plain, &written, &limits);
    let body = format!("{} A person's text, of which nothing may be lost.\n", composed.body);
    let ours = Content::of(None, [(NOTE, "new ".repeat(30))]);
    let merged = merge_within(Format::Plain, &body, &composed.base, &ours, &limits);
    assert_eq!((merged.body, merged.left_out), (body, vec![NOTE]));
}
