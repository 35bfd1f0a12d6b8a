//! Fits a note into the limits of a CRM.
//!
//! Text that we wrote is shortened, one section after the other, until the body fits. Foreign text is never shortened.

use super::{
    Content, Fingerprints, Format, Limits, Merged, Section,
    compose::compose,
    fingerprint::{ComparedText, Fingerprint},
    limits::{CUT, MIN_SHOWN, longest_start},
    markup::{Entry, render},
    merge::{Standing, merge, merge_without, rewrite},
    parse::parse,
    section::SECTIONS,
};

/// The sections that are cut, in this order. Below them, lines are left out from the last one on.
const CUT_ORDER: [Section; 7] = [
    Section::Transcript,
    Section::AceTranscript,
    Section::AceSummary,
    Section::AceBulletedSummary,
    Section::AiNote,
    Section::Journey,
    Section::AgentNote,
];

/// Composes a body within limits: [`compose`](super::compose()), but with the base to store and with the sections that
/// are cut or left out.
pub fn compose_within(format: Format, content: &Content, limits: &Limits) -> Merged {
    let body = compose(format, content);
    if limits.fits_body(&body) {
        return Merged { body, base: content.fingerprints(), cut: Vec::new(), left_out: Vec::new() };
    }
    merge_within(format, "", &Fingerprints::default(), content, limits)
}

/// Merges content into an existing body within limits: [`merge`], but sections of ours are cut or left out if the body
/// would be too long.
///
/// A body that the merge does not change stays as it is, even if it is too long: the CRM has accepted it. If foreign text
/// alone is too long, the body and the base stay as they are, and everything new is left out.
pub fn merge_within(
    format: Format,
    existing: &str,
    base: &Fingerprints,
    ours: &Content,
    limits: &Limits,
) -> Merged {
    let whole = merge(format, existing, base, ours);
    if whole.body == existing || limits.fits_body(&whole.body) {
        return whole;
    }
    let lines = SECTIONS.iter().rev().map(|row| row.section).filter(|section| section.is_line());
    let (mut merged, mut shortened, mut left_out) = (whole.clone(), Vec::new(), Vec::new());
    for section in CUT_ORDER.into_iter().chain(lines) {
        match shorten(format, &merged, ours, section, limits) {
            Shortened::NotOurs => continue,
            Shortened::Cut(cut) => {
                merged = *cut;
                shortened.push(section);
            }
            Shortened::LeftOut => {
                left_out.push(section);
                merged = merge_without(format, existing, base, ours, &left_out);
            }
        }
        if limits.fits_body(&merged.body) {
            return Merged {
                cut: united(merged.cut, shortened),
                left_out: united(merged.left_out, left_out),
                ..merged
            };
        }
    }
    let is_new = |section: &Section| whole.base.get(*section) != base.get(*section);
    let left_out = ours.iter().map(|(section, _)| section).filter(is_new).collect();
    Merged { body: existing.to_owned(), base: base.clone(), cut: Vec::new(), left_out }
}

/// Returns the sections of two lists in their order, each once.
fn united(one: Vec<Section>, other: Vec<Section>) -> Vec<Section> {
    let mut all = [one, other].concat();
    all.sort();
    all.dedup();
    all
}

/// The result of shortening a section.
enum Shortened {
    /// The body does not have the section, or not as we wrote it.
    NotOurs,
    /// The body fits now.
    Cut(Box<Merged>),
    /// There is no room for the shortest text that is worth showing.
    LeftOut,
}

/// Cuts a section so that the body fits.
fn shorten(format: Format, merged: &Merged, ours: &Content, section: Section, limits: &Limits) -> Shortened {
    let (markup, mut segments) = (format.markup(), parse(format, &merged.body).segments);
    let base = merged.base.get(section);
    let standing = Standing::find(markup, &segments, section, [base, None], None);
    let (Some(base), Some(standing)) = (base, standing) else { return Shortened::NotOurs };
    if !base.is_of(&ComparedText::new(&standing.value)) {
        return Shortened::NotOurs;
    }
    if section.is_line() {
        return Shortened::LeftOut;
    }
    // Of a section that this update does not bring, only the standing text is known.
    let whole = ours.get(section).filter(|value| base.is_whole(&Fingerprint::of(value)));
    let whole = whole.unwrap_or(standing.value.strip_suffix(CUT).unwrap_or(&standing.value));
    let around = [&segments[..standing.at], &segments[standing.at + 1..]].map(render);
    let around: usize = around.iter().map(|text| limits.unit.length(text)).sum();
    let cut = longest_start(whole, MIN_SHOWN, |start| {
        let cut = format!("{start}{CUT}");
        let entry = Entry { section, value: &cut, direction: ours.direction };
        let raw = rewrite(markup, &segments[standing.at], entry, &standing, false);
        let length = around + limits.unit.length(&raw);
        limits.max_body.is_none_or(|max| length <= max).then_some((cut, raw))
    });
    let Some((cut, raw)) = cut else { return Shortened::LeftOut };
    let sent = base.sent_as(Some(&cut));
    segments[standing.at].raw = raw.into();
    let mut cut = Merged { body: render(&segments), ..merged.clone() };
    cut.base.set(section, sent);
    Shortened::Cut(Box::new(cut))
}
