//! `call-log compose`: composes notes from JSON lines, without a CRM or a table.

use std::io::{self, BufRead, Write};

use call_log::{
    api::wire::{ComposeLine, read_compose_line},
    note::{self, Content, Fingerprints, Format},
};

use crate::{arguments::NoteFormat, error::CommandError};

pub(super) fn run(format: NoteFormat) -> Result<(), CommandError> {
    let format = match format {
        NoteFormat::Plain => Format::Plain,
        NoteFormat::Html => Format::Html,
        NoteFormat::Markdown => Format::Markdown,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (line, text) in (1..).zip(io::stdin().lock().lines()) {
        let text = text.map_err(|error| CommandError::UnreadableInput("standard input".to_owned(), error))?;
        if text.trim().is_empty() {
            continue;
        }
        let input = match read_compose_line(&text) {
            Ok(input) => input,
            Err(invalid) => {
                out.flush()?;
                return Err(CommandError::InvalidLine { line, reason: invalid.to_string() });
            }
        };
        // An I/O error, so that a closed pipe is recognised.
        serde_json::to_writer(&mut out, &compose(format, &input)).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn compose(format: Format, input: &ComposeLine) -> String {
    let content = content(input);
    match &input.existing_body {
        None => note::compose(format, &content),
        Some(body) => {
            let base = input
                .base
                .as_deref()
                .map_or_else(Fingerprints::default, |base| self::content(base).fingerprints());
            note::merge(format, body, &base, &content).body
        }
    }
}

fn content(input: &ComposeLine) -> Content {
    Content::new(&input.details, &input.settings, input.zone)
}
