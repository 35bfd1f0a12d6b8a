//! Bodies of responses.

use serde::Serialize;

use crate::model::CallLogId;

/// The body of every response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseBody {
    /// `true` if the request was carried out or will be.
    pub successful: bool,
    /// The id of the CRM record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// The body of the CRM record after an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_note: Option<String>,
    /// The message for the user.
    pub return_message: ReturnMessage,
    /// A code for programs, such as `CRM_SESSION_REVOKED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<&'static str>,
}

/// The body of a response without a message: what the request brought is written, or waits.
#[derive(Debug, Serialize)]
pub struct AcceptedBody {
    /// Always `true`.
    pub successful: bool,
}

/// The message that the extension shows to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnMessage {
    /// The text, as a sentence.
    pub message: String,
    /// The colour of the message.
    pub message_type: MessageType,
    /// The time that the message is shown, in milliseconds.
    pub ttl: u32,
    /// Paragraphs below the message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<MessageSection>,
}

/// The severity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// The request was carried out or will be.
    Success,
    /// The request was not carried out, and the caller can act on it.
    Warning,
    /// The request failed on our side.
    Danger,
}

/// A titled paragraph below the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageSection {
    /// The title.
    pub title: String,
    /// The texts. We write one for each section.
    pub items: Vec<SectionItem>,
}

/// A text in a section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SectionItem {
    /// The number of the section, from 1.
    pub id: String,
    /// Always `text`.
    #[serde(rename = "type")]
    pub item_type: &'static str,
    /// The text.
    pub text: String,
}

impl ResponseBody {
    /// Returns a body for a request that was carried out or will be. `ttl` is in milliseconds.
    pub fn success(message: impl Into<String>, ttl: u32) -> Self {
        ResponseBody::new(true, MessageType::Success, message.into(), ttl)
    }

    /// Returns a body for a failure that the caller can act on. `ttl` is in milliseconds.
    pub fn warning(message: impl Into<String>, ttl: u32) -> Self {
        ResponseBody::new(false, MessageType::Warning, message.into(), ttl)
    }

    /// Returns a body for a failure on our side. `ttl` is in milliseconds.
    pub fn danger(message: impl Into<String>, ttl: u32) -> Self {
        ResponseBody::new(false, MessageType::Danger, message.into(), ttl)
    }

    /// Returns the same body with the message shown as a warning.
    pub fn as_warning(mut self) -> Self {
        self.return_message.message_type = MessageType::Warning;
        self
    }

    /// Adds the id of the CRM record.
    #[must_use]
    pub fn with_log_id(mut self, id: &CallLogId) -> Self {
        self.log_id = Some(id.to_string());
        self
    }

    /// Adds the body of the CRM record.
    #[must_use]
    pub fn with_updated_note(mut self, body: impl Into<String>) -> Self {
        self.updated_note = Some(body.into());
        self
    }

    /// Adds a paragraph below the message.
    #[must_use]
    pub fn with_section(mut self, title: impl Into<String>, text: impl Into<String>) -> Self {
        let id = (self.return_message.details.len() + 1).to_string();
        let item = SectionItem { id, item_type: "text", text: text.into() };
        self.return_message.details.push(MessageSection { title: title.into(), items: vec![item] });
        self
    }

    /// Adds a code for programs.
    #[must_use]
    pub fn with_error_code(mut self, code: &'static str) -> Self {
        self.error_code = Some(code);
        self
    }

    fn new(successful: bool, message_type: MessageType, message: String, ttl: u32) -> Self {
        let return_message = ReturnMessage { message, message_type, ttl, details: Vec::new() };
        ResponseBody { successful, log_id: None, updated_note: None, return_message, error_code: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_serialized_as_the_contract_requires() {
        let id = CallLogId::new("5001").unwrap();
        let check = |body: ResponseBody, expected: &str| {
            assert_eq!(serde_json::to_string(&body).unwrap(), expected);
        };
        check(
            ResponseBody::success("Call logged", 2000).with_log_id(&id),
            r#"{"successful":true,"logId":"5001","returnMessage":{"message":"Call logged","messageType":"success","ttl":2000}}"#,
        );
        check(
            ResponseBody::success("Call log updated.", 2000)
                .with_log_id(&id)
                .with_updated_note("- Note: ü\n"),
            r#"{"successful":true,"logId":"5001","updatedNote":"- Note: ü\n","returnMessage":{"message":"Call log updated.","messageType":"success","ttl":2000}}"#,
        );
        check(
            ResponseBody::warning("User session expired. Please connect again.", 5000)
                .with_error_code("CRM_SESSION_REVOKED"),
            r#"{"successful":false,"returnMessage":{"message":"User session expired. Please connect again.","messageType":"warning","ttl":5000},"errorCode":"CRM_SESSION_REVOKED"}"#,
        );
        check(
            ResponseBody::danger("Oops", 1).with_section("A", "b").with_section("C", "d"),
            r#"{"successful":false,"returnMessage":{"message":"Oops","messageType":"danger","ttl":1,"details":[{"title":"A","items":[{"id":"1","type":"text","text":"b"}]},{"title":"C","items":[{"id":"2","type":"text","text":"d"}]}]}}"#,
        );
    }
}
