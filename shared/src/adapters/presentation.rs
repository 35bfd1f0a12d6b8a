//! The appearance of a CRM in the App Connect extension, as its adapter declares it: how one connects, the fields of its
//! forms, its settings, kinds of contacts and pages.
//!
//! The names of the JSON are those of the extension's manifest.

use serde::Serialize;

/// The appearance of a CRM in the extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presentation {
    /// The ways to connect an account, the best first.
    pub connect: &'static [Connect],
    /// The pattern of the CRM's own pages, on which the extension opens: `*.crm.example`. `*` stands for any text.
    pub url_identifier: &'static str,
    /// The page of a contact, with the placeholders `{hostname}`, `{contactType}` and `{contactId}`. Here and in the other
    /// addresses, `{server}` is the host of our own server.
    pub contact_page_url: Option<&'static str>,
    /// The page of a call log, with the placeholders `{hostname}`, `{contactType}`, `{contactId}` and `{logId}`.
    pub log_page_url: Option<&'static str>,
    /// The kinds of contacts that a person can create. Empty if the CRM has only one.
    pub contact_types: &'static [Choice],
    /// The fields that the form of a call log has beside the subject and the note. Their values are
    /// [`NewCallLog::additional`](super::NewCallLog::additional).
    pub call_log_fields: &'static [FormField],
    /// Settings that only this CRM has.
    pub settings: &'static [FormField],
}

/// A way to connect an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Connect {
    /// At the CRM's own page ([`Crm::oauth`](super::Crm::oauth)).
    #[serde(rename = "oauth")]
    OAuth {
        /// The path of the page of ours to which the CRM sends people who granted access. `None`: it is the page of the
        /// extension, which takes the code from there.
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<&'static str>,
    },
    /// With a key that the person copies from the CRM.
    ApiKey {
        /// The name of the key in the CRM, and where to find it.
        title: &'static str,
    },
}

/// A value to choose, and the words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The value that is sent.
    pub value: &'static str,
    /// The words that people see.
    pub display: &'static str,
}

/// A field of a form, or a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FormField {
    /// The key of the value.
    #[serde(rename = "const")]
    pub key: &'static str,
    /// The words that people see.
    pub title: &'static str,
    /// The control.
    #[serde(flatten)]
    pub control: Control,
}

/// The control of a form field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Control {
    /// A choice among values of the contact, such as the contact's deals.
    #[serde(rename_all = "camelCase")]
    Selection {
        /// The choices come with the contact.
        contact_dependent: bool,
    },
    /// A text.
    InputField,
    /// A sentence, without a value.
    Warning,
}
