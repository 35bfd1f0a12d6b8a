//! HTML bodies in which an editor wrote characters as entities.

use super::*;

/// Texts as we wrote them, and as editors stored them.
const REWRITTEN: [(&str, &str); 13] = [
    ("Café", "Caf&eacute;"),
    ("Café", "Caf&#233;"),
    ("Café", "Caf&#xE9;"),
    ("Café", "Caf&#Xe9"),
    ("Mon – Fri…", "Mon &ndash; Fri&hellip;"),
    ("Mon – Fri…", "Mon &#8211; Fri&#x2026;"),
    ("Mon – Fri", "Mon &#150; Fri"),
    ("it’s “due”", "it&rsquo;s &ldquo;due&rdquo;"),
    ("5 € × 2", "5&nbsp;&euro;&#160;&times;&emsp;2"),
    ("© 2026", "&copy 2026"),
    ("≂̸ ∳", "&NotEqualTilde; &CounterClockwiseContourIntegral;"),
    ("a b", "a&NewLine;b&Tab;&#10;&#9;"),
    ("&eacute; & co", "&amp;eacute; & co"),
];

#[test]
fn a_section_whose_characters_became_entities_is_not_a_persons_edit() {
    for section in [Section::AgentNote, Section::Subject, Section::AiNote] {
        for (written, stored) in REWRITTEN {
            let body = compose(Format::Html, &content(&[(section, "PLACE")])).replace("PLACE", stored);
            let document = parse(Format::Html, &body);
            assert_eq!(document.render(), body);
            let read = document.value(section).unwrap_or_default();
            assert!(
                Fingerprint::of(&read).has_same_words(&Fingerprint::of(written)),
                "{stored} is {read:?}, not {written:?}"
            );

            let merged = update(Format::Html, &body, &[(section, written)], &[(section, "new")]);
            assert_eq!(
                merged,
                compose(Format::Html, &content(&[(section, "new")])),
                "{stored}: kept nothing"
            );
            let same = update(Format::Html, &body, &[], &[(section, written)]);
            assert_eq!(same, body, "the same words are not written again");
        }
    }
}

#[test]
fn text_that_is_not_an_entity_is_read_unchanged() {
    for text in ["AT&T", "a & b", "&unknown;", "&;", "&#;", "&#x;", "&#xZ;", "&", "R&D;"] {
        let body = format!("<b>Call details</b><ul><li><b>Summary</b>: {text}</li></ul>");
        assert_eq!(parse(Format::Html, &body).value(Section::Subject).as_deref(), Some(text));
    }
}

#[test]
fn a_link_keeps_the_parameters_that_look_like_entities() {
    for (href, link) in [
        ("\"https://r.example/?a=1&copy=2&lt=3\"", "https://r.example/?a=1&copy=2&lt=3"),
        ("'https://r.example/?a=1&amp;copy=2'", "https://r.example/?a=1&copy=2"),
        ("https://r.example/?a=1&reg5", "https://r.example/?a=1&reg5"),
        ("\"https://r.example/&eacute;\"", "https://r.example/é"),
    ] {
        let body = format!("<ul><li><b>Call recording link</b>: <a href={href}>open</a></li></ul>");
        assert_eq!(parse(Format::Html, &body).value(Section::Recording).as_deref(), Some(link));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_note_whose_characters_became_numeric_entities_says_the_same(
        text in "[a-z &<>;#'\"é–€漢🙂\u{301}\n]{1,20}",
        kinds in prop::collection::vec(0..5_u8, 20),
    ) {
        let stored: String = text.chars().zip(kinds).map(|(char, kind)| match (kind, u32::from(char)) {
            (0, code) => format!("&#{code};"),
            (1, code) => format!("&#x{code:x};"),
            (2, code) => format!("&#X{code:04X};"),
            _ => html_escaped(char),
        }).collect();
        let body = compose(Format::Html, &content(&[(Section::AgentNote, "PLACE")])).replace("PLACE", &stored);
        prop_assert_eq!(parse(Format::Html, &body).render(), body.as_str());
        let read = parse(Format::Html, &body).value(Section::AgentNote).unwrap_or_default();
        prop_assert!(Fingerprint::of(&read).has_same_words(&Fingerprint::of(&text)), "{:?} is {:?}", stored, read);
    }
}

/// Returns a character as it is written in HTML.
fn html_escaped(char: char) -> String {
    match char {
        '\n' => "<br>".to_owned(),
        '&' | '<' | '>' | '"' | '\'' => format!("&#{};", u32::from(char)),
        char => char.to_string(),
    }
}
