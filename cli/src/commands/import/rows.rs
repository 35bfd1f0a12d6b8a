//! The rows of an exported table: CSV, or one JSON object per line.

use std::{collections::HashMap, path::Path};

use call_log::model::Explanation;
use serde_json::Value;

use crate::{
    arguments::RowFormat,
    commands::{input_name, read_input},
    error::CommandError,
};

/// The values that databases export for NULL.
const NULLS: [&str; 3] = ["", "NULL", "\\N"];

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    /// The line on which the row begins, from 1.
    pub(super) line: u64,
    /// The values by the plain names of their columns.
    values: HashMap<String, Value>,
}

/// A row that cannot be imported.
#[derive(Debug)]
pub(super) struct RowError {
    /// The line on which the row begins, from 1.
    pub(super) line: u64,
    pub(super) problem: RowProblem,
}

/// The reason why a row cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowProblem {
    /// The row has too many or too few values.
    #[error("it has {values} values for {columns} columns; quote values that contain commas")]
    Columns {
        /// The number of values.
        values: u64,
        /// The number of columns in the first line.
        columns: u64,
    },
    /// The row is not CSV.
    #[error("it is not CSV: {0}")]
    Csv(String),
    /// A value is not UTF-8.
    #[error("`{0}` is not UTF-8; export the table as UTF-8")]
    Encoding(String),
    /// The line is not JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// The line is JSON, but not an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// A value is missing or invalid. The text says what is expected.
    #[error("{0}")]
    Field(String),
    /// An earlier row of the same user or call has other values.
    #[error("it contradicts line {0}")]
    Contradiction(u64),
    /// The table has another CRM record of the call.
    #[error("{call} is already logged as record {stored}; the file has {given}")]
    OtherRecord {
        /// The session and the user.
        call: String,
        /// The id of the record in the table.
        stored: String,
        /// The id of the record in the file.
        given: String,
    },
    /// The table has the call, but it is not logged yet.
    #[error("{call} is in the table and not logged yet ({state})")]
    NotLogged {
        /// The session and the user.
        call: String,
        /// The state of the call.
        state: &'static str,
    },
}

impl RowProblem {
    /// Returns the cause of the problem, and what to do about it.
    #[cfg_attr(not(test), expect(dead_code, reason = "docs/errors.md is generated from it"))]
    pub(crate) fn explain(&self) -> Explanation {
        let (cause, action) = match self {
            RowProblem::Columns { .. } => (
                "A quote or a comma is missing, or a value contains one that is not quoted.",
                "Export the table again with a tool that quotes values.",
            ),
            RowProblem::Csv(_) => ("The row cannot be read.", "Export the table again."),
            RowProblem::Encoding(_) => {
                ("The table was exported with another encoding.", "Export the table as UTF-8.")
            }
            RowProblem::Json(_) | RowProblem::NotAnObject => (
                "The line is incomplete, or the file has another format.",
                "Export one JSON object per line, or use --format csv.",
            ),
            RowProblem::Field(_) => (
                "A value is missing, or is not what the message expects.",
                "Correct the value. Users of a platform that is not supported stay on App Connect.",
            ),
            RowProblem::Contradiction(_) => (
                "Two rows of the same user or call have different values. The first one is valid.",
                "Delete the row that is wrong.",
            ),
            RowProblem::OtherRecord { .. } => (
                "The call was logged here and by App Connect, or was imported with another record.",
                "Compare both records in the CRM and delete the wrong one. The table stays unchanged.",
            ),
            RowProblem::NotLogged { .. } => (
                "Requests for the call arrived here before its import: updates that wait for a create (QUEUED), or a \
                 create that is not finished. The table stays unchanged.",
                "Send the create again: it logs the call with these updates. Import before you switch the traffic.",
            ),
        };
        Explanation { cause, action }
    }
}

impl Row {
    /// Returns the value of a column; `Null` if it is missing.
    pub(super) fn get(&self, column: &str) -> Value {
        self.values.get(&plain(column)).cloned().unwrap_or_default()
    }

    /// Returns the value as text if it is a text or a number.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.get(column) {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Returns the value of a column that contains JSON, either as JSON or as text.
    pub(super) fn json(&self, column: &str) -> Result<Value, RowProblem> {
        match self.get(column) {
            Value::String(text) => serde_json::from_str(&text)
                .map_err(|error| RowProblem::Field(format!("`{column}` is not JSON: {error}"))),
            value => Ok(value),
        }
    }

    /// Returns the error of this row.
    pub(super) fn error(&self, problem: RowProblem) -> RowError {
        RowError { line: self.line, problem }
    }
}

/// Reads all rows; each is valid by itself, or not. `columns`: the columns that the file must have.
pub(super) fn read(
    file: &Path,
    format: Option<RowFormat>,
    columns: &[&str],
) -> Result<Vec<Result<Row, RowError>>, CommandError> {
    let format =
        format.or_else(|| format_of(file)).ok_or_else(|| CommandError::UnknownFormat(input_name(file)))?;
    let bytes = read_input(file)?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    match format {
        RowFormat::Csv => read_csv(bytes, columns)
            .map_err(|reason| CommandError::InvalidHeader { input: input_name(file), reason }),
        RowFormat::Jsonl => Ok(read_lines(bytes)),
    }
}

fn format_of(file: &Path) -> Option<RowFormat> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(RowFormat::Csv),
        "jsonl" | "ndjson" => Some(RowFormat::Jsonl),
        _ => None,
    }
}

fn read_csv(bytes: &[u8], columns: &[&str]) -> Result<Vec<Result<Row, RowError>>, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let headers = reader.headers().map_err(|error| error.to_string())?;
    let names: Vec<String> = headers.iter().map(plain).collect();
    let missing: Vec<_> = columns.iter().filter(|column| !names.contains(&plain(column))).copied().collect();
    if !missing.is_empty() {
        return Err(format!("missing column {}", missing.join(", ")));
    }
    let mut lines = LineCounter { bytes, position: 0, line: 1 };
    let row = |record: Result<csv::ByteRecord, csv::Error>| match record {
        Ok(record) => csv_row(lines.line_of(record.position()), &names, &record),
        Err(error) => {
            let line = lines.line_of(error.position());
            let problem = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    RowProblem::Columns { values: *len, columns: *expected_len }
                }
                _ => RowProblem::Csv(error.to_string()),
            };
            Err(RowError { line, problem })
        }
    };
    Ok(reader.byte_records().map(row).collect())
}

/// Counts lines from the start of a file to its end. The CSV reader's own line number is that of the position where it
/// stopped, which is before empty lines and between the two bytes of a CRLF.
struct LineCounter<'a> {
    bytes: &'a [u8],
    position: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// Returns the number of the line on which the record after this position begins.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let from =
            position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.position);
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = from + self.bytes.iter().skip(from).take_while(|byte| is_end(byte)).count();
        let passed = self.bytes.get(self.position..start).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.position = start.max(self.position);
        self.line
    }
}

fn csv_row(line: u64, names: &[String], record: &csv::ByteRecord) -> Result<Row, RowError> {
    let mut values = HashMap::new();
    for (name, value) in names.iter().zip(record) {
        let value = str::from_utf8(value)
            .map_err(|_| RowError { line, problem: RowProblem::Encoding(name.clone()) })?;
        if !NULLS.contains(&value) {
            values.insert(name.clone(), Value::from(value));
        }
    }
    Ok(Row { line, values })
}

fn read_lines(bytes: &[u8]) -> Vec<Result<Row, RowError>> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let lines = lines.map(|(line, text)| (line, text.trim_ascii())).filter(|(_, text)| !text.is_empty());
    lines.map(|(line, text)| json_row(line, text)).collect()
}

fn json_row(line: u64, text: &[u8]) -> Result<Row, RowError> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => {
            let has_value = |value: &Value| !value.is_null() && value.as_str() != Some("");
            let values = object.into_iter().filter(|(_, value)| has_value(value));
            Ok(Row { line, values: values.map(|(name, value)| (plain(&name), value)).collect() })
        }
        Ok(_) => Err(RowError { line, problem: RowProblem::NotAnObject }),
        Err(error) => {
            // The parser sees one line only, so its line number is always 1.
            let reason = error.to_string().replace(" line 1 column", " column");
            Err(RowError { line, problem: RowProblem::Json(reason) })
        }
    }
}

/// Returns a column's name without case and underscores, which differ between databases: `userId`, `userid`, `user_id`.
fn plain(name: &str) -> String {
    name.trim().replace('_', "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns each row as its line and the value of `a`, or its line and the problem.
    fn shown(rows: Vec<Result<Row, RowError>>) -> Vec<String> {
        let shown = |row: Result<Row, RowError>| match row {
            Ok(row) => format!("{} {}", row.line, row.get("a")),
            Err(error) => format!("{} invalid: {}", error.line, error.problem),
        };
        rows.into_iter().map(shown).collect()
    }

    #[test]
    fn csv_is_read_in_the_forms_that_databases_export() {
        let check = |text: &[u8], expected: &[&str]| {
            let rows = shown(read_csv(text, &["a"]).unwrap());
            assert_eq!(rows, expected, "{}", String::from_utf8_lossy(text));
        };
        check(b"a,b\n1,2\n", &["2 \"1\""]);
        check(b"a,b\r\n1,2\r\n\r\n3,4", &["2 \"1\"", "4 \"3\""]);
        check(b"b,A\n,\"x\ny\"\n,\"say \"\"hi\"\"\"\n", &["2 \"x\\ny\"", "4 \"say \\\"hi\\\"\""]);
        check(b"a,b\n\\N,1\nNULL,1\n,1\n", &["2 null", "3 null", "4 null"]);
        let uneven = "3 invalid: it has 3 values for 2 columns; quote values that contain commas";
        check(b"a,b\n1,2\n1,2,3\n4,5\n", &["2 \"1\"", uneven, "4 \"4\""]);
        check(b"a,b\n\xff,2\n3,4\n", &["2 invalid: `a` is not UTF-8; export the table as UTF-8", "3 \"3\""]);
        check(b"a\n", &[]);
        for text in [b"".as_slice(), b"b;a\n1;2\n"] {
            assert_eq!(read_csv(text, &["a"]).unwrap_err(), "missing column a");
        }
    }

    #[test]
    fn json_lines_are_read_one_by_one_with_their_line_numbers() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(shown(read_lines(text.as_bytes())), expected, "{text}");
        };
        check("{\"a\": 1}\r\n\n {\"A\": \"x\\ny\"}", &["1 1", "3 \"x\\ny\""]);
        check("{\"a\": null}\n{\"a\": \"\"}\n", &["1 null", "2 null"]);
        check(
            "[]\n{\"a\"\n{}\n",
            &[
                "1 invalid: it is not a JSON object",
                "2 invalid: it is not JSON: EOF while parsing an object at column 4",
                "3 null",
            ],
        );
    }
}
