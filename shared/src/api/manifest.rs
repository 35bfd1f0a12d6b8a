//! The manifest: the CRMs as the extension shows them, made of what each adapter declares.
//!
//! The extension stores whatever this route returns as its manifest, also an error. So an operator can serve the file that
//! `call-log manifest` writes from anywhere: it has the same content.

use serde_json::{Map, Value, json};

use super::login::{EXTENSION_PAGE, own_page};
use crate::{
    adapters::{
        Crm,
        presentation::{Connect, Control, FormField, Presentation},
    },
    delivery::services::Services,
    login::{AllowedTenants, Login},
    model::Deadline,
};

/// The version of the program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the manifest of a server at this URL. It has the CRMs that can be connected there.
pub async fn manifest(services: &Services, url: &str) -> Value {
    let mut platforms = Map::new();
    for crm in services.crms {
        if let Some(platform) = platform(services, *crm, url).await {
            platforms.insert(crm.platform().to_owned(), platform);
        }
    }
    json!({
        "serverUrl": url,
        "redirectUri": EXTENSION_PAGE,
        "version": VERSION,
        "author": { "name": "call-log" },
        "platforms": platforms,
    })
}

/// Returns a CRM as the extension shows it. `None`: it cannot be connected here.
async fn platform(services: &Services, crm: &'static dyn Crm, url: &str) -> Option<Value> {
    services.identity_url(crm)?;
    let auth = authorization(services, crm, url).await?;
    let Presentation {
        url_identifier,
        contact_page_url,
        log_page_url,
        contact_types,
        call_log_fields,
        settings,
        connect: _,
    } = crm.presentation();
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let with_server = |address: &str| address.replace("{server}", host);
    let mut platform = json!({
        "name": crm.platform(),
        "displayName": crm.display_name(),
        "urlIdentifier": with_server(url_identifier),
        "auth": auth,
        "canOpenLogPage": log_page_url.is_some(),
        "contactTypes": contact_types,
        "page": {
            "useContactSearch": true,
            "callLog": { "additionalFields": call_log_fields.iter().map(field).collect::<Vec<_>>() },
            "messageLog": { "additionalFields": [] },
        },
        "settings": [],
    });
    // Without choices there is nothing to send.
    platform["disableDisposition"] = json!(call_log_fields.is_empty());
    for (name, page) in [("contactPageUrl", contact_page_url), ("logPageUrl", log_page_url)] {
        if let Some(page) = page {
            platform[name] = json!(with_server(page));
        }
    }
    if !settings.is_empty() {
        let name = crm.display_name();
        let id = format!("{}Options", crm.platform());
        let items: Vec<_> = settings.iter().map(setting).collect();
        platform["settings"] =
            json!([{ "id": id, "type": "section", "name": format!("{name} options"), "items": items }]);
    }
    Some(platform)
}

/// Returns a field of a form. The extension shows the description of a warning.
fn field(field: &FormField) -> Value {
    let mut shown = json!(field);
    if field.control == Control::Warning {
        shown["description"] = json!(field.title);
    }
    shown
}

/// Returns a setting, whose names differ from those of a form's field.
fn setting(FormField { key, title, control }: &FormField) -> Value {
    let mut shown = json!(control);
    for (name, text) in [("id", *key), ("name", *title), ("defaultValue", "")] {
        shown[name] = json!(text);
    }
    shown
}

/// Returns the first way to connect the CRM that is set up here.
async fn authorization(services: &Services, crm: &'static dyn Crm, url: &str) -> Option<Value> {
    let login = Login { services, crm, allowed: &AllowedTenants::All, deadline: Deadline(0) };
    for way in crm.presentation().connect {
        match way {
            Connect::OAuth { .. } => {
                let Ok((oauth, client)) = login.authorization_server().await else { continue };
                let page = own_page(crm).map(|path| format!("{url}{path}"));
                let scope = (!oauth.scopes.is_empty()).then(|| format!("scope={}", oauth.scopes.join("+")));
                let fields = [
                    ("authUrl", Some(oauth.authorize_url)),
                    ("clientId", Some(client.id)),
                    ("redirectUri", page),
                    ("scope", scope),
                ];
                let fields: Map<_, _> = fields
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
                    .collect();
                return Some(json!({ "type": "oauth", "oauth": fields }));
            }
            Connect::ApiKey { title } => {
                let key = json!({ "const": "apiKey", "title": title, "type": "string", "required": true });
                let page = json!({ "title": format!("Connect to {}", crm.display_name()), "content": [key] });
                return Some(json!({ "type": "apiKey", "apiKey": { "page": page } }));
            }
        }
    }
    None
}
