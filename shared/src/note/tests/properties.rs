//! Properties that hold for all values and all bodies.

use proptest::{prelude::*, sample::Index};

use super::{
    super::{
        fingerprint::{ComparedText, Fingerprint},
        markup::SegmentKind,
        *,
    },
    any_body, any_content,
};

/// Splits content into one content per section.
fn parts(content: &Content) -> Vec<Content> {
    let part =
        |(section, value): (Section, &str)| Content::of(content.direction, [(section, value.to_owned())]);
    content.iter().map(part).collect()
}

/// Fails unless `after` has the foreign segments of `before`, in order and unchanged.
pub(super) fn check_foreign(format: Format, before: &str, after: &str) -> Result<(), TestCaseError> {
    let mut rest = after;
    for segment in parse(format, before).segments {
        if matches!(segment.kind, SegmentKind::Foreign | SegmentKind::Kept | SegmentKind::OpenComment) {
            let at = rest.find(segment.raw.as_ref());
            prop_assert!(at.is_some(), "{:?} of {before:?} is not in {rest:?} of {after:?}", segment.raw);
            rest = &rest[at.unwrap() + segment.raw.len()..];
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_parsed_body_renders_byte_for_byte((_, body) in any_body()) {
        for format in Format::ALL {
            prop_assert_eq!(parse(format, &body).render(), body.as_str());
        }
    }

    #[test]
    fn a_composed_body_has_the_values_that_were_written(content in any_content()) {
        for format in Format::ALL {
            let body = compose(format, &content);
            let document = parse(format, &body);
            let read: Vec<_> = document.segments.iter().filter_map(markup::Segment::section).collect();
            let read: Vec<_> = read.into_iter().map(|section| (section, document.value(section).unwrap_or_default())).collect();
            let written: Vec<_> = content.iter().map(|(section, value)| (section, value.to_owned())).collect();
            prop_assert_eq!(read, written, "{:?} {:?}", format, body);
            let foreign = document.segments.iter().filter(|segment| matches!(segment.kind, SegmentKind::Foreign | SegmentKind::Kept));
            prop_assert!(foreign.clone().all(|segment| segment.raw == "</ul>"), "{:?} {:?}", format, body);
        }
    }

    #[test]
    fn a_merge_into_an_empty_body_composes_it(content in any_content()) {
        for format in Format::ALL {
            let merged = merge(format, "", &Fingerprints::default(), &content);
            prop_assert_eq!(merged.body, compose(format, &content));
            prop_assert_eq!(merged.base, content.fingerprints());
        }
    }

    #[test]
    fn merging_twice_changes_nothing_more((format, body) in any_body(), base in any_content(), ours in any_content()) {
        let base = base.fingerprints();
        let once = merge(format, &body, &base, &ours);
        let twice = merge(format, &once.body, &once.base, &ours);
        prop_assert_eq!(&twice, &once);
        let repeated = merge(format, &once.body, &base, &ours);
        prop_assert_eq!(&repeated.body, &once.body, "with the base from before the first merge");
    }

    #[test]
    fn sections_may_be_merged_in_any_order((format, body) in any_body(), ours in any_content(), order in any::<[Index; 19]>()) {
        let all = merge(format, &body, &Fingerprints::default(), &ours);
        let mut parts = parts(&ours);
        if parts.is_empty() {
            // The direction alone can change a label.
            parts.push(ours.clone());
        }
        let mut one_by_one = Merged { body: body.clone(), base: Fingerprints::default(), cut: vec![], left_out: vec![] };
        for next in order {
            if !parts.is_empty() {
                let part = parts.remove(next.index(parts.len()));
                one_by_one = merge(format, &one_by_one.body, &one_by_one.base, &part);
            }
        }
        prop_assert_eq!(one_by_one, all, "{:?}", body);
    }

    #[test]
    fn a_merge_keeps_foreign_text((format, body) in any_body(), base in any_content(), ours in any_content()) {
        check_foreign(format, &body, &merge(format, &body, &base.fingerprints(), &ours).body)?;
    }

    #[test]
    fn merged_values_are_read_back((format, body) in any_body(), ours in any_content()) {
        let merged = merge(format, &body, &Fingerprints::default(), &ours).body;
        let document = parse(format, &merged);
        for (section, value) in ours.iter() {
            let read = document.value(section).unwrap_or_default();
            let (ours, theirs) = (Fingerprint::of(value), ComparedText::new(&read));
            let is_pending = merge::is_placeholder(section, value);
            // Text below a block in Markdown is read as a part of the block.
            let is_opening = section.is_block() && format == Format::Markdown && ours.opening_lines(&read).is_some();
            prop_assert!(is_pending || is_opening || ours.is_of(&theirs), "{section:?} is {read:?} in {merged:?}");
        }
    }

    #[test]
    fn an_unconfirmed_text_in_the_body_counts_as_ours(
        standing in any_content(),
        other in any_content(),
        ours in any_content(),
    ) {
        for format in Format::ALL {
            let body = compose(format, &standing);
            let (known, other) = (standing.fingerprints(), other.fingerprints());
            let confirmed = merge(format, &body, &known, &ours).body;
            let unconfirmed = merge(format, &body, &Fingerprints::unconfirmed([&known]), &ours).body;
            prop_assert_eq!(&unconfirmed, &confirmed, "{:?}: unconfirmed only", format);
            let both = known.clone().with_unconfirmed_texts(&Fingerprints::unconfirmed([&other]).unconfirmed_texts());
            prop_assert_eq!(&merge(format, &body, &both, &ours).body, &confirmed, "{:?}: confirmed, and another unconfirmed", format);
        }
    }

    #[test]
    fn text_that_a_person_adds_stays(
        written in any_content(),
        ours in any_content(),
        text in "[a-zA-Z0-9 .,äß漢🙂]{0,20}[a-z]",
        at in any::<Index>(),
    ) {
        for format in Format::ALL {
            let body = compose(format, &written);
            let ends: Vec<_> = parse(format, &body).segments.iter().scan(0, |end, segment| {
                *end += segment.raw.len();
                Some(*end)
            }).chain([0]).collect();
            let (above, below) = body.split_at(ends[at.index(ends.len())]);
            let added = match format {
                Format::Html => format!("<p>{text}</p>"),
                _ => format!("{text}\n"),
            };
            let merged = merge(format, &format!("{above}{added}{below}"), &written.fingerprints(), &ours).body;
            prop_assert!(merged.contains(text.trim()), "{format:?}: {merged:?}");
        }
    }
}
