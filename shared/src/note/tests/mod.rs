//! Tests of notes: properties of every note, and bodies as other programs write them.

mod bodies;
mod changes_of_crms;
mod comments;
mod composer_defects;
mod entities;
mod limits;
mod linear_time;
mod merge_table;
mod properties;

use proptest::prelude::*;

use super::{fingerprint::Fingerprint, section::SECTIONS, *};
use crate::model::Direction;

/// Content with these values, of an outbound call.
fn content(values: &[(Section, &str)]) -> Content {
    let values = values.iter().map(|(section, value)| (*section, (*value).to_owned()));
    Content::of(Some(Direction::Outbound), values)
}

/// Merges `ours` into a body into which we last wrote `base`.
fn update(format: Format, body: &str, base: &[(Section, &str)], ours: &[(Section, &str)]) -> String {
    merge(format, body, &content(base).fingerprints(), &content(ours)).body
}

/// Text that looks like structure, and text that breaks patterns, markup and terminals.
fn hostile_text() -> impl Strategy<Value = String> {
    let words = prop_oneof![
        6 => prop::sample::select(vec!["word", "a", " ", "  ", "\t", ".", "- ", "-", "*", "1"]),
        6 => prop::sample::select(vec!["\n", "\n\n", "\r\n", "\r", " \n"]),
        4 => prop::sample::select(vec![
            "- Note: ", "- Note:", "- Agent note: x", "- Note edited in the CRM: ", "--- NOTE END", "- Duration: 1",
            "- Call recording link: ", "- AI Note:", "- Transcript:", "- Call journey:", "--- END", "--- JOURNEY END",
        ]),
        4 => prop::sample::select(vec![
            "## Agent notes", "## Call details", "### AI Note", "### Transcript", "### Note edited in the CRM", "# x",
            "**Result**: x", "**Call score**: ", "\\", "\\#", "\\\\**", "#", "**", "&lt;", "&amp;lt;", "amp;lt;",
        ]),
        4 => prop::sample::select(vec![
            "<b>Agent notes</b>", "<b>Agent notes</b><br>", "<b>Call details</b>", "<ul>", "</ul>", "<br>", "<br/>",
            "<li><b>Result</b>: x</li>", "<li><b>Duration</b>: y<li>", "<li>", "</li>", "<div>", "</div>", "<p>",
            "</p>", "<div><b>AI Note</b><br>", "<div><strong>Transcript</strong><br/>x</div>", "<i", ">",
            "<div><b>Note edited in the CRM</b><br>", "<a href=\"https://x.example/\">", "</a>", "\"", "'",
        ]),
        3 => prop::sample::select(vec![
            "<!-- ", "<!--", "-->", "--", "<!-->", "<!-- x -->", "<!--[if mso]>", "<![endif]-->", "<!doctype html>", "<?x",
            "<![CDATA[", "]]>", "<!", "&eacute;", "&ndash;", "&copy", "&NotEqualTilde;", "&#150;", "&#", "&#x", "&#10;",
        ]),
        3 => prop::sample::select(vec![
            "<script>alert(1)</script>", "javascript:alert(1)", "https://x.example/1?a=1&b=2", "$& $1 $$ \\1 {0} %s",
            "&amp;", "&nbsp;", "&#39;", "&#x1F642;", "&", "\u{202e}", "\u{200b}", "\u{feff}", "\u{a0}", "\u{2028}",
            "\0", "\u{7}", "👩‍👩‍👧", "שלום", "e\u{301}", "山田", "(pending...)", "From auto logging",
        ]),
    ];
    prop::collection::vec(words, 0..10).prop_map(|words| words.concat())
}

/// Content with any values.
fn any_content() -> impl Strategy<Value = Content> {
    let value = prop::option::weighted(0.4, hostile_text());
    let direction = prop::sample::select(vec![None, Some(Direction::Inbound), Some(Direction::Outbound)]);
    (direction, prop::collection::vec(value, SECTIONS.len())).prop_map(|(direction, values)| {
        let values = SECTIONS.iter().zip(values).filter_map(|(row, value)| Some((row.section, value?)));
        Content::of(direction, values)
    })
}

/// Any body: hostile text, a note of ours, or a note of ours with hostile text between its lines or tags.
fn any_body() -> impl Strategy<Value = (Format, String)> {
    let format = prop::sample::select(Format::ALL.to_vec());
    let texts = prop::collection::vec(hostile_text(), 1..5);
    (format, any_content(), texts, 0..4_u8).prop_map(|(format, content, texts, kind)| {
        let note = compose(format, &content);
        let mixed = |mark: char| -> String {
            let mut texts = texts.iter();
            let mut text = |at: usize| if at % 3 == 1 { texts.next().map_or("", String::as_str) } else { "" };
            note.split_inclusive(mark).enumerate().map(|(at, part)| part.to_owned() + text(at)).collect()
        };
        let body = match kind {
            0 => texts.concat(),
            1 => note,
            2 => mixed('\n'),
            _ => mixed('>'),
        };
        (format, body)
    })
}
