//! What became known later, written into what people made of the body since: a three-way merge, section by section.
//!
//! The base is what we wrote last, theirs what the CRM has now, ours what is to be written.

use super::{
    Content, Fingerprints, Format, PENDING_LINK, Section,
    fingerprint::Fingerprint,
    markup::{Entry, Markup, Segment, SegmentKind, end_of_lines, insert, place},
    parse::parse,
    section::Shape,
};

/// What server-side logging notes until a person does.
const PENDING_NOTES: [&str; 2] = ["From auto logging (Pending)", "From auto logging"];

/// A body with everything in it, and what we know of it from then on.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub body: String,
    pub base: Fingerprints,
}

/// Writes what is new in `ours` into an existing body. What others wrote there stays, and the same once more changes
/// nothing.
pub fn merge(format: Format, existing: &str, base: &Fingerprints, ours: &Content) -> Merged {
    let markup = format.markup();
    let mut segments = parse(format, existing).segments;
    let mut base = base.clone();
    catch_up(markup, &segments, &mut base);
    for (section, value) in ours.iter() {
        let entry = Entry { section, value, direction: ours.direction };
        let fingerprint = Fingerprint::of(value);
        match merge_section(markup, &mut segments, base.get(section), entry, &fingerprint) {
            Known::Before => {}
            Known::Ours => base.set(section, fingerprint),
        }
    }
    Merged { body: segments.into_iter().map(|segment| segment.raw).collect(), base }
}

/// Where something stands that was told since the last was noted, that is the base: whoever wrote it has died before
/// noting it. Otherwise it would pass for a person's.
fn catch_up(markup: &dyn Markup, segments: &[Segment<'_>], base: &mut Fingerprints) {
    for section in base.unconfirmed_sections() {
        let Some(segment) = segments.iter().find(|segment| segment.section() == Some(section)) else {
            continue;
        };
        let value = markup.decode(section, segment.encoded());
        let whole = Fingerprint::of(&value);
        let is_open = markup.is_open_ended() && section.is_block();
        let lines = |fingerprint: &Fingerprint| match is_open {
            true => fingerprint.opening_lines(&value),
            false => fingerprint.has_same_words(&whole).then_some(0),
        };
        let mut standing = None;
        for fingerprint in base.candidates(section) {
            let lines = lines(fingerprint);
            if lines > standing.map(|(lines, _)| lines) {
                standing = lines.map(|lines| (lines, fingerprint));
            }
        }
        if let Some((_, fingerprint)) = standing {
            let fingerprint = fingerprint.clone();
            base.set(section, fingerprint);
        }
    }
}

/// What the base says of a section from then on.
enum Known {
    Before,
    Ours,
}

fn merge_section(
    markup: &dyn Markup,
    segments: &mut Vec<Segment<'_>>,
    base: Option<&Fingerprint>,
    entry: Entry<'_>,
    ours: &Fingerprint,
) -> Known {
    if base == Some(ours) {
        return Known::Before;
    }
    let is_ours_as_before = base.is_some_and(|base| base.has_same_words(ours));
    let is_ours_pending = is_placeholder(entry.section, entry.value);
    let Some(at) = segments.iter().position(|segment| segment.section() == Some(entry.section)) else {
        if is_ours_as_before || is_ours_pending && base.is_some() {
            return Known::Before;
        }
        place(markup, segments, entry);
        return Known::Ours;
    };

    let segment = &segments[at];
    let length = opening(markup, segment, entry.section, base, ours).unwrap_or(segment.value.len());
    let encoded = &segment.encoded()[..length];
    let value = markup.decode(entry.section, encoded);
    let theirs = Fingerprint::of(&value);
    let is_theirs_as_before = base.is_some_and(|base| base.has_same_words(&theirs));
    let is_theirs_pending = is_placeholder(entry.section, &value);
    if ours.has_same_words(&theirs) {
        // Somebody may have moved line breaks; unless it was us, they stay.
        let is_respaced = is_ours_as_before && value != entry.value;
        if !is_respaced {
            return Known::Ours;
        }
    } else if is_ours_as_before || is_ours_pending && !is_theirs_pending && !value.trim().is_empty() {
        return Known::Before;
    }

    let is_edited = !is_theirs_as_before && !is_theirs_pending && !value.trim().is_empty();
    // Who wrote a section is not known of a note that somebody else began: a person's text may stand in any.
    let is_strange = base.is_some_and(Fingerprint::is_unknown);
    let is_text = entry.section.is_block() || entry.section == Section::Subject;
    if is_edited && is_strange && entry.section.is_line() && !is_text {
        return Known::Ours;
    }
    let is_kept = is_edited && (entry.section.shape() == Shape::Header || is_strange && is_text);
    let is_new = |kept: &String| {
        let fingerprint = Fingerprint::of(kept);
        !segments.iter().any(|segment| {
            segment.kind == SegmentKind::Kept && Fingerprint::of(&segment.raw).has_same_words(&fingerprint)
        })
    };
    let kept = is_kept.then(|| markup.keep(encoded)).filter(is_new);
    let rest = &segment.encoded()[length..];
    // Those in a text that is kept are kept with it.
    let within = if kept.is_some() { "" } else { encoded };
    let around = [&segment.raw[..segment.value.start], within, &segment.raw[segment.value.end..]];
    let comments = around.map(|raw| markup.comments(raw)).concat();
    segments[at].raw = (markup.write(entry, Some(&segment.raw)) + rest + &comments).into();
    if let Some(kept) = kept {
        // Not among the lines.
        let at = if entry.section.is_line() { end_of_lines(segments) } else { at + 1 };
        insert(markup, segments, at, SegmentKind::Kept, kept);
    }
    Known::Ours
}

/// How much of a value that has no end of its own is what we wrote, before or now: what follows is somebody else's.
fn opening(
    markup: &dyn Markup,
    segment: &Segment<'_>,
    section: Section,
    base: Option<&Fingerprint>,
    ours: &Fingerprint,
) -> Option<usize> {
    if !markup.is_open_ended() || !section.is_block() {
        return None;
    }
    let decoded = markup.decode(section, segment.encoded());
    let lines = base.and_then(|base| base.opening_lines(&decoded)).max(ours.opening_lines(&decoded))?;
    Some(segment.encoded().split_inclusive('\n').take(lines).map(str::len).sum())
}

/// Whether a value only stands in for one that is not known yet.
pub fn is_placeholder(section: Section, value: &str) -> bool {
    let value = value.trim();
    match section {
        Section::AgentNote => PENDING_NOTES.contains(&value),
        Section::Duration => value == "pending",
        section => section.is_line() && value == PENDING_LINK,
    }
}
