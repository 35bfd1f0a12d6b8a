//! Fingerprints of what we last wrote. A hash shows whether a person has changed a text, but cannot be read.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use sha2::{Digest, Sha256};

use super::{
    Section,
    section::{SECTIONS, Traits},
    words::{Form, folded, for_each_word, has_rare},
};

/// The hexadecimal digits of 96 bits: of a hash of the words.
const WORDS_DIGITS: usize = 24;
/// The digits that depend on spaces and line breaks too: 32 bits.
const EXACT_DIGITS: usize = 8;
/// Stands for the text that was sent if the section was left out.
const LEFT_OUT: &str = "-";

/// Returns the first 96 bits of a text's SHA-256, in hexadecimal.
pub fn fingerprint(text: &str) -> String {
    hex(Sha256::new().chain_update(text))
}

/// Returns the fingerprint of a subject, for [`is_subject`].
pub(crate) fn subject_fingerprint(subject: &str) -> String {
    let hash = |form| fingerprint(&folded(subject, form));
    hash(Form::Kept) + &forms_of(subject, hash)
}

/// Returns `true` if `subject` is the subject that has this fingerprint, or what a CRM may have made of it. A mark may
/// follow the fingerprint, after a space.
pub fn is_subject(known: &str, subject: &str) -> bool {
    let known = known.split_once(' ').map_or(known, |(known, _)| known);
    let (words, forms) = known.split_at_checked(WORDS_DIGITS).unwrap_or((known, ""));
    Hashes { words, forms }.is_of(has_rare(subject), |form| fingerprint(&folded(subject, form)).into())
}

/// Returns the hashes of what a CRM may make of a text: none unless the text has rare characters.
fn forms_of(text: &str, hash: impl Fn(Form) -> String) -> String {
    if has_rare(text) { hash(Form::Dropped) + &hash(Form::Replaced) } else { String::new() }
}

/// The hashes of a known text.
#[derive(Clone, Copy)]
struct Hashes<'f> {
    words: &'f str,
    /// The hashes of what a CRM may make of the text, if there are any.
    forms: &'f str,
}

impl Hashes<'_> {
    /// Returns `true` if the text with the hashes `hash`, which may have rare characters, is the known one.
    ///
    /// A CRM adds no rare characters, and it keeps all or none. So if a text has some, it must have them all.
    fn is_of<'h>(self, has_rare: bool, hash: impl Fn(Form) -> Cow<'h, str>) -> bool {
        // Without rare characters, a text has the same words in the forms `Kept` and `Dropped`.
        let words = hash(Form::Kept);
        let is_form = || self.forms.starts_with(&*words) || self.forms.ends_with(&*hash(Form::Replaced));
        self.words == words || !has_rare && !self.forms.is_empty() && is_form()
    }
}

/// The fingerprints of a note's sections.
///
/// For each section there is one *confirmed* fingerprint: of the text that the CRM accepted last. There may also be
/// *unconfirmed* ones: of texts that a lease holder has been given to write since. If that lease holder ended before it
/// confirmed them, any of them may be in the note.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fingerprints {
    confirmed: BTreeMap<Section, Fingerprint>,
    unconfirmed: Vec<(Section, Fingerprint)>,
}

impl Fingerprints {
    /// Returns the confirmed fingerprints as they are stored. The key of a section never changes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.confirmed.iter().map(|(section, fingerprint)| (section.traits().key, fingerprint.0.as_str()))
    }

    /// Reads confirmed fingerprints as they were stored. Unknown keys are left out.
    pub fn from_pairs<'k, 'h>(pairs: impl IntoIterator<Item = (&'k str, &'h str)>) -> Fingerprints {
        let known = |(key, hash): (&str, &str)| Some((Section::of_key(key)?, Fingerprint(hash.to_owned())));
        Fingerprints { confirmed: pairs.into_iter().filter_map(known).collect(), unconfirmed: Vec::new() }
    }

    /// Returns the fingerprints of a body that we did not write: it is not known which sections a person has edited.
    pub fn unknown() -> Fingerprints {
        let unknown = |row: &Traits| (row.section, Fingerprint(String::new()));
        Fingerprints { confirmed: SECTIONS.iter().map(unknown).collect(), unconfirmed: Vec::new() }
    }

    /// Returns the confirmed fingerprints of several notes as unconfirmed ones. Each occurs once.
    pub(crate) fn unconfirmed<'a>(all: impl IntoIterator<Item = &'a Fingerprints>) -> Fingerprints {
        let mut unconfirmed = Vec::new();
        for (section, fingerprint) in all.into_iter().flat_map(|fingerprints| &fingerprints.confirmed) {
            let pair = (*section, fingerprint.clone());
            if !unconfirmed.contains(&pair) {
                unconfirmed.push(pair);
            }
        }
        Fingerprints { confirmed: BTreeMap::new(), unconfirmed }
    }

    /// Returns the unconfirmed fingerprints as they are stored: `key hash`.
    pub(crate) fn unconfirmed_texts(&self) -> Vec<String> {
        let stored = |(section, fingerprint): &(Section, Fingerprint)| {
            format!("{} {}", section.traits().key, fingerprint.0)
        };
        self.unconfirmed.iter().map(stored).collect()
    }

    /// Adds unconfirmed fingerprints as they were stored. Unknown keys are left out.
    pub(crate) fn with_unconfirmed_texts(mut self, texts: &[String]) -> Fingerprints {
        let known = |text: &String| {
            let (key, hash) = text.split_once(' ')?;
            Some((Section::of_key(key)?, Fingerprint(hash.to_owned())))
        };
        for pair in texts.iter().filter_map(known) {
            if !self.unconfirmed.contains(&pair) {
                self.unconfirmed.push(pair);
            }
        }
        self
    }

    /// Returns `true` if this value of a section is unconfirmed.
    pub(crate) fn is_unconfirmed(&self, section: Section, value: &str) -> bool {
        let value = ComparedText::new(value);
        let is_same = |pair: &(Section, Fingerprint)| pair.0 == section && pair.1.is_of(&value);
        self.unconfirmed.iter().any(is_same)
    }

    /// Returns the fingerprints of the same note, if a person wrote the section: it is not known what we wrote there.
    pub(crate) fn with_foreign(mut self, section: Section) -> Fingerprints {
        self.confirmed.insert(section, Fingerprint(String::new()));
        self.unconfirmed.retain(|(unconfirmed, _)| *unconfirmed != section);
        self
    }

    /// Returns the confirmed fingerprint of a section.
    pub(super) fn get(&self, section: Section) -> Option<&Fingerprint> {
        self.confirmed.get(&section)
    }

    /// Confirms a fingerprint.
    pub(super) fn set(&mut self, section: Section, fingerprint: Fingerprint) {
        self.confirmed.insert(section, fingerprint);
    }

    /// Notes that a section was left out.
    pub(super) fn leave_out(&mut self, section: Section) {
        if let Some(fingerprint) = self.confirmed.get_mut(&section).filter(|known| !known.is_unknown()) {
            *fingerprint = fingerprint.sent_as(None);
        }
    }

    /// Returns the sections that have unconfirmed fingerprints.
    pub(super) fn unconfirmed_sections(&self) -> BTreeSet<Section> {
        self.unconfirmed.iter().map(|(section, _)| *section).collect()
    }

    /// Returns all fingerprints of a section, the confirmed one first.
    pub(super) fn candidates(&self, section: Section) -> impl Iterator<Item = &Fingerprint> {
        let unconfirmed = self.unconfirmed.iter().filter(move |pair| pair.0 == section).map(|pair| &pair.1);
        self.get(section).into_iter().chain(unconfirmed)
    }
}

/// A text to compare with fingerprints.
pub(super) struct ComparedText<'t> {
    text: &'t str,
    /// The hash of its words.
    words: String,
}

impl<'t> ComparedText<'t> {
    pub(super) fn new(text: &'t str) -> ComparedText<'t> {
        ComparedText { text, words: WordHash::of(text, Form::Kept) }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let forms = forms_of(self.text, |form| WordHash::of(self.text, form));
        Fingerprint([self.words.as_str(), &fingerprint(self.text)[..EXACT_DIGITS], &forms].concat())
    }

    fn hash(&self, form: Form) -> Cow<'_, str> {
        match form {
            Form::Kept => Cow::Borrowed(&self.words),
            form => Cow::Owned(WordHash::of(self.text, form)),
        }
    }
}

/// The fingerprint of one value: hashes of its words and of its exact text. Bodies are compared by words.
///
/// It consists of a hash of the words and a short hash of the exact text. If the value has rare characters, the hashes of
/// what a CRM may make of it follow. If the value was cut, such hashes of the text that was sent stand before it, and a
/// space. The text that was sent and the whole value are the *known texts*.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn of(value: &str) -> Fingerprint {
        ComparedText::new(value).fingerprint()
    }

    /// Returns the fingerprint of the same value, of which another text was sent, or nothing.
    pub(super) fn sent_as(&self, text: Option<&str>) -> Fingerprint {
        let sent = text.map(Fingerprint::of);
        let sent = sent.as_ref().map_or(LEFT_OUT, |sent| &sent.0);
        Fingerprint(format!("{sent} {}", self.whole()))
    }

    /// Returns `true` for a text that we did not write: see [`Fingerprints::unknown`].
    pub(super) fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if the whole value was not sent.
    pub(super) fn is_shortened(&self) -> bool {
        self.0.contains(' ')
    }

    /// Returns `true` if nothing of the value was sent.
    pub(super) fn is_left_out(&self) -> bool {
        self.0.starts_with(LEFT_OUT)
    }

    /// Returns `true` if this is the whole value.
    pub(super) fn is_whole(&self, value: &Fingerprint) -> bool {
        self.whole() == value.whole()
    }

    /// Returns `true` if a value is exactly one of the known texts.
    pub(super) fn is_exactly(&self, value: &Fingerprint) -> bool {
        self.texts().any(|text| text == value.whole())
    }

    /// Returns `true` if a value has the words of one of the known texts, whatever the spaces and line breaks between
    /// them.
    pub(super) fn has_same_words(&self, value: &Fingerprint) -> bool {
        let words = hashes(value.whole()).words;
        self.texts().any(|text| hashes(text).words == words)
    }

    /// Returns `true` if a text in the CRM is one of the known texts, or what a CRM may have made of it.
    pub(super) fn is_of(&self, text: &ComparedText<'_>) -> bool {
        self.texts().any(|known| hashes(known).is_of(has_rare(text.text), |form| text.hash(form)))
    }

    /// Returns the number of lines at the start of `text` that are one of the known texts, or what a CRM may have made
    /// of it. Returns `None` if the text does not start with them.
    pub(super) fn opening_lines(&self, text: &str) -> Option<usize> {
        let needs_forms = self.texts().any(|known| !hashes(known).forms.is_empty());
        let (mut kept, mut replaced) = (WordHash::new(Form::Kept), WordHash::new(Form::Replaced));
        let mut is_rare = false;
        let is_end = |line: &str| {
            if line.trim().is_empty() {
                return false;
            }
            is_rare |= has_rare(line);
            kept.add(line);
            if needs_forms {
                replaced.add(line);
            }
            let hash = |form| if form == Form::Replaced { replaced.hash() } else { kept.hash() };
            self.texts().any(|known| hashes(known).is_of(is_rare, |form| hash(form).into()))
        };
        text.lines().position(is_end).map(|last| last + 1)
    }

    /// The fingerprints of the known texts, that of the whole value last.
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }

    fn whole(&self) -> &str {
        self.texts().last().unwrap_or_default()
    }
}

/// Splits the fingerprint of a known text.
fn hashes(known: &str) -> Hashes<'_> {
    let forms = known.get(WORDS_DIGITS + EXACT_DIGITS..).unwrap_or_default();
    Hashes { words: known.get(..WORDS_DIGITS).unwrap_or(known), forms }
}

/// A hash of the words that have been added, in one form.
struct WordHash {
    form: Form,
    hasher: Sha256,
}

impl WordHash {
    fn new(form: Form) -> WordHash {
        WordHash { form, hasher: Sha256::new() }
    }

    /// Returns the hash of the words of a text.
    fn of(text: &str, form: Form) -> String {
        let mut words = WordHash::new(form);
        words.add(text);
        hex(words.hasher)
    }

    /// Adds the words of a text.
    fn add(&mut self, text: &str) {
        for_each_word(text, self.form, |word| {
            self.hasher.update(word);
            self.hasher.update(" ");
        });
    }

    fn hash(&self) -> String {
        hex(self.hasher.clone())
    }
}

fn hex(hasher: Sha256) -> String {
    let mut digits = String::with_capacity(WORDS_DIGITS);
    for byte in &hasher.finalize()[..WORDS_DIGITS / 2] {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_the_words_and_notices_the_spaces() {
        let same_words = |one: &str, other: &str| Fingerprint::of(one).is_of(&ComparedText::new(other));
        for (one, other, same) in [
            ("a b", "a b", true),
            ("a b", " a\u{a0}\r\n\tb\n", true),
            ("a b", "ab", false),
            ("", " \n", true),
            ("a", "A", false),
        ] {
            assert_eq!(same_words(one, other), same, "{one:?} {other:?}");
            assert_eq!(Fingerprint::of(one) == Fingerprint::of(other), one == other, "{one:?} {other:?}");
        }
        assert_eq!(fingerprint("abc"), "ba7816bf8f01cfea414140de");
    }

    #[test]
    fn opening_lines_are_whole_lines() {
        for (value, text, lines) in [
            ("a\nb", "a\nb\nc\n", Some(2)),
            ("a\nb", "a\n\nb", Some(3)),
            ("a", "a b\n", None),
            ("a", "", None),
            ("a\nb", "a\n", None),
        ] {
            assert_eq!(Fingerprint::of(value).opening_lines(text), lines, "{value:?} {text:?}");
        }
    }

    #[test]
    fn stored_fingerprints_are_read_back() {
        let mut fingerprints = Fingerprints::default();
        fingerprints.set(Section::AgentNote, Fingerprint::of("a"));
        fingerprints.set(Section::Journey, Fingerprint::of("b👍"));
        fingerprints.set(Section::Transcript, Fingerprint::of("cut👍").sent_as(Some("c")));
        fingerprints.set(Section::AiNote, Fingerprint::of("left out").sent_as(None));
        assert_eq!(Fingerprints::from_pairs(fingerprints.iter()), fingerprints);
        let unconfirmed = Fingerprints::unconfirmed([&fingerprints]);
        let stored = unconfirmed.unconfirmed_texts();
        assert_eq!(Fingerprints::default().with_unconfirmed_texts(&stored), unconfirmed);
        let with_more = unconfirmed.clone().with_unconfirmed_texts(&["note x".to_owned(), stored[0].clone()]);
        assert_eq!(with_more.unconfirmed_texts(), [stored, vec!["note x".to_owned()]].concat());
        assert_eq!(Fingerprints::from_pairs([("other", "x")]), Fingerprints::default());
        let unknown = Fingerprints::from_pairs([("note", "")]);
        assert!(!unknown.get(Section::AgentNote).unwrap().is_of(&ComparedText::new("")));
    }
}
