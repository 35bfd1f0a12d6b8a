//! The rows of a table that was exported: CSV, or a JSON object a line.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde_json::Value;

use crate::{arguments::RowFormat, commands::Failure};

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
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let format = format.or_else(|| format_of(file)).ok_or_else(|| {
        format!("the name of {name} does not tell its format: say --format csv or --format jsonl")
    })?;
    let unreadable = |error: io::Error| format!("{name} cannot be read: {error}");
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).map_err(unreadable)?)
    };
    Ok(match format {
        RowFormat::Csv => read_csv(input, columns).map_err(|reason| format!("{name}, {reason}"))?,
        RowFormat::Jsonl => read_lines(BufReader::new(input)).map_err(unreadable)?,
    })
}

fn format_of(file: &Path) -> Option<RowFormat> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(RowFormat::Csv),
        "jsonl" | "ndjson" => Some(RowFormat::Jsonl),
        _ => None,
    }
}

fn read_csv(input: impl Read, columns: &[&str]) -> Result<Vec<Result<Row, Bad>>, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(input);
    let headers = reader.headers().map_err(|error| format!("line 1: {error}"))?;
    let names: Vec<String> = headers.iter().map(plain).collect();
    let missing: Vec<_> = columns.iter().filter(|column| !names.contains(&plain(column))).copied().collect();
    if !missing.is_empty() {
        return Err(format!(
            "line 1: there is no column {}; the first line must name the columns, with commas between them",
            missing.join(" and no column ")
        ));
    }
    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    loop {
        // As the reader counts: behind what it has read.
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                rows.push(csv_row(line, &names, &record));
            }
            Err(error) => {
                let reason = match error.kind() {
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!(
                        "it has {len} values for {expected_len} columns: is a quote or a comma missing?"
                    ),
                    csv::ErrorKind::Io(error) => {
                        return Err(format!("line {line}: it cannot be read: {error}"));
                    }
                    _ => error.to_string(),
                };
                let line = error.position().map_or(line, csv::Position::line);
                rows.push(Err(Bad { line, reason }));
            }
        }
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

fn read_lines(mut input: impl BufRead) -> io::Result<Vec<Result<Row, Bad>>> {
    let mut rows = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes).trim_ascii();
        if text.is_empty() {
            continue;
        }
        rows.push(match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => {
                let values = object.into_iter().map(|(name, value)| (plain(&name), value));
                let told = |value: &Value| !matches!(value, Value::Null) && value.as_str() != Some("");
                Ok(Row { line, values: values.filter(|(_, value)| told(value)).collect() })
            }
            Ok(_) => Err(Bad { line, reason: "it is no JSON object".to_owned() }),
            Err(error) => {
                // The line is ours to count.
                let reason = error.to_string().replace(" line 1 column", " column");
                Err(Bad { line, reason: format!("it is not JSON: {reason}") })
            }
        });
    }
    Ok(rows)
}

/// A column's name however the database spells it: `userId`, `userid`, `user_id`.
fn plain(name: &str) -> String {
    name.trim().trim_start_matches('\u{feff}').replace('_', "").to_lowercase()
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
        check(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4", &["2 \"1\"", "4 \"3\""]);
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
            assert_eq!(shown(read_lines(text.as_bytes()).unwrap()), expected, "{text}");
        };
        check("\u{feff}{\"a\": 1}\r\n\n {\"A\": \"x\\ny\"}", &["1 1", "3 \"x\\ny\""]);
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
