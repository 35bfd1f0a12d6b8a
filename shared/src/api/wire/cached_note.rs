//! The request body of `POST /callLog/cacheNote`.

use serde_json::Value;

use super::{InputError, fields::Fields, json, record::read_extension, value};
use crate::model::{CallDetails, NamedExtension, UpdateCallLog};

/// Reads a note that a person typed during a call. `extension`: the hash of the person's extension, if a header names it. It
/// counts if the body names no extension. An empty note takes the earlier one back.
///
/// # Errors
///
/// If the body is not a JSON object, or if the session or the note is missing or invalid.
pub fn read_cached_note(body: &[u8], extension: Option<&str>) -> Result<UpdateCallLog, InputError> {
    let body = json::read_object(body, "body")?;
    let top = Fields::of_input(&body);
    let session = top.require("sessionId", &value::SESSION)?;
    let note = top.require("note", &value::NOTE)?;
    let named = read_extension(&top);
    let hash = extension.and_then(|hash| (value::ID.read)(&Value::from(hash)).ok()?);
    Ok(UpdateCallLog {
        extension: match named == NamedExtension::default() {
            true => NamedExtension { hash, ..named },
            false => named,
        },
        user: None,
        details: CallDetails {
            session: Some(session.clone()),
            note: Some(note).filter(|note| !note.is_empty()),
            ..CallDetails::default()
        },
        is_cached_note: true,
        authorization: None,
        zone: None,
        session,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_note_is_read_with_the_extension_of_the_body_or_else_of_the_header() {
        let check =
            |fields: Value, header: Option<&str>, note: Option<&str>, extension: [Option<&str>; 2]| {
                let mut body = json!({"sessionId": 7});
                body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                let read = read_cached_note(body.to_string().as_bytes(), header).unwrap();
                assert_eq!(read.session.as_str(), "7");
                assert_eq!(read.details.note.as_deref(), note, "{body}");
                let NamedExtension { hash, number, .. } = &read.extension;
                assert_eq!([hash.as_deref(), number.as_deref()], extension, "{body} {header:?}");
            };
        check(json!({"note": " Wants\na quote "}), None, Some(" Wants\na quote "), [None; 2]);
        check(json!({"note": 7}), Some("ab12"), Some("7"), [Some("ab12"), None]);
        check(json!({"note": "a", "extensionNumber": "101"}), Some("ab12"), Some("a"), [None, Some("101")]);
        check(json!({"note": " \n"}), Some(" "), None, [None; 2]);
        check(json!({"note": "a"}), Some(&"x".repeat(257)), Some("a"), [None; 2]);
    }

    #[test]
    fn a_session_and_a_note_are_required() {
        let session = "expected RingCentral's id of one call, never 0";
        for (body, message) in [
            (json!({"note": "a"}), format!("`sessionId` is missing: {session}")),
            (
                json!({"sessionId": "0", "note": "a"}),
                format!("`sessionId` is not a session id: {session}, got \"0\""),
            ),
            (json!({"sessionId": "7"}), "`note` is missing: expected a string".to_owned()),
            (json!({"sessionId": "7", "note": null}), "`note` is missing: expected a string".to_owned()),
            (
                json!({"sessionId": "7", "note": ["a"]}),
                "`note` is not text: expected a string, got a list".to_owned(),
            ),
        ] {
            let read = read_cached_note(body.to_string().as_bytes(), None);
            assert_eq!(read.map_err(|error| error.message), Err(message), "{body}");
        }
    }
}
