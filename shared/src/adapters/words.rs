//! The CRM's own words for an error, for the person who can do something about it.

use serde_json::Value;

use crate::note::one_line;

/// The longest body of an error that is searched for a message, in bytes.
const LONGEST_ERROR: usize = 64 << 10;
/// The longest message of a CRM that is shown to a person, in characters.
const LONGEST_MESSAGE: usize = 500;

/// Returns the CRM's own words for a rejection, as plain text, cut to the length that a message can show.
///
/// CRMs wrap their words in objects and lists of many shapes. The words are the outermost texts under a name that error
/// bodies use for them. The name `error` counts only if there is no other, because some CRMs have a code there and the
/// words beside it. A text that only points to a manual does not count. `None`: the CRM gave no reason.
pub fn own_words(body: &[u8]) -> Option<String> {
    // A long body is no message, and would take many times its length in memory.
    let body = Some(body).filter(|body| body.len() <= LONGEST_ERROR).unwrap_or_default();
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let words = words(&body, &WORDS).or_else(|| words(&body, &["error"]));
    Some(words?.chars().take(LONGEST_MESSAGE).collect())
}

/// The names under which error bodies have sentences for people: Pipedrive (`error_info`), HubSpot, Salesforce, Zoho and
/// HighLevel (`message`), NetSuite and RFC 9457 (`detail`, `title`), Bullhorn (`errorMessage`), OAuth servers
/// (`error_description`), and lists (`errors`).
const WORDS: [&str; 7] =
    ["error_info", "errorMessage", "message", "detail", "title", "error_description", "errors"];
/// The number of sentences of a list that are shown.
const MOST_SENTENCES: usize = 3;

fn words(value: &Value, names: &[&str]) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let named = names.iter().find_map(|name| match fields.get(*name)? {
                Value::String(text) => sentence(text),
                Value::Array(texts) => {
                    let sentences = texts.iter().filter_map(|text| sentence(text.as_str()?));
                    joined(sentences)
                }
                _ => None,
            });
            named.or_else(|| fields.values().find_map(|inner| words(inner, names)))
        }
        Value::Array(entries) => joined(entries.iter().filter_map(|entry| words(entry, names))),
        _ => None,
    }
}

fn joined(sentences: impl Iterator<Item = String>) -> Option<String> {
    let sentences: Vec<_> = sentences.take(MOST_SENTENCES).collect();
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

/// Returns a text as one line without markup, unless it says nothing: it is empty, or only points to a manual.
fn sentence(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        plain.push_str(before);
        match tag.split_once('>') {
            Some((_, after)) => {
                plain.push(' ');
                rest = after;
            }
            None => {
                plain.push('<');
                rest = tag;
            }
        }
    }
    plain.push_str(rest);
    let plain = one_line(&plain).split_whitespace().collect::<Vec<_>>().join(" ");
    let is_pointer = plain.starts_with("Please check ") && plain.contains("for more information");
    (!plain.is_empty() && !is_pointer).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_crm_are_found_in_each_shape() {
        for (body, expected) in [
            (
                r#"{"success": false, "error": "Bad Request", "error_info": "Deal not found"}"#,
                "Deal not found",
            ),
            (
                r#"{"status": "error", "message": "Property missing", "category": "VALIDATION_ERROR"}"#,
                "Property missing",
            ),
            (
                r#"[{"message": "Required fields are missing: [Subject]", "errorCode": "REQUIRED_FIELD_MISSING"}]"#,
                "Required fields are missing: [Subject]",
            ),
            (
                r#"{"data": [{"code": "INVALID_DATA", "details": {}, "message": "the id given seems to be invalid"}]}"#,
                "the id given seems to be invalid",
            ),
            (
                r#"{"error": {"code": "0x80060882", "message": "The version does not match"}}"#,
                "The version does not match",
            ),
            (
                r#"{"error": {"type": "ArgumentError", "message": "body can't be blank"}}"#,
                "body can't be blank",
            ),
            (
                r#"{"title": "Bad Request", "o:errorDetails": [{"detail": "Invalid field value"}]}"#,
                "Bad Request",
            ),
            (
                r#"{"errorMessage": "error persisting an entity", "errors": [{"propertyName": "action"}]}"#,
                "error persisting an entity",
            ),
            (r#"{"message": ["name should not be empty", "phone"]}"#, "name should not be empty; phone"),
            (
                r#"{"success": false, "error": "Bad request: owner_id is invalid", "error_info": "Please check developers.pipedrive.com for more information about Pipedrive API."}"#,
                "Bad request: owner_id is invalid",
            ),
            (r#"{"errors": ["", "Deal not found"], "error_info": ""}"#, "Deal not found"),
            (
                r#"{"errors": [{"detail": "A"}, {"detail": "B"}, {}, {"detail": "C"}, {"detail": "D"}]}"#,
                "A; B; C",
            ),
            (r#"{"message": "<p>The <b>deal</b> is closed.</p>"}"#, "The deal is closed."),
            (r#"{"message": "a < b"}"#, "a < b"),
            (r#"{"message": "<br>", "error": "Closed"}"#, "Closed"),
            (
                r#"{"error": "invalid_grant", "error_description": "expired access/refresh token"}"#,
                "expired access/refresh token",
            ),
            (r#"{"error": "A plain error"}"#, "A plain error"),
            (r#"{"message": " "}"#, ""),
            (r#"{"message": "\u0000", "error": "\u202eClosed\u0007 today\r\n"}"#, "Closed today"),
            ("<html>", ""),
            ("", ""),
        ] {
            let expected = Some(expected.to_owned()).filter(|expected| !expected.is_empty());
            assert_eq!(own_words(body.as_bytes()), expected, "{body}");
        }
    }
}
