//! What became known later, written into what people made of the body since: a three-way merge, section by section.
//!
//! The base is what we wrote last, theirs what the CRM has now, ours what is to be written.

use super::{
    Content, Fingerprints, Format, PENDING_LINK, Section,
    fingerprint::Print,
    markup::{Form, Item, Kind, Piece, end_of_lines, insert, place},
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
    let form = format.form();
    let mut pieces = parse(format, existing).pieces;
    let mut base = base.clone();
    catch_up(form, &pieces, &mut base);
    for (section, value) in ours.iter() {
        let item = Item { section, value, direction: ours.direction };
        let print = Print::of(value);
        match merge_section(form, &mut pieces, base.get(section), item, &print) {
            Known::Before => {}
            Known::Ours => base.set(section, print),
        }
    }
    Merged { body: pieces.into_iter().map(|piece| piece.raw).collect(), base }
}

/// Where something stands that was told since the last was noted, that is the base: whoever wrote it has died before
/// noting it. Otherwise it would pass for a person's.
fn catch_up(form: &dyn Form, pieces: &[Piece<'_>], base: &mut Fingerprints) {
    for section in base.told_sections() {
        let Some(piece) = pieces.iter().find(|piece| piece.section() == Some(section)) else { continue };
        let value = form.decode(section, piece.encoded());
        let whole = Print::of(&value);
        let is_open = form.is_open_ended() && section.is_block();
        let lines = |print: &Print| match is_open {
            true => print.opening_of(&value),
            false => print.says(&whole).then_some(0),
        };
        let mut standing = None;
        for print in base.candidates(section) {
            let lines = lines(print);
            if lines > standing.map(|(lines, _)| lines) {
                standing = lines.map(|lines| (lines, print));
            }
        }
        if let Some((_, print)) = standing {
            let print = print.clone();
            base.set(section, print);
        }
    }
}

/// What the base says of a section from then on.
enum Known {
    Before,
    Ours,
}

fn merge_section(
    form: &dyn Form,
    pieces: &mut Vec<Piece<'_>>,
    base: Option<&Print>,
    item: Item<'_>,
    ours: &Print,
) -> Known {
    if base == Some(ours) {
        return Known::Before;
    }
    let is_ours_as_before = base.is_some_and(|base| base.says(ours));
    let is_ours_pending = is_placeholder(item.section, item.value);
    let Some(at) = pieces.iter().position(|piece| piece.section() == Some(item.section)) else {
        if is_ours_as_before || is_ours_pending && base.is_some() {
            return Known::Before;
        }
        place(form, pieces, item);
        return Known::Ours;
    };

    let piece = &pieces[at];
    let length = opening(form, piece, item.section, base, ours).unwrap_or(piece.value.len());
    let encoded = &piece.encoded()[..length];
    let value = form.decode(item.section, encoded);
    let theirs = Print::of(&value);
    let is_theirs_as_before = base.is_some_and(|base| base.says(&theirs));
    let is_theirs_pending = is_placeholder(item.section, &value);
    if ours.says(&theirs) {
        // Somebody may have moved line breaks; unless it was us, they stay.
        let is_respaced = is_ours_as_before && value != item.value;
        if !is_respaced {
            return Known::Ours;
        }
    } else if is_ours_as_before || is_ours_pending && !is_theirs_pending && !value.trim().is_empty() {
        return Known::Before;
    }

    let is_edited = !is_theirs_as_before && !is_theirs_pending && !value.trim().is_empty();
    // Who wrote a section is not known of a note that somebody else began: a person's text may stand in any.
    let is_strange = base.is_some_and(Print::is_unknown);
    let is_text = item.section.is_block() || item.section == Section::Subject;
    if is_edited && is_strange && item.section.is_line() && !is_text {
        return Known::Ours;
    }
    let is_kept = is_edited && (item.section.shape() == Shape::Header || is_strange && is_text);
    let is_new = |kept: &String| {
        let print = Print::of(kept);
        !pieces.iter().any(|piece| piece.kind == Kind::Kept && Print::of(&piece.raw).says(&print))
    };
    let kept = is_kept.then(|| form.keep(encoded)).filter(is_new);
    let rest = &piece.encoded()[length..];
    // Those in a text that is kept are kept with it.
    let within = if kept.is_some() { "" } else { encoded };
    let around = [&piece.raw[..piece.value.start], within, &piece.raw[piece.value.end..]];
    let comments = around.map(|raw| form.comments(raw)).concat();
    pieces[at].raw = (form.write(item, Some(&piece.raw)) + rest + &comments).into();
    if let Some(kept) = kept {
        // Not among the lines.
        let at = if item.section.is_line() { end_of_lines(pieces) } else { at + 1 };
        insert(form, pieces, at, Kind::Kept, kept);
    }
    Known::Ours
}

/// How much of a value that has no end of its own is what we wrote, before or now: what follows is somebody else's.
fn opening(
    form: &dyn Form,
    piece: &Piece<'_>,
    section: Section,
    base: Option<&Print>,
    ours: &Print,
) -> Option<usize> {
    if !form.is_open_ended() || !section.is_block() {
        return None;
    }
    let decoded = form.decode(section, piece.encoded());
    let lines = base.and_then(|base| base.opening_of(&decoded)).max(ours.opening_of(&decoded))?;
    Some(piece.encoded().split_inclusive('\n').take(lines).map(str::len).sum())
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
