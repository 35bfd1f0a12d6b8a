//! `call-log compose`: notes from JSON lines, without a CRM or a table.

use std::io::{self, BufRead, Write};

use call_log::{
    api::wire::{ComposeLine, read_compose_line},
    note::{self, Content, Fingerprints, Format},
};

use super::Failure;
use crate::arguments::NoteFormat;

pub(super) fn run(format: NoteFormat) -> Result<(), Failure> {
    let format = match format {
        NoteFormat::Plain => Format::Plain,
        NoteFormat::Html => Format::Html,
        NoteFormat::Markdown => Format::Markdown,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let input = match read_compose_line(&line) {
            Ok(input) => input,
            Err(error) => {
                out.flush()?;
                return Err(format!("line {}: {error}", index + 1).into());
            }
        };
        // As an error of the output, so that one whom nobody reads any more is told from a failure.
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
