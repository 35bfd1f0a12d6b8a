//! The host check: a credential goes only to a host of the CRM, whatever the stored user or a response names.

use call_log::{
    adapters::{REGISTRY, hosts},
    model::{CrmAccount, Platform, Settings, User, UserId},
};
use proptest::prelude::*;
use tests::fake_crm::FAKES;

use crate::{fuzz, inputs};

/// A host of a CRM, hostile parts around it and in it, and other texts.
fn named(own: String) -> impl Strategy<Value = String> {
    let around = prop::sample::select(vec![
        "",
        ".",
        "..",
        "evil.example",
        ".evil.example",
        "evil.example/",
        "evil.example#",
        "evil.example?",
        "@",
        ":443",
        ":80",
        "user@",
        "https://",
        "http://",
        "//",
        "\\",
        "%2e",
        "\u{3002}",
        "\u{ff0e}",
        " ",
        "\t",
        "\n",
        "\0",
        "127.0.0.1",
        "xn--",
        "a.",
        "a.b.",
        "-",
        "_",
        "\u{e9}",
        "A",
        "[::1]",
    ]);
    prop_oneof![
        (around.clone(), Just(own.clone()), around.clone())
            .prop_map(|(before, own, after)| before.to_owned() + &own + after),
        (Just(own), any::<prop::sample::Index>(), around).prop_map(|(own, at, part)| {
            let at = at.index(own.len() + 1);
            format!("{}{part}{}", &own[..at], &own[at..])
        }),
        inputs::text(),
    ]
}

/// Returns the registered domain of a host or of an address, such as `hubapi.com`.
fn domain_of(host: &str) -> String {
    let labels: Vec<_> = host.trim_start_matches("https://").split('.').collect();
    labels[labels.len().saturating_sub(2)..].join(".")
}

#[test]
fn every_base_url_is_of_the_crm() {
    let crms: Vec<_> = FAKES.iter().map(|start| start()).collect();
    let cases: Vec<_> = crms
        .iter()
        .filter(|fake| !fake.foreign_hosts().is_empty())
        .map(|fake| {
            let (page, api) = fake.own_hosts()[0];
            let page = page.unwrap_or_default().to_owned();
            (fake.adapter(), [domain_of(&page), domain_of(api)], page)
        })
        .collect();
    assert!(cases.iter().any(|(crm, ..)| REGISTRY.iter().any(|own| own.platform() == crm.platform())));
    let inputs = (0..cases.len()).prop_flat_map({
        let cases = cases.clone();
        move |case| {
            let own = cases[case].2.clone();
            (
                Just(case),
                prop::option::of(named(own.clone())),
                prop::option::of(named(own.clone())),
                named(own),
            )
        }
    });
    fuzz("the host check", &inputs, |(case, hostname, api_host, response_host)| {
        let (crm, domains, own) = &cases[case];
        let is_own =
            |host: &str| domains.iter().any(|domain| host == domain || host.ends_with(&format!(".{domain}")));
        let user = |hostname: Option<String>, api_host| User {
            id: UserId::new("1").unwrap(),
            platform: Platform::new(crm.platform()).unwrap(),
            hostname,
            account: CrmAccount { api_host, ..CrmAccount::default() },
            zone: None,
            settings: Settings::default(),
            credentials: None,
        };
        let named = user(hostname.clone(), api_host.clone());
        let urls = [hosts::base_url(*crm, &named), hosts::oauth(*crm, &named).map(|oauth| oauth.token_url)];
        for url in urls.into_iter().flatten() {
            // The HTTP client's own parser says where a request would go.
            let parsed = reqwest::Url::parse(&url).unwrap();
            let host = parsed.host_str().unwrap_or_default();
            prop_assert!(
                is_own(host) && parsed.scheme() == "https",
                "{} of {:?} {:?}",
                url,
                hostname,
                api_host
            );
            prop_assert!(parsed.username().is_empty() && parsed.port().is_none(), "{}", url);
        }
        let own_user = user(Some(own.clone()), None);
        if let Some(host) = hosts::accepted_host(*crm, &own_user, &response_host) {
            prop_assert!(is_own(&host) && !host.contains(['/', '@', ':']), "{} of {}", host, response_host);
        }
        Ok(())
    });
}
