//! The declarations of adapters for the extension, compared with what the extension reads.

use std::collections::BTreeSet;

use call_log::adapters::presentation::{Connect, Control};
use tests::fake_crm::FAKES;

use super::connected::Connected;

#[test]
fn a_crm_is_connected_with_oauth_if_and_only_if_it_has_an_authorization_server() {
    for start in FAKES {
        let connected = Connected::new(start());
        let connect = connected.crm.presentation().connect;
        assert!(!connect.is_empty(), "{} cannot be connected", connected.name());
        let has_oauth = connected.crm.oauth(&connected.user).is_some();
        let offers_oauth = connect.iter().any(|way| matches!(way, Connect::OAuth { .. }));
        assert_eq!(offers_oauth, has_oauth, "{}", connected.name());
    }
}

#[test]
fn a_page_has_only_placeholders_that_the_extension_fills_in() {
    const KNOWN: [&str; 5] = ["{hostname}", "{contactType}", "{contactId}", "{logId}", "{server}"];
    for start in FAKES {
        let crm = start().adapter();
        let presentation = crm.presentation();
        assert!(!presentation.url_identifier.is_empty(), "{}: the extension never opens", crm.platform());
        for page in [presentation.contact_page_url, presentation.log_page_url].into_iter().flatten() {
            let rest = KNOWN.iter().fold(page.to_owned(), |page, known| page.replace(known, ""));
            assert!(!rest.contains(['{', '}']), "{}: {page}", crm.platform());
            assert!(page.starts_with("http"), "{}: {page}", crm.platform());
        }
    }
}

#[test]
fn each_field_of_a_form_has_a_key_of_its_own() {
    for start in FAKES {
        let crm = start().adapter();
        let presentation = crm.presentation();
        for fields in [presentation.call_log_fields, presentation.settings] {
            let keys: BTreeSet<_> = fields.iter().map(|field| field.key).collect();
            assert_eq!(keys.len(), fields.len(), "{}", crm.platform());
            assert!(fields.iter().all(|field| !field.title.is_empty()), "{}", crm.platform());
        }
    }
}

#[test]
fn a_form_field_has_the_names_of_the_extensions_manifest() {
    let crm = call_log::adapters::find("pipedrive").unwrap();
    let fields = crm.presentation().call_log_fields;
    assert!(fields.iter().any(|field| field.control == Control::Warning));
    let json = serde_json::to_value(fields[0]).unwrap();
    let expected = serde_json::json!({ "const": "deals", "title": "Deal", "type": "selection", "contactDependent": true });
    assert_eq!(json, expected);
}
