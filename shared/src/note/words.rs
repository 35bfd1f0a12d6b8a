//! The words of a text, as texts are compared: a change that a CRM makes by itself is not an edit.
//!
//! CRMs move spaces and line breaks, normalise characters (Unicode NFC), and drop what cannot be seen: control
//! characters, format characters and variation selectors. Some cannot store *rare* characters, those above U+FFFF such as
//! emoji: they drop them, or write `?` or U+FFFD in their place.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{CodePointMapData, props::GeneralCategory};

/// The form that a CRM may have given to rare characters. A text without them has the same words in the first two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It kept them.
    Kept,
    /// It dropped them.
    Dropped,
    /// It replaced them: any number of them, and of `?`, next to each other is one `?`.
    Replaced,
}

/// Returns `true` if a text has characters that a CRM may be unable to store.
pub(super) fn has_rare(text: &str) -> bool {
    // In UTF-8, only characters above U+FFFF have such a byte.
    text.bytes().any(|byte| byte >= 0xf0)
}

/// Calls `each` with each word of a text.
///
/// A word of question marks only is none: it may stand for a rare character.
pub(super) fn for_each_word(text: &str, form: Form, mut each: impl FnMut(&str)) {
    if form != Form::Replaced && is_plain(text) {
        return text.split_ascii_whitespace().filter(|word| !is_mark(word)).for_each(each);
    }
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    for word in nfc.normalize(text).split_whitespace() {
        // Characters that an invisible one has kept apart may combine now.
        let visible = visible(word, form);
        let word = nfc.normalize(&visible);
        if !is_mark(&word) {
            each(&word);
        }
    }
}

/// Returns the words of a text, with a space between them.
pub(super) fn folded(text: &str, form: Form) -> String {
    let mut folded = String::with_capacity(text.len());
    for_each_word(text, form, |word| {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    });
    folded
}

/// Returns `true` if a text has all words of `start` first. The last word of `start` may be incomplete.
pub(super) fn starts_with(text: &str, start: &str) -> bool {
    let is_start = |form: Form| {
        let start = folded(start, form);
        !start.is_empty() && folded(text, form).starts_with(&start)
    };
    is_start(Form::Kept) || !has_rare(start) && (is_start(Form::Dropped) || is_start(Form::Replaced))
}

/// Returns `true` if the characters around an offset are shown as one.
pub(super) fn is_inside_character(text: &str, at: usize) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    const JOINER: char = '\u{200d}';
    let is_joined = |next: char| {
        let is_mark = matches!(category(next), NonspacingMark | EnclosingMark | SpacingMark);
        is_mark || next == JOINER || matches!(next, '\u{1f3fb}'..='\u{1f3ff}')
    };
    let (before, after) = text.split_at(at);
    before.ends_with(JOINER) || after.chars().next().is_some_and(|next| !next.is_ascii() && is_joined(next))
}

/// Returns `true` for printable ASCII and white space, in which nothing is invisible or rare.
fn is_plain(text: &str) -> bool {
    // Without an early end, the compiler checks many bytes at once.
    text.bytes()
        .fold(true, |is_plain, byte| is_plain & (matches!(byte, b' '..=b'~') | byte.is_ascii_whitespace()))
}

/// Returns `true` for a word that may stand for rare characters, or that is empty.
fn is_mark(word: &str) -> bool {
    word.bytes().all(|byte| byte == b'?')
}

/// Returns a word without its invisible characters, and with its rare ones in a form.
fn visible(word: &str, form: Form) -> Cow<'_, str> {
    if form != Form::Replaced && is_plain(word) {
        return Cow::Borrowed(word);
    }
    let mut visible = String::with_capacity(word.len());
    for char in word.chars() {
        match char {
            '\u{fffd}' | '\u{10000}'.. | '?' if form == Form::Replaced => {
                if !visible.ends_with('?') {
                    visible.push('?');
                }
            }
            '\u{fffd}' => {}
            _ if is_invisible(char) => {}
            '\u{10000}'.. if form == Form::Dropped => {}
            char => visible.push(char),
        }
    }
    Cow::Owned(visible)
}

/// Returns `true` for control and format characters, and for variation selectors.
fn is_invisible(char: char) -> bool {
    match char {
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => true,
        _ if char.is_ascii() => char.is_ascii_control(),
        _ => matches!(category(char), GeneralCategory::Control | GeneralCategory::Format),
    }
}

fn category(char: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_text_that_a_crm_may_make_of_it() {
        let all = [Form::Kept, Form::Dropped, Form::Replaced];
        for (text, words) in [
            ("a  b\n", ["a b"; 3]),
            ("why? ? what??", ["why? what??", "why? what??", "why? what?"]),
            ("ok👍", ["ok👍", "ok", "ok?"]),
            ("👍 ok", ["👍 ok", "ok", "ok"]),
            ("ok👍?! \u{fffd}", ["ok👍?!", "ok?!", "ok?!"]),
            ("ok\u{fffd}", ["ok", "ok", "ok?"]),
            ("e\u{301} e\u{200b}\u{301}", ["é é"; 3]),
            ("a\u{7f}b\0c \u{ad}d\u{fe0f}\u{202e} \u{feff}", ["abc d"; 3]),
            ("\u{a0}\u{2028}\u{85}", [""; 3]),
        ] {
            assert_eq!(all.map(|form| folded(text, form)), words, "{text:?}");
        }
    }

    #[test]
    fn a_start_may_end_within_a_word() {
        for (text, start, expected) in [
            ("one two", "one t", true),
            ("one\ntwo", " one  two ", true),
            ("one two", "onet", false),
            ("one two", " ", false),
            ("a👍 b", "a👍", true),
            ("a👍 b", "a? b", true),
            ("a👍 b", "a b", true),
            ("a b", "a👍 b", false),
            ("a👍 b", "a👎", false),
        ] {
            assert_eq!(starts_with(text, start), expected, "{text:?} {start:?}");
        }
    }
}
