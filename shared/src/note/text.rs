//! Text as values have it: what is a line, and what no CRM can store.

/// A text without what no CRM can be trusted with: its line ends are `\n`, and of the other control characters only
/// the tab is left. They cannot be seen, databases and XML refuse them.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut after_return = false;
    for char in text.chars() {
        match char {
            '\n' if after_return => {}
            '\r' | '\n' | '\u{b}' | '\u{c}' => cleaned.push('\n'),
            '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' => {}
            char => cleaned.push(char),
        }
        after_return = char == '\r';
    }
    cleaned
}

/// The lines of a body, each with its line end.
pub(super) fn lines(body: &str) -> Vec<&str> {
    body.split_inclusive('\n').collect()
}

/// A line without its line end.
pub(super) fn bare(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Each line of a text changed by itself.
pub(super) fn map_lines(text: &str, change: impl Fn(&str, &mut String)) -> String {
    let mut changed = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            changed.push('\n');
        }
        change(line.strip_suffix('\r').unwrap_or(line), &mut changed);
    }
    changed
}

/// A text with a line end, unless it is empty.
pub(super) fn ended(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}")
}
