//! The three-way merge: writes what is new into a body that people may have edited.
//!
//! Each section is merged by itself. Three versions of it are compared: the *base* (what we last wrote, known by its
//! fingerprint), *theirs* (what the CRM's body has now) and *ours* (what this update brings). [`decide`] is the table
//! of `docs/note-format.md`, section "Updating".

use super::{
    Content, Fingerprints, Format, PENDING_LINK, Section,
    fingerprint::{ComparedText, Fingerprint},
    limits::{is_cut_of, lines_up_to_cut},
    markup::{Entry, Markup, Segment, SegmentKind, end_of_lines, find, insert, place, render},
    parse::parse,
};

/// The notes that server-side logging writes until a person writes one.
const PENDING_NOTES: [&str; 2] = ["From auto logging (Pending)", "From auto logging"];

/// The result of a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The body to write to the CRM. It equals the existing body if the update brings nothing new.
    pub body: String,
    /// The fingerprints to store when the CRM has this body: the base of the next merge.
    pub base: Fingerprints,
    /// The sections of the update that the body shows cut, and sections that were cut to make room for the update.
    pub cut: Vec<Section>,
    /// The sections of the update, or of the existing body, for which the body has no room.
    pub left_out: Vec<Section>,
}

impl Merged {
    /// Returns the sections that the body does not show in full.
    pub fn shortened(&self) -> Vec<Section> {
        self.cut.iter().chain(&self.left_out).copied().collect()
    }

    fn new(body: String, base: Fingerprints, ours: &Content) -> Merged {
        let shortened = |(section, value): (Section, &str)| {
            let known = base.get(section).filter(|known| known.is_shortened())?;
            known.is_whole(&Fingerprint::of(value)).then(|| (section, known.is_left_out()))
        };
        let (left_out, cut): (Vec<_>, Vec<_>) =
            ours.iter().filter_map(shortened).partition(|(_, is_left_out)| *is_left_out);
        let sections = |list: Vec<(Section, bool)>| list.into_iter().map(|(section, _)| section).collect();
        Merged { cut: sections(cut), left_out: sections(left_out), body, base }
    }
}

/// Merges content into an existing body.
///
/// Text that people wrote stays. Merging the same content again changes nothing. `base` holds the fingerprints of what
/// we last wrote into this body; for a body that we did not write it is [`Fingerprints::unknown`].
///
/// The [module documentation](super) has an example.
pub fn merge(format: Format, existing: &str, base: &Fingerprints, ours: &Content) -> Merged {
    merge_without(format, existing, base, ours, &[])
}

/// Merges content without some sections. Where the body has them as we wrote them, they are removed.
pub(super) fn merge_without(
    format: Format,
    existing: &str,
    base: &Fingerprints,
    ours: &Content,
    left_out: &[Section],
) -> Merged {
    let markup = format.markup();
    let mut segments = parse(format, existing).segments;
    let mut base = base.clone();
    if let Some(direction) = ours.direction {
        markup.relabel(&mut segments, direction);
    }
    confirm_standing_texts(markup, &segments, &mut base);
    for section in left_out {
        remove(markup, &mut segments, base.get(*section), *section, ours.get(*section));
    }
    for (section, value) in ours.iter() {
        let entry = Entry { section, value, direction: ours.direction };
        let is_left_out = left_out.contains(&section);
        if let Some(written) = merge_section(markup, &mut segments, base.get(section), entry, is_left_out) {
            base.set(section, written);
        }
    }
    for section in left_out {
        base.leave_out(*section);
    }
    Merged::new(render(&segments), base, ours)
}

/// Returns `true` if a value stands for one that is not known yet: `(pending...)` for a link, `pending` for the
/// duration, or the note of server-side logging.
pub fn is_placeholder(section: Section, value: &str) -> bool {
    let value = value.trim();
    match section {
        Section::AgentNote => PENDING_NOTES.contains(&value),
        Section::Duration => value == "pending",
        section => section.is_line() && value == PENDING_LINK,
    }
}

/// Makes an unconfirmed text the base of its section if the body has it.
///
/// Such a text is ours: the lease holder that wrote it ended before it stored the fingerprint. Without this step the
/// text would pass for a person's edit.
fn confirm_standing_texts(markup: &dyn Markup, segments: &[Segment<'_>], base: &mut Fingerprints) {
    for section in base.unconfirmed_sections() {
        let Some(at) = find(segments, SegmentKind::Section(section)) else { continue };
        let value = markup.decode(section, segments[at].encoded());
        let whole = ComparedText::new(&value);
        let is_open_ended = markup.is_open_ended() && section.is_block();
        let matching_lines = |candidate: &Fingerprint| match is_open_ended {
            true => candidate.opening_lines(&value),
            false => candidate.is_of(&whole).then_some(0),
        };
        let matches = base.candidates(section).filter_map(|text| Some((matching_lines(text)?, text)));
        // The longest text, and the confirmed one, which comes first, if two are equally long.
        let longest = matches.reduce(|best, next| if next.0 > best.0 { next } else { best });
        if let Some((_, text)) = longest {
            let text = text.clone();
            base.set(section, text);
        }
    }
}

/// A section in an update, compared with the base. A text that equals the base is not among these: it changes nothing.
#[derive(Clone, Copy, Debug)]
enum Ours {
    /// The words of the base, with other spaces or line breaks.
    BaseRespaced,
    /// A placeholder.
    Placeholder,
    /// Any other text.
    New,
}

impl Ours {
    /// Returns `None` if the text equals the base.
    fn of(entry: Entry<'_>, fingerprint: &Fingerprint, base: Option<&Fingerprint>) -> Option<Ours> {
        match base {
            Some(base) if base.is_exactly(fingerprint) => None,
            Some(base) if base.has_same_words(fingerprint) => Some(Ours::BaseRespaced),
            _ if is_placeholder(entry.section, entry.value) => Some(Ours::Placeholder),
            _ => Some(Ours::New),
        }
    }
}

/// A section in the CRM's body, compared with ours and with the base.
#[derive(Clone, Copy, Debug)]
enum Theirs {
    /// No such section, and we never wrote it.
    Absent,
    /// No such section, but we wrote it: a person deleted it.
    Deleted,
    /// The text of ours.
    Ours,
    /// The words of ours, with other spaces or line breaks.
    OursRespaced,
    /// The start of ours, cut. Its fingerprint is not stored yet.
    OursCut,
    /// No text, or a placeholder.
    Vacant,
    /// The words of the base.
    Base,
    /// Other words than the base: a person edited it.
    Edited,
    /// Other words than ours, in a body that we did not write. A person or a program wrote them.
    UnknownAuthor,
}

impl Theirs {
    fn of(
        entry: Entry<'_>,
        ours: &Fingerprint,
        base: Option<&Fingerprint>,
        standing: Option<&Standing>,
    ) -> Theirs {
        let Some(Standing { value, .. }) = standing else {
            return if base.is_some() { Theirs::Deleted } else { Theirs::Absent };
        };
        if value == entry.value {
            return Theirs::Ours;
        }
        let theirs = ComparedText::new(value);
        let is_base = base.is_some_and(|base| base.is_of(&theirs));
        // Theirs can be both: if only rare characters are new, it is the base, and ours was not written yet.
        let is_other_base = is_base && base.is_some_and(|base| !base.has_same_words(ours));
        match base {
            _ if value.trim().is_empty() => Theirs::Vacant,
            _ if ours.is_of(&theirs) && !is_other_base => Theirs::OursRespaced,
            _ if is_placeholder(entry.section, value) => Theirs::Vacant,
            _ if is_base => Theirs::Base,
            _ if is_cut_of(value, entry.value) => Theirs::OursCut,
            Some(base) if base.is_unknown() => Theirs::UnknownAuthor,
            _ => Theirs::Edited,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing is written, and the base stays.
    TheirsStays,
    /// Nothing is written, and ours becomes the base.
    TheirsIsAccepted,
    /// Ours is written.
    Ours,
    /// Ours is written, and theirs becomes foreign text below it.
    Both,
}

/// Decides what becomes of a section.
///
/// | Ours | Theirs | Outcome |
/// |---|---|---|
/// | absent, or equal to the base | anything | theirs stays; this case is settled before `decide` |
/// | the words of the base, respaced | the words of ours, respaced otherwise | ours |
/// | anything else | the words of ours, or what was left of them | nothing is written; ours becomes the base |
/// | the words of the base, respaced | anything else | theirs stays |
/// | a placeholder | a text, or deleted by a person | theirs stays |
/// | a placeholder or new | absent, empty or a placeholder | ours |
/// | new | deleted by a person, or the base | ours |
/// | new | edited: agent note | both: ours, and theirs below it |
/// | new | edited: any other section | ours |
/// | new | of an unknown author: a line or a link, but not the subject | nothing is written; ours becomes the base |
/// | new | of an unknown author: agent note, subject or a block | both: ours, and theirs below it |
fn decide(section: Section, ours: Ours, theirs: Theirs) -> Outcome {
    let is_free_text = !section.is_line() || section == Section::Subject;
    match (ours, theirs) {
        (Ours::BaseRespaced, Theirs::OursRespaced) => Outcome::Ours,
        (_, Theirs::Ours | Theirs::OursRespaced | Theirs::OursCut) => Outcome::TheirsIsAccepted,
        (Ours::BaseRespaced, _) => Outcome::TheirsStays,
        (Ours::Placeholder, Theirs::Absent | Theirs::Vacant) => Outcome::Ours,
        (Ours::Placeholder, _) => Outcome::TheirsStays,
        (Ours::New, Theirs::Absent | Theirs::Deleted | Theirs::Vacant | Theirs::Base) => Outcome::Ours,
        (Ours::New, Theirs::Edited) if section == Section::AgentNote => Outcome::Both,
        (Ours::New, Theirs::Edited) => Outcome::Ours,
        (Ours::New, Theirs::UnknownAuthor) if is_free_text => Outcome::Both,
        (Ours::New, Theirs::UnknownAuthor) => Outcome::TheirsIsAccepted,
    }
}

/// Merges one section; if it `is_left_out`, nothing is written. Returns its new base, or `None` if the base stays.
fn merge_section(
    markup: &dyn Markup,
    segments: &mut Vec<Segment<'_>>,
    base: Option<&Fingerprint>,
    entry: Entry<'_>,
    is_left_out: bool,
) -> Option<Fingerprint> {
    let fingerprint = Fingerprint::of(entry.value);
    let ours = Ours::of(entry, &fingerprint, base)?;
    let standing =
        Standing::find(markup, segments, entry.section, [base, Some(&fingerprint)], Some(entry.value));
    let theirs = Theirs::of(entry, &fingerprint, base, standing.as_ref());
    match (decide(entry.section, ours, theirs), standing) {
        (Outcome::TheirsStays, _) => return None,
        (Outcome::TheirsIsAccepted, Some(standing)) if matches!(theirs, Theirs::OursCut) => {
            return Some(fingerprint.sent_as(Some(&standing.value)));
        }
        (Outcome::TheirsIsAccepted, _) => {}
        _ if is_left_out => {}
        (Outcome::Ours | Outcome::Both, None) => place(markup, segments, entry),
        (Outcome::Ours, Some(standing)) => replace(markup, segments, entry, &standing, false),
        (Outcome::Both, Some(standing)) => replace(markup, segments, entry, &standing, true),
    }
    Some(fingerprint)
}

/// Removes a section that stands as we wrote it, or as we are about to write it.
fn remove(
    markup: &dyn Markup,
    segments: &mut [Segment<'_>],
    base: Option<&Fingerprint>,
    section: Section,
    ours: Option<&str>,
) {
    let fingerprint = ours.map(Fingerprint::of);
    let known = [base, fingerprint.as_ref()];
    let Some(standing) = Standing::find(markup, segments, section, known, ours) else { return };
    let theirs = ComparedText::new(&standing.value);
    let is_known = known.into_iter().flatten().any(|known| known.is_of(&theirs));
    if is_known || ours.is_some_and(|ours| is_cut_of(&standing.value, ours)) {
        let raw = standing.foreign(markup, &segments[standing.at], false);
        segments[standing.at] = Segment::new(SegmentKind::Foreign, raw);
    }
}

/// A section as the body has it.
pub(super) struct Standing {
    /// The index of its segment.
    pub(super) at: usize,
    /// The length in bytes of its encoded text. Foreign text may follow in an open-ended block.
    length: usize,
    pub(super) value: String,
}

impl Standing {
    /// Finds a section. An open-ended block ends where one of the known texts, or what was left of `whole`, ends if it
    /// starts with one.
    pub(super) fn find(
        markup: &dyn Markup,
        segments: &[Segment<'_>],
        section: Section,
        known: [Option<&Fingerprint>; 2],
        whole: Option<&str>,
    ) -> Option<Standing> {
        let at = find(segments, SegmentKind::Section(section))?;
        let encoded = segments[at].encoded();
        let standing = Standing { at, length: encoded.len(), value: markup.decode(section, encoded) };
        if !markup.is_open_ended() || !section.is_block() {
            return Some(standing);
        }
        let opening = |lines: usize| {
            let length = encoded.split_inclusive('\n').take(lines).map(str::len).sum();
            Standing { at, length, value: markup.decode(section, &encoded[..length]) }
        };
        let texts = known.into_iter().flatten();
        if let Some(lines) = texts.filter_map(|text| text.opening_lines(&standing.value)).max() {
            return Some(opening(lines));
        }
        let cut = lines_up_to_cut(&standing.value).map(opening);
        let cut = cut.filter(|cut| whole.is_some_and(|whole| is_cut_of(&cut.value, whole)));
        Some(cut.unwrap_or(standing))
    }

    /// Returns the foreign text in the section's segment: text below an open-ended block, then comments. The comments in
    /// a text that is kept are kept with it.
    fn foreign(&self, markup: &dyn Markup, segment: &Segment<'_>, is_kept: bool) -> String {
        let (text, rest) = segment.encoded().split_at(self.length);
        let replaced = if is_kept { "" } else { text };
        let around = [&segment.raw[..segment.value.start], replaced, &segment.raw[segment.value.end..]];
        rest.to_owned() + &around.map(|raw| markup.comments(raw)).concat()
    }
}

/// Returns the raw text of a section that replaces what stands there.
pub(super) fn rewrite(
    markup: &dyn Markup,
    segment: &Segment<'_>,
    entry: Entry<'_>,
    standing: &Standing,
    is_kept: bool,
) -> String {
    markup.write(entry, Some(&segment.raw)) + &standing.foreign(markup, segment, is_kept)
}

/// Writes a section in place of the text that stands there, which becomes foreign text if it `is_kept`.
fn replace(
    markup: &dyn Markup,
    segments: &mut Vec<Segment<'_>>,
    entry: Entry<'_>,
    standing: &Standing,
    is_kept: bool,
) {
    let segment = &segments[standing.at];
    let kept = is_kept.then(|| markup.keep(&segment.encoded()[..standing.length]));
    let kept = kept.filter(|kept| !has_kept(segments, kept));
    segments[standing.at].raw = rewrite(markup, segment, entry, standing, kept.is_some()).into();
    if let Some(kept) = kept {
        // Lines stand next to each other, so what becomes of a line goes below all of them.
        let below = if entry.section.is_line() { end_of_lines(segments) } else { standing.at + 1 };
        insert(markup, segments, below, SegmentKind::Kept, kept);
    }
}

/// Returns `true` if the body already has this kept text.
fn has_kept(segments: &[Segment<'_>], kept: &str) -> bool {
    let mut all = segments.iter().filter(|segment| segment.kind == SegmentKind::Kept);
    all.any(|segment| segment.raw.split_whitespace().eq(kept.split_whitespace()))
}
