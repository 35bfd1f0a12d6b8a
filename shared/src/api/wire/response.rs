//! What callers get.

use serde::Serialize;

use crate::model::CallLogId;

/// An answer's body. Which words belong to which outcome is decided where the status is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub successful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// The body that the CRM has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_note: Option<String>,
    pub return_message: ReturnMessage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<&'static str>,
}

/// What the extension shows to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnMessage {
    pub message: String,
    pub message_type: MessageType,
    /// Milliseconds.
    pub ttl: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    Success,
    Warning,
    Danger,
}

/// A titled paragraph below the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    pub title: String,
    pub items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    pub id: String,
    /// Always `text`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub text: String,
}

impl Answer {
    /// It went well.
    pub fn success(message: impl Into<String>, ttl: u32) -> Self {
        Answer::new(true, MessageType::Success, message.into(), ttl)
    }

    /// It did not, and the user can do something about it.
    pub fn warning(message: impl Into<String>, ttl: u32) -> Self {
        Answer::new(false, MessageType::Warning, message.into(), ttl)
    }

    /// It did not, and the user can do nothing about it.
    pub fn danger(message: impl Into<String>, ttl: u32) -> Self {
        Answer::new(false, MessageType::Danger, message.into(), ttl)
    }

    #[must_use]
    pub fn with_log_id(mut self, id: &CallLogId) -> Self {
        self.log_id = Some(id.to_string());
        self
    }

    #[must_use]
    pub fn with_updated_note(mut self, body: impl Into<String>) -> Self {
        self.updated_note = Some(body.into());
        self
    }

    #[must_use]
    pub fn with_detail(mut self, title: impl Into<String>, text: impl Into<String>) -> Self {
        let id = (self.return_message.details.len() + 1).to_string();
        let item = Item { id, kind: "text", text: text.into() };
        self.return_message.details.push(Detail { title: title.into(), items: vec![item] });
        self
    }

    #[must_use]
    pub fn with_error_code(mut self, code: &'static str) -> Self {
        self.error_code = Some(code);
        self
    }

    fn new(successful: bool, message_type: MessageType, message: String, ttl: u32) -> Self {
        let return_message = ReturnMessage { message, message_type, ttl, details: Vec::new() };
        Answer { successful, log_id: None, updated_note: None, return_message, error_code: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_written_as_the_contract_says() {
        let id = CallLogId::new("5001").unwrap();
        let check = |answer: Answer, expected: &str| {
            assert_eq!(serde_json::to_string(&answer).unwrap(), expected);
        };
        check(
            Answer::success("Call logged", 2000).with_log_id(&id),
            r#"{"successful":true,"logId":"5001","returnMessage":{"message":"Call logged","messageType":"success","ttl":2000}}"#,
        );
        check(
            Answer::success("Call log updated.", 2000).with_log_id(&id).with_updated_note("- Note: ü\n"),
            r#"{"successful":true,"logId":"5001","updatedNote":"- Note: ü\n","returnMessage":{"message":"Call log updated.","messageType":"success","ttl":2000}}"#,
        );
        check(
            Answer::warning("User session expired. Please connect again.", 5000)
                .with_error_code("CRM_SESSION_REVOKED"),
            r#"{"successful":false,"returnMessage":{"message":"User session expired. Please connect again.","messageType":"warning","ttl":5000},"errorCode":"CRM_SESSION_REVOKED"}"#,
        );
        check(
            Answer::danger("Oops", 1).with_detail("A", "b").with_detail("C", "d"),
            r#"{"successful":false,"returnMessage":{"message":"Oops","messageType":"danger","ttl":1,"details":[{"title":"A","items":[{"id":"1","type":"text","text":"b"}]},{"title":"C","items":[{"id":"2","type":"text","text":"d"}]}]}}"#,
        );
    }
}
