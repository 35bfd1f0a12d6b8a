//! What we last wrote, kept as hashes: enough to tell whether somebody changed it, and nothing to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use sha2::{Digest, Sha256};

use super::{
    Section,
    section::{SECTIONS, Traits},
};

/// Hexadecimal digits of 128 bits.
const LOOSE_DIGITS: usize = 32;
/// Enough to see that spaces or line breaks moved.
const EXACT_DIGITS: usize = 8;

/// 128 bits of a text's SHA-256, in hexadecimal.
pub fn fingerprint(text: &str) -> String {
    hex(Sha256::new().chain_update(text))
}

/// A subject's fingerprint: CRMs trim it.
pub(crate) fn subject_fingerprint(subject: &str) -> String {
    fingerprint(subject.trim())
}

/// The fingerprints of a note's sections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fingerprints {
    last: BTreeMap<Section, Fingerprint>,
    /// Of what was told since the last was noted: any of it may stand in the note, if its writer died before noting it.
    told: Vec<(Section, Fingerprint)>,
}

impl Fingerprints {
    /// As they are stored: by a name that never changes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.last.iter().map(|(section, fingerprint)| (section.traits().key, fingerprint.0.as_str()))
    }

    /// As they were stored. Names that are not known are left out.
    pub fn from_pairs<'k, 'h>(pairs: impl IntoIterator<Item = (&'k str, &'h str)>) -> Fingerprints {
        let known = |(key, hash): (&str, &str)| Some((Section::of_key(key)?, Fingerprint(hash.to_owned())));
        Fingerprints { last: pairs.into_iter().filter_map(known).collect(), told: Vec::new() }
    }

    /// Of a note in which any of these sections may stand, or none.
    pub(crate) fn perhaps<'a>(all: impl IntoIterator<Item = &'a Fingerprints>) -> Fingerprints {
        let mut told: Vec<(Section, Fingerprint)> = Vec::new();
        for (section, fingerprint) in all.into_iter().flat_map(|fingerprints| &fingerprints.last) {
            if !told.iter().any(|known| (known.0, &known.1) == (*section, fingerprint)) {
                told.push((*section, fingerprint.clone()));
            }
        }
        Fingerprints { last: BTreeMap::new(), told }
    }

    /// What was told since, as it is stored: each text once.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told
            .iter()
            .map(|(section, fingerprint)| format!("{} {}", section.traits().key, fingerprint.0))
            .collect()
    }

    /// The same, and what was told since, as it was stored.
    pub(crate) fn with_told(self, told: &[String]) -> Fingerprints {
        let known = |text: &String| {
            let (key, hash) = text.split_once(' ')?;
            Some((Section::of_key(key)?, Fingerprint(hash.to_owned())))
        };
        Fingerprints { told: told.iter().filter_map(known).collect(), ..self }
    }

    /// Whether somebody has told this since the last was noted.
    pub(crate) fn was_told(&self, section: Section, value: &str) -> bool {
        let value = Fingerprint::of(value);
        self.told.iter().any(|(told, fingerprint)| *told == section && fingerprint.says(&value))
    }

    /// Of a note that somebody else wrote: which section is as they left it, and which a person changed, nobody knows.
    pub fn unknown() -> Fingerprints {
        let nothing = |row: &Traits| (row.section, Fingerprint(String::new()));
        Fingerprints { last: SECTIONS.iter().map(nothing).collect(), told: Vec::new() }
    }

    pub(super) fn get(&self, section: Section) -> Option<&Fingerprint> {
        self.last.get(&section)
    }

    pub(super) fn set(&mut self, section: Section, fingerprint: Fingerprint) {
        self.last.insert(section, fingerprint);
    }

    /// The sections of which something was told since.
    pub(super) fn told_sections(&self) -> BTreeSet<Section> {
        self.told.iter().map(|(section, _)| *section).collect()
    }

    /// What may stand in a section: the last first.
    pub(super) fn candidates(&self, section: Section) -> impl Iterator<Item = &Fingerprint> {
        let told =
            self.told.iter().filter(move |(told, _)| *told == section).map(|(_, fingerprint)| fingerprint);
        self.get(section).into_iter().chain(told)
    }
}

/// One value's fingerprint: of its words, which is what a CRM leaves alone when it tidies up, and behind that of the
/// value to the letter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn of(value: &str) -> Fingerprint {
        let mut words = Words::default();
        words.add(value);
        Fingerprint(words.hash() + &fingerprint(value)[..EXACT_DIGITS])
    }

    /// Whether it is not known what was written.
    pub(super) fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the words are the same, however they are spaced.
    pub(super) fn says(&self, other: &Fingerprint) -> bool {
        self.loose() == other.loose()
    }

    /// How many lines at the start of `text` say the same.
    pub(super) fn opening_of(&self, text: &str) -> Option<usize> {
        let mut words = Words::default();
        text.lines().position(|line| words.add(line) && words.hash() == self.loose()).map(|last| last + 1)
    }

    fn loose(&self) -> &str {
        self.0.get(..LOOSE_DIGITS).unwrap_or(&self.0)
    }
}

/// The words of a text, hashed as they come.
#[derive(Default)]
struct Words(Sha256);

impl Words {
    /// Whether there were any.
    fn add(&mut self, text: &str) -> bool {
        let mut any = false;
        for word in text.split_whitespace() {
            self.0.update(word);
            self.0.update(" ");
            any = true;
        }
        any
    }

    fn hash(&self) -> String {
        hex(self.0.clone())
    }
}

fn hex(hasher: Sha256) -> String {
    let mut digits = String::with_capacity(LOOSE_DIGITS);
    for byte in &hasher.finalize()[..LOOSE_DIGITS / 2] {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_the_words() {
        let says = |one: &str, other: &str| Fingerprint::of(one).says(&Fingerprint::of(other));
        for (one, other, same) in [
            ("a b", "a b", true),
            ("a b", " a\u{a0}\r\n\tb\n", true),
            ("a b", "ab", false),
            ("", " \n", true),
            ("a", "A", false),
        ] {
            assert_eq!(says(one, other), same, "{one:?} {other:?}");
            assert_eq!(Fingerprint::of(one) == Fingerprint::of(other), one == other, "{one:?} {other:?}");
        }
        assert_eq!(fingerprint("abc"), "ba7816bf8f01cfea414140de5dae2223");
    }

    #[test]
    fn an_opening_ends_with_a_line() {
        for (value, text, lines) in [
            ("a\nb", "a\nb\nc\n", Some(2)),
            ("a\nb", "a\n\nb", Some(3)),
            ("a", "a b\n", None),
            ("a", "", None),
            ("a\nb", "a\n", None),
        ] {
            assert_eq!(Fingerprint::of(value).opening_of(text), lines, "{value:?} {text:?}");
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let mut fingerprints = Fingerprints::default();
        fingerprints.set(Section::AgentNote, Fingerprint::of("a"));
        fingerprints.set(Section::Journey, Fingerprint::of("b"));
        assert_eq!(Fingerprints::from_pairs(fingerprints.iter()), fingerprints);
        assert_eq!(Fingerprints::from_pairs([("other", "x")]), Fingerprints::default());
        assert!(
            !Fingerprints::from_pairs([("note", "")])
                .get(Section::AgentNote)
                .unwrap()
                .says(&Fingerprint::of(""))
        );
    }
}
