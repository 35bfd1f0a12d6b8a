//! Standard output and standard error: text for people, one JSON document for scripts. Colours are used on terminals
//! only, and never if `NO_COLOR` is set.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use serde_json::Value;

use crate::error::CommandError;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HEADING: Style = Style::new().bold();

/// The styles of the help on a terminal.
pub const HELP: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(AnsiColor::Cyan.on_default())
    .error(ERROR)
    .invalid(AnsiColor::Yellow.on_default());

/// Writes a line to standard output.
pub(crate) fn print(line: impl AsRef<str>) -> io::Result<()> {
    writeln!(anstream::stdout(), "{}", line.as_ref())
}

/// Writes the document that a command with `--json` prints.
pub(crate) fn print_document(value: &Value) -> io::Result<()> {
    print(format!("{value:#}"))
}

/// Writes the document if the command has `--json`, else the text.
pub(crate) fn print_either(json: bool, text: impl AsRef<str>, value: &Value) -> io::Result<()> {
    if json { print_document(value) } else { print(text) }
}

/// Writes rows with aligned columns. The last column is not padded.
pub(crate) fn print_table<const COLUMNS: usize>(
    headings: Option<[&str; COLUMNS]>,
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let headings = headings.map(|names| names.map(str::to_owned));
    let all = || headings.iter().chain(rows);
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    if let Some(headings) = &headings {
        print(format!("{HEADING}{}{HEADING:#}", line(headings)))?;
    }
    rows.iter().try_for_each(|row| print(line(row)))
}

/// Writes the error of a command to standard error, and what to do about it.
pub fn print_error(error: &CommandError) {
    let mut out = anstream::stderr();
    // A failure to write to standard error cannot be reported anywhere.
    let _ = writeln!(out, "{ERROR}call-log:{ERROR:#} {error}");
    if let Some(action) = error.action() {
        let _ = writeln!(out, "  {action}");
    }
}
