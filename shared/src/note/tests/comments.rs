//! HTML bodies with comments, doctypes, processing instructions and CDATA sections, which a CRM does not show.

use super::*;

const RESULT: (Section, &str) = (Section::Result, "new");
const NOTE: (Section, &str) = (Section::AgentNote, "mine");
const AI_NOTE: (Section, &str) = (Section::AiNote, "ai");

/// Starts and ends of comments that can hide words of ours.
const HIDING: [(&str, &str); 9] = [
    ("<!--", "-->"),
    ("<!-- ", " --!>"),
    ("<!-- a > b -- c ->", "--->"),
    ("<!--[if mso]>", "<![endif]-->"),
    ("<!--[if gte mso 9]><xml>", "</xml><![endif]-->"),
    ("<!-- <!-- ", "-->"),
    ("<!-- \" ' <b ", "-->"),
    ("<![CDATA[", "]]>"),
    ("<![CDATA[ --> ", " ]] > ]]>"),
];

/// Comments that hide no words of ours.
const HIDDEN: [&str; 8] = [
    "<!doctype html>",
    "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0//EN\">",
    "<?xml version=\"1.0\"?>",
    "<?xml:namespace prefix = o />",
    "<!-->",
    "<!--->",
    "<![if !mso]>",
    "<![endif]>",
];

const OUR_WORDS: [&str; 6] = [
    "<b>Call details</b>",
    "<b>Agent notes</b><br>old<br><br><b>Call details</b>",
    "<li><b>Result</b>: old</li>",
    "<div><b>AI Note</b><br>old</div><br>",
    "</div></ul>",
    "<div><b>Note edited in the CRM</b><br>old</div>",
];

/// Comments that an HTML body may have, each with an end.
fn comments() -> Vec<String> {
    let hiding = HIDING
        .iter()
        .flat_map(|(start, end)| OUR_WORDS.iter().map(move |words| format!("{start}{words}{end}")));
    hiding.chain(HIDDEN.iter().map(|text| (*text).to_owned())).collect()
}

#[test]
fn words_in_a_comment_are_never_structure() {
    let ours = [NOTE, RESULT, AI_NOTE];
    for comment in comments() {
        let document = parse(Format::Html, &comment);
        assert_eq!(document.render(), comment);
        for row in &SECTIONS {
            assert_eq!(document.value(row.section), None, "{comment}");
        }
        let merged = update(Format::Html, &comment, &[], &ours);
        let fresh = compose(Format::Html, &content(&ours));
        let (lines, block) = fresh.split_once("<div>").unwrap();
        assert_eq!(merged, format!("{lines}{comment}<div>{block}"));
        assert_eq!(update(Format::Html, &merged, &[], &ours), merged, "and again");
    }
}

#[test]
fn a_comment_anywhere_in_a_note_hides_no_section_and_stays() {
    let before = [NOTE, (Section::Result, "old"), AI_NOTE];
    let written = [(Section::AgentNote, "next"), (Section::Result, "new"), (Section::AiNote, "newer")];
    let fresh = compose(Format::Html, &content(&before));
    let places = fresh.match_indices(['<', 'm', 'o', 'a']).map(|(at, _)| at).chain([fresh.len()]);
    // A comment inside a label makes it another label.
    let is_in_label = |at: usize| fresh[..at].rfind("<b>") > fresh[..at].rfind("</b>");
    for at in places.filter(|at| !is_in_label(*at)) {
        for comment in comments() {
            let body = format!("{}{comment}{}", &fresh[..at], &fresh[at..]);
            let document = parse(Format::Html, &body);
            assert_eq!(document.render(), body);
            for (section, value) in before {
                let read = document.value(section).unwrap_or_default();
                assert!(
                    Fingerprint::of(&read).has_same_words(&Fingerprint::of(value)),
                    "{section:?} is {read:?} in {body}"
                );
            }
            assert_eq!(update(Format::Html, &body, &before, &before), body);
            let merged = update(Format::Html, &body, &before, &written);
            assert_eq!(merged.matches(&comment).count(), 1, "{merged}");
            assert_eq!(
                merged.replacen(&comment, "", 1),
                compose(Format::Html, &content(&written)),
                "{body} becomes {merged}"
            );
            assert_eq!(update(Format::Html, &merged, &before, &written), merged, "and again");
        }
    }
}

#[test]
fn text_between_two_comments_is_not_hidden() {
    for (start, end) in [
        ("<!--[if !mso]><!-->", "<!--<![endif]-->"),
        ("<!--[if !mso]>-->", "<!--<![endif]-->"),
        ("<![if !mso]>", "<![endif]>"),
        ("<!-->", "<!-- -->"),
        ("<!-- x --!>", "<!---->"),
        ("<?xml?>", "<?x?>"),
    ] {
        let body = format!("<b>Call details</b><ul>{start}<li><b>Result</b>: old</li>{end}</ul>");
        assert_eq!(parse(Format::Html, &body).value(Section::Result).as_deref(), Some("old"), "{body}");
        let merged = update(Format::Html, &body, &[], &[RESULT]);
        assert_eq!(merged, body.replace("old", "new"));
    }
}

#[test]
fn nothing_is_written_into_a_comment_without_an_end() {
    let before = [NOTE, (Section::Result, "old")];
    let written = [(Section::AgentNote, "next"), RESULT, AI_NOTE];
    for start in ["<!-- ", "<!--[if mso]>", "<!--!>", "<!-", "<!", "<?php ", "<![CDATA[", "<!-- -- > "] {
        for words in OUR_WORDS.iter().chain(&["", "text"]) {
            let words = if start.starts_with("<!--") || start.contains("CDATA") { *words } else { "x" };
            let open = format!("{start}{words}");
            for (body, expected) in [
                (content(&before), content(&written)),
                (content(&[]), content(&written)),
                (content(&[(Section::AiNote, "old")]), content(&written)),
            ] {
                let body = compose(Format::Html, &body) + &open;
                let document = parse(Format::Html, &body);
                assert_eq!(document.render(), body);
                let merged = update(Format::Html, &body, &before, &written);
                assert_eq!(merged, compose(Format::Html, &expected) + &open, "{body}");
                assert_eq!(update(Format::Html, &merged, &before, &written), merged, "and again");
            }
            let body = format!("<b>Agent notes</b><br>edited {open}");
            let merged = update(Format::Html, &body, &[(Section::AgentNote, "old")], &[NOTE]);
            let kept = "<div><b>Note edited in the CRM</b><br>edited </div>";
            assert_eq!(merged, format!("<b>Agent notes</b><br>mine<br><br>{kept}{open}"));
            assert_eq!(update(Format::Html, &merged, &[], &[NOTE]), merged, "and again");
        }
    }
}

#[test]
fn a_comment_in_an_edited_note_is_kept_with_it_and_only_once() {
    let body = "<b>Agent notes</b><!-- a --><br>edited<!-- b --><br><br><b>Call details</b><ul></ul>";
    let merged = update(Format::Html, body, &[(Section::AgentNote, "old")], &[NOTE]);
    for comment in ["<!-- a -->", "<!-- b -->"] {
        assert_eq!(merged.matches(comment).count(), 1, "{merged}");
    }
    assert!(merged.contains("<div><b>Note edited in the CRM</b><br>edited<!-- b --></div>"), "{merged}");
}

#[test]
fn a_comment_alone_is_no_edit() {
    let body = "<b>Agent notes</b><br><!-- x --><br><br><b>Call details</b><ul></ul>";
    let merged = update(Format::Html, body, &[(Section::AgentNote, "old")], &[NOTE]);
    assert_eq!(merged, "<b>Agent notes</b><br>mine<br><br><!-- x --><b>Call details</b><ul></ul>");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_drops_no_comment(
        texts in prop::collection::vec(hostile_text(), 0..3),
        written in any_content(),
        added in prop::collection::vec(prop::sample::select(comments()), 1..4),
        places in any::<[prop::sample::Index; 4]>(),
        base in any_content(),
        ours in any_content(),
    ) {
        let mut body = compose(Format::Html, &written);
        for (text, place) in texts.iter().chain(&added).zip(places) {
            let ends: Vec<_> = body.match_indices('>').map(|(at, _)| at + 1).chain([0]).collect();
            body.insert_str(ends[place.index(ends.len())], text);
        }
        let merged = merge(Format::Html, &body, &base.fingerprints(), &ours).body;
        // An added comment can be cut in two by the end of another one. Only whole ones count.
        let (before, after) = (Format::Html.markup().comments(&body), Format::Html.markup().comments(&merged));
        for comment in &added {
            let count = |comments: &str| comments.matches(comment.as_str()).count();
            prop_assert!(count(&after) >= count(&before), "{:?} of {:?} is not in {:?}", comment, body, merged);
        }
    }
}
