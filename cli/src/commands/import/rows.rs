//! The rows of a table that was exported: CSV, or a JSON object a line.

use std::{collections::HashMap, path::Path};

use serde_json::Value;

use crate::{
    arguments::RowFormat,
    commands::{Failure, input_name, read_input},
};

/// What a database writes for no value.
const NOTHING: [&str; 3] = ["", "NULL", "\\N"];

/// A row: where it begins in its file, and its values by the columns' names.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    values: HashMap<String, Value>,
}

/// A row that cannot be brought over.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) line: u64,
    pub(super) reason: String,
}

impl Row {
    /// The value of a column; `Null` where there is none.
    pub(super) fn get(&self, column: &str) -> Value {
        self.values.get(&plain(column)).cloned().unwrap_or_default()
    }

    /// The value as text, if it is a text or a number.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.get(column) {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The value of a column that holds JSON: an object as it is, or as text.
    pub(super) fn json(&self, column: &str) -> Result<Value, String> {
        match self.get(column) {
            Value::String(text) => {
                serde_json::from_str(&text).map_err(|error| format!("`{column}` is not JSON: {error}"))
            }
            value => Ok(value),
        }
    }

    pub(super) fn bad(&self, reason: impl Into<String>) -> Bad {
        Bad { line: self.line, reason: reason.into() }
    }
}

/// Reads all rows; each is good in itself, or bad. `columns`: those that there must be.
pub(super) fn read(
    file: &Path,
    format: Option<RowFormat>,
    columns: &[&str],
) -> Result<Vec<Result<Row, Bad>>, Failure> {
    let name = input_name(file);
    let format = format.or_else(|| format_of(file)).ok_or_else(|| {
        format!("the name of {name} does not tell its format: say --format csv or --format jsonl")
    })?;
    let bytes = read_input(file)?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    match format {
        RowFormat::Csv => read_csv(bytes, columns).map_err(|reason| format!("{name}, {reason}").into()),
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

fn read_csv(bytes: &[u8], columns: &[&str]) -> Result<Vec<Result<Row, Bad>>, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let headers = reader.headers().map_err(|error| format!("line 1: {error}"))?;
    let names: Vec<String> = headers.iter().map(plain).collect();
    let missing: Vec<_> = columns.iter().filter(|column| !names.contains(&plain(column))).copied().collect();
    if !missing.is_empty() {
        return Err(format!(
            "line 1: there is no column {}; the first line must name the columns, with commas between them",
            missing.join(", ")
        ));
    }
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let row = |record: Result<csv::ByteRecord, csv::Error>| match record {
        Ok(record) => csv_row(lines.line_of(record.position()), &names, &record),
        Err(error) => {
            let reason = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("it has {len} values for {expected_len} columns: is a quote or a comma missing?")
                }
                _ => error.to_string(),
            };
            Err(Bad { line: lines.line_of(error.position()), reason })
        }
    };
    Ok(reader.byte_records().map(row).collect())
}

/// Counts lines from front to back. The reader's own count is of where it stopped, which is before empty lines and in
/// the middle of a CRLF.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which the record begins that the reader found behind this position.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let from = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.at);
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = from + self.bytes.iter().skip(from).take_while(|byte| is_end(byte)).count();
        let passed = self.bytes.get(self.at..start).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = start.max(self.at);
        self.line
    }
}

fn csv_row(line: u64, names: &[String], record: &csv::ByteRecord) -> Result<Row, Bad> {
    let mut values = HashMap::new();
    for (name, value) in names.iter().zip(record) {
        let value = str::from_utf8(value)
            .map_err(|_| Bad { line, reason: format!("`{name}` is not UTF-8: export the table as UTF-8") })?;
        if !NOTHING.contains(&value) {
            values.insert(name.clone(), Value::from(value));
        }
    }
    Ok(Row { line, values })
}

fn read_lines(bytes: &[u8]) -> Vec<Result<Row, Bad>> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let lines = lines.map(|(line, text)| (line, text.trim_ascii())).filter(|(_, text)| !text.is_empty());
    lines.map(|(line, text)| json_row(line, text)).collect()
}

fn json_row(line: u64, text: &[u8]) -> Result<Row, Bad> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => {
            let is_told = |value: &Value| !value.is_null() && value.as_str() != Some("");
            let values = object.into_iter().filter(|(_, value)| is_told(value));
            Ok(Row { line, values: values.map(|(name, value)| (plain(&name), value)).collect() })
        }
        Ok(_) => Err(Bad { line, reason: "it is no JSON object".to_owned() }),
        Err(error) => {
            // The line is ours to count.
            let reason = error.to_string().replace(" line 1 column", " column");
            Err(Bad { line, reason: format!("it is not JSON: {reason}") })
        }
    }
}

/// A column's name however the database spells it: `userId`, `userid`, `user_id`.
fn plain(name: &str) -> String {
    name.trim().replace('_', "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row as its line and the value of `a`, or its line and what is wrong.
    fn shown(rows: Vec<Result<Row, Bad>>) -> Vec<String> {
        let shown = |row: Result<Row, Bad>| match row {
            Ok(row) => format!("{} {}", row.line, row.get("a")),
            Err(bad) => format!("{} bad: {}", bad.line, bad.reason),
        };
        rows.into_iter().map(shown).collect()
    }

    #[test]
    fn csv_is_read_as_databases_write_it() {
        let check = |text: &[u8], expected: &[&str]| {
            let rows = shown(read_csv(text, &["a"]).unwrap());
            assert_eq!(rows, expected, "{}", String::from_utf8_lossy(text));
        };
        check(b"a,b\n1,2\n", &["2 \"1\""]);
        check(b"a,b\r\n1,2\r\n\r\n3,4", &["2 \"1\"", "4 \"3\""]);
        check(b"b,A\n,\"x\ny\"\n,\"say \"\"hi\"\"\"\n", &["2 \"x\\ny\"", "4 \"say \\\"hi\\\"\""]);
        check(b"a,b\n\\N,1\nNULL,1\n,1\n", &["2 null", "3 null", "4 null"]);
        let uneven = "it has 3 values for 2 columns: is a quote or a comma missing?";
        check(b"a,b\n1,2\n1,2,3\n4,5\n", &["2 \"1\"", &format!("3 bad: {uneven}"), "4 \"4\""]);
        check(b"a,b\n\xff,2\n3,4\n", &["2 bad: `a` is not UTF-8: export the table as UTF-8", "3 \"3\""]);
        check(b"a\n", &[]);
        for text in [b"".as_slice(), b"b;a\n1;2\n"] {
            let missing = "line 1: there is no column a; the first line must name the columns, with commas between them";
            assert_eq!(read_csv(text, &["a"]).unwrap_err(), missing);
        }
    }

    #[test]
    fn json_lines_are_read_one_by_one() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(shown(read_lines(text.as_bytes())), expected, "{text}");
        };
        check("{\"a\": 1}\r\n\n {\"A\": \"x\\ny\"}", &["1 1", "3 \"x\\ny\""]);
        check("{\"a\": null}\n{\"a\": \"\"}\n", &["1 null", "2 null"]);
        check(
            "[]\n{\"a\"\n{}\n",
            &[
                "1 bad: it is no JSON object",
                "2 bad: it is not JSON: EOF while parsing an object at column 4",
                "3 null",
            ],
        );
    }
}
