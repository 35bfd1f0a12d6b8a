//! The note engine: merging is idempotent and keeps what a person wrote, whatever the body is.

use call_log::{
    api::wire::read_compose_line,
    note::{self, Content, Fingerprints, Format, Limits, TextUnit},
};
use proptest::prelude::*;
use serde_json::json;

use crate::{fuzz, inputs};

/// A word that no other part of an input contains.
const WORD: &str = "Zanzibar";

fn contents() -> impl Strategy<Value = (String, String, String)> {
    (inputs::text(), inputs::text(), inputs::text())
}

fn content((note, subject, result): &(String, String, String)) -> Option<Content> {
    let line = json!({
        "note": note, "subject": subject,
        "callLog": {"sessionId": "1", "direction": "Inbound", "duration": 65, "result": result},
        "transcript": note, "aiNote": result,
    });
    let line = read_compose_line(&line.to_string()).ok()?;
    Some(Content::new(&line.details, &line.settings, line.zone))
}

#[test]
fn a_merge_is_idempotent_and_keeps_foreign_text() {
    let formats = prop::sample::select(vec![Format::Plain, Format::Html, Format::Markdown]);
    let inputs =
        (formats, contents(), contents(), prop::collection::vec(inputs::text(), 0..4), 0_usize..4_000);
    fuzz("the note engine", &inputs, |(format, first, second, foreign, limit)| {
        let (Some(first), Some(second)) = (content(&first), content(&second)) else { return Ok(()) };
        let body = note::compose(format, &first);
        let above = format!("{WORD}\n");
        let edited = match format {
            Format::Html => format!("<p>{WORD}</p>{body}{}", foreign.concat()),
            Format::Plain | Format::Markdown => format!("{above}\n{body}\n{}", foreign.join("\n")),
        };
        let merged = note::merge(format, &edited, &first.fingerprints(), &second);
        prop_assert_eq!(merged.body.matches(WORD).count(), 1, "{}", &merged.body);
        let again = note::merge(format, &merged.body, &merged.base, &second);
        prop_assert_eq!(&again.body, &merged.body);
        // Of any text alone, nothing gets lost either.
        let any = foreign.concat();
        let merged = note::merge(format, &any, &Fingerprints::default(), &second);
        let again = note::merge(format, &merged.body, &merged.base, &second);
        prop_assert_eq!(&again.body, &merged.body);

        let limits = Limits { max_body: Some(limit), max_subject: None, unit: TextUnit::Characters };
        let cut = note::compose_within(format, &second, &limits);
        prop_assert!(cut.body.chars().count() <= limit, "{} of {}", cut.body.chars().count(), limit);
        Ok(())
    });
}
