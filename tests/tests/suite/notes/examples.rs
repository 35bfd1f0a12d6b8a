//! New notes compared to those that App Connect 1.7.41 composes of the same data. They are equal except for intended
//! differences, which the functions here apply to App Connect's notes.

use call_log::{
    api::wire::read_compose_line,
    note::{Content, Format, compose},
};
use serde_json::Value;

const EXAMPLES: &str = include_str!("../../../fixtures/notes/app_connect.jsonl");

#[test]
fn a_new_note_equals_app_connects_except_for_intended_differences() {
    let mut count = 0;
    for example in EXAMPLES.lines() {
        let example: Value = serde_json::from_str(example).unwrap();
        let input = &example["input"];
        let line = read_compose_line(&input.to_string()).unwrap();
        let content = Content::new(&line.details, &line.settings, line.zone);
        for (format, change) in [
            (Format::Plain, change_plain as fn(&str, &Value) -> String),
            (Format::Html, change_html),
            (Format::Markdown, change_markdown),
        ] {
            let theirs = example["appConnect"][format.mime()].as_str().unwrap();
            let ours = match format {
                Format::Html => without_scaffold(&compose(format, &content)),
                _ => compose(format, &content),
            };
            assert_eq!(ours, change(theirs, input), "{} {}", example["id"], format.mime());
            count += 1;
        }
    }
    assert_eq!(count, 180);
}

fn change_plain(theirs: &str, input: &Value) -> String {
    let mut lines = own_number(theirs, input);
    let is_head = |line: &str| line.starts_with("- ") && line.ends_with(':');
    lines_first(&mut lines, is_head, "- ");
    // A user's line that looks like a line of ours is indented by two more spaces.
    let (mut is_inside, mut escaped) = (false, String::new());
    for line in lines {
        if is_inside && line.starts_with("- ") {
            escaped += "  ";
        }
        escaped = escaped + &line + "\n";
        is_inside = is_head(&line) || is_inside && !line.starts_with("---");
    }
    escaped
}

fn change_markdown(theirs: &str, input: &Value) -> String {
    let mut lines = own_number(theirs, input);
    lines_first(&mut lines, |line| line.starts_with("### "), "**");
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// Our items are always in a list with a heading, so only the items are compared.
fn change_html(theirs: &str, input: &Value) -> String {
    // Our notes keep their line breaks. No example has another line break in HTML.
    let theirs = without_scaffold(theirs).replace('\n', "<br>");
    let lines = theirs.replace("<li>", "\n<li>").replace("</li>", "</li>\n").replace("<div>", "\n<div>");
    let mut lines = own_number(&lines, input);
    lines.retain(|line| !line.is_empty());
    lines_first(&mut lines, |line| line.starts_with("<div>"), "<li><b>");
    lines.concat()
}

fn without_scaffold(html: &str) -> String {
    html.replace("<b>Call details</b><br>", "").replace("<b>Call details</b><ul>", "").replace("</ul>", "")
}

/// Our notes have the agent's own extension, and no space after a number without one.
fn own_number(theirs: &str, input: &Value) -> Vec<String> {
    let call = &input["callLog"];
    let own = if call["direction"] == "Inbound" { &call["to"] } else { &call["from"] };
    let number = own["phoneNumber"].as_str().unwrap();
    let extension =
        own["extensionNumber"].as_str().map(|extension| format!(" {extension}")).unwrap_or_default();
    let change = |line: &str| match line.split_once(&format!(": {number} ")) {
        Some((label, rest)) if label.contains("RingCentral number and extension") => {
            let end = rest.find('<').map_or("", |at| &rest[at..]);
            format!("{label}: {number}{extension}{end}")
        }
        _ => line.to_owned(),
    };
    theirs.lines().map(change).collect()
}

/// Our notes have the score and the link of ACE before the blocks.
fn lines_first(lines: &mut Vec<String>, is_block: impl Fn(&str) -> bool, mark: &str) {
    let Some(block) = lines.iter().position(|line| is_block(line)) else {
        return;
    };
    let mut at = if block > 0 && lines[block - 1].is_empty() { block - 1 } else { block };
    for label in ["Call score", "ACE recording link"] {
        let late = (at..lines.len()).find(|late| lines[*late].starts_with(&format!("{mark}{label}")));
        if let Some(late) = late {
            let line = lines.remove(late);
            lines.insert(at, line);
            at += 1;
        }
    }
}
