//! The appearance of Pipedrive in the extension.

use super::{DEALS, LEADS, call_type};
use crate::adapters::presentation::{Connect, Control, FormField, Presentation};

/// A choice among what belongs to the contact.
const FROM_CONTACT: Control = Control::Selection { contact_dependent: true };

pub(super) const PRESENTATION: Presentation = Presentation {
    connect: &[
        Connect::OAuth { page: Some("/pipedrive-redirect") },
        Connect::ApiKey { title: "API token (Personal preferences, API)" },
    ],
    url_identifier: "*.pipedrive.com",
    contact_page_url: Some("https://{hostname}/person/{contactId}"),
    log_page_url: Some("https://{hostname}/activities/{logId}"),
    contact_types: &[],
    call_log_fields: &[
        FormField { key: DEALS, title: "Deal", control: FROM_CONTACT },
        FormField {
            key: "leadWarning",
            title: "If you choose a deal, the lead is left out.",
            control: Control::Warning,
        },
        FormField { key: LEADS, title: "Lead", control: FROM_CONTACT },
    ],
    settings: &[FormField {
        key: call_type::SETTING,
        title: "Activity type of calls (its API key, such as `call`)",
        control: Control::InputField,
    }],
};
