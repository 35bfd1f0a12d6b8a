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

#[test]
fn every_base_url_is_of_the_crm() {
    let crms: Vec<_> = FAKES.iter().map(|start| start()).collect();
    let cases: Vec<_> = crms
        .iter()
        .filter(|fake| !fake.foreign_hosts().is_empty())
        .map(|fake| (fake.adapter(), fake.own_hosts()[0].0.unwrap_or_default().to_owned()))
        .collect();
    assert!(cases.iter().any(|(crm, _)| REGISTRY.iter().any(|own| own.platform() == crm.platform())));
    let inputs = (0..cases.len()).prop_flat_map({
        let cases = cases.clone();
        move |case| {
            let own = cases[case].1.clone();
            (
                Just(case),
                prop::option::of(named(own.clone())),
                prop::option::of(named(own.clone())),
                named(own),
            )
        }
    });
    fuzz("the host check", &inputs, |(case, hostname, api_host, response_host)| {
        let (crm, own) = &cases[case];
        // The registered domain of the CRM.
        let domain = own.split('.').rev().take(2).collect::<Vec<_>>();
        let domain = format!("{}.{}", domain[1], domain[0]);
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
            let is_own = host == domain || host.ends_with(&format!(".{domain}"));
            prop_assert!(is_own && parsed.scheme() == "https", "{} of {:?} {:?}", url, hostname, api_host);
            prop_assert!(parsed.username().is_empty() && parsed.port().is_none(), "{}", url);
        }
        let own_user = user(Some(own.clone()), None);
        if let Some(host) = hosts::accepted_host(*crm, &own_user, &response_host) {
            prop_assert!(
                host.ends_with(&domain) && !host.contains(['/', '@', ':']),
                "{} of {}",
                host,
                response_host
            );
        }
        Ok(())
    });
}
