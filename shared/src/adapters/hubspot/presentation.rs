//! The appearance of HubSpot in the extension.

use super::DEALS;
use crate::adapters::presentation::{Connect, Control, FormField, Presentation};

/// The pages of HubSpot name the account. The extension knows it as the type of a contact ([`super::contacts`]).
pub(super) const PRESENTATION: Presentation = Presentation {
    connect: &[
        Connect::OAuth { page: None },
        Connect::ApiKey { title: "Access token of a private app (Settings, Integrations, Private Apps)" },
    ],
    url_identifier: "*.hubspot.com",
    contact_page_url: Some("https://{hostname}/contacts/{contactType}/record/0-1/{contactId}"),
    log_page_url: Some(
        "https://{hostname}/contacts/{contactType}/record/0-1/{contactId}/?engagement={logId}",
    ),
    contact_types: &[],
    call_log_fields: &[FormField {
        key: DEALS,
        title: "Deal",
        control: Control::Selection { contact_dependent: true },
    }],
    settings: &[],
};
