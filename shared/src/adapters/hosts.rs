//! Hosts of CRMs. A credential is sent only to hosts on a closed list that the adapter has.

use super::{Crm, OAuth};
use crate::model::{CrmAccount, User};

/// A field of a user that names a host which is not one of the CRM's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignHost {
    /// The host of the CRM's page.
    Hostname,
    /// The host of the API.
    Api,
    /// The host of the authorization server.
    Login,
}

/// Returns `true` if a host is on an adapter's list. For [`Crm::base_url`] and [`Crm::oauth`].
///
/// A pattern is a host in lower case. `*` as a label stands for any one label, and `#` at the end of a label for a
/// number. A host with a port, a user part, a dot at its end, an upper-case letter or a letter that is not ASCII matches
/// no pattern.
///
/// ```
/// use call_log::adapters::is_listed;
///
/// const HOSTS: [&str; 3] = ["login.crm.example", "*.crm.example", "*.region#.crm.example"];
///
/// assert!(is_listed("login.crm.example", &HOSTS));
/// assert!(is_listed("acme.region4.crm.example", &HOSTS));
/// assert!(!is_listed("acme.region.crm.example", &HOSTS));
/// assert!(!is_listed("evil.com/.crm.example", &HOSTS));
/// ```
pub fn is_listed(host: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| {
        let (mut labels, mut expected) = (host.split('.'), pattern.split('.'));
        expected.all(|expected| labels.next().is_some_and(|label| is_like(label, expected)))
            && labels.next().is_none()
    })
}

/// Returns the account label of a host `<label>.<domain>`, such as `acme` of `acme.crm.example`, or `None` if the
/// host is not exactly one DNS label in lower case followed by the domain. For [`Crm::base_url`] of CRMs that have a host
/// per account.
///
/// ```
/// use call_log::adapters::account_label;
///
/// assert_eq!(account_label("acme.crm.example", "crm.example"), Some("acme"));
/// assert_eq!(account_label("evil.com/.crm.example", "crm.example"), None);
/// ```
pub fn account_label<'a>(hostname: &'a str, domain: &str) -> Option<&'a str> {
    let label = hostname.strip_suffix(domain)?.strip_suffix('.')?;
    is_label(label).then_some(label)
}

/// Returns the API host that a response of the CRM names, in lower case, or `None` if the adapter does not send a user's
/// requests there. The response names the host alone, or an `https` URL without a user part, a port and a path.
pub fn accepted_host(crm: &dyn Crm, user: &User, named: &str) -> Option<String> {
    let host = named_host(named)?;
    let account = CrmAccount { api_host: Some(host.clone()), ..user.account.clone() };
    base_url(crm, &User { account, ..user.clone() }).map(|_| host)
}

fn named_host(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let host = text.strip_prefix("https://").unwrap_or(&text);
    let host = host.strip_suffix('/').unwrap_or(host);
    (host.contains('.') && host.split('.').all(is_label)).then(|| host.to_owned())
}

/// Returns the CRM's base URL for a user, or `None` if the user's host is not one of the CRM's own. An API host must also
/// be the one that the adapter sends requests to.
pub fn base_url(crm: &dyn Crm, user: &User) -> Option<String> {
    let url = crm.base_url(user)?;
    is_host_of(user.account.api_host.as_deref(), &url).then_some(url)
}

/// Returns the authorization server of a user's tenant, or `None` if there is none, or if the user's login host is not
/// the one that the adapter sends token requests to.
pub fn oauth(crm: &dyn Crm, user: &User) -> Option<OAuth> {
    let oauth = crm.oauth(user)?;
    is_host_of(user.account.login_host.as_deref(), &oauth.token_url).then_some(oauth)
}

/// Checks the hosts of a user.
///
/// # Errors
///
/// The first field whose host is not one of the CRM's own.
pub fn check(crm: &dyn Crm, user: &User) -> Result<(), ForeignHost> {
    let account = CrmAccount { api_host: None, ..user.account.clone() };
    if base_url(crm, user).is_none() {
        let is_own = crm.base_url(&User { account, ..user.clone() }).is_some();
        let field = if is_own { ForeignHost::Api } else { ForeignHost::Hostname };
        return Err(field);
    }
    if user.account.login_host.is_some() && oauth(crm, user).is_none() {
        return Err(ForeignHost::Login);
    }
    Ok(())
}

/// Returns `true` if a host, if there is one, is that of an adapter's `https` URL.
fn is_host_of(host: Option<&str>, url: &str) -> bool {
    host.is_none_or(|host| url.strip_prefix("https://").and_then(|rest| rest.split('/').next()) == Some(host))
}

/// Returns `true` if a label is the one of a pattern.
fn is_like(label: &str, expected: &str) -> bool {
    let is_number = |text: &str| {
        (1..=3).contains(&text.len())
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match expected.strip_suffix('#') {
        Some(name) => label.strip_prefix(name).is_some_and(is_number),
        None if expected == "*" => is_label(label),
        None => label == expected,
    }
}

/// Returns `true` if a text is a DNS label in lower case (RFC 1123, section 2.1), and not a name in other letters (RFC 5890,
/// section 2.3.1), which no CRM has.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.starts_with("xn--")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: [&str; 3] = ["login.crm.example", "*.my.crm.example", "*.crm#.example"];

    #[test]
    fn only_hosts_on_the_list_are_listed() {
        for host in [
            "login.crm.example",
            "acme.my.crm.example",
            "acme--dev.my.crm.example",
            "1.my.crm.example",
            "acme.crm4.example",
            "acme.crm21.example",
        ] {
            assert!(is_listed(host, &HOSTS), "{host}");
        }
        let long = format!("{}.my.crm.example", "a".repeat(64));
        for host in [
            "",
            ".",
            "*",
            "*.my.crm.example",
            "crm.example",
            "my.crm.example",
            ".my.crm.example",
            "acme.crm.example",
            "test.crm.example",
            "a.acme.my.crm.example",
            "login.crm.example.",
            "acme.my.crm.example.",
            "acme.my.crm.example.evil.com",
            "acme.my.crm.examples",
            "acme-my.crm.example",
            "acme.crm#.example",
            "acme.crm0.example",
            "acme.crm04.example",
            "acme.crm1234.example",
            "acme.crm-4.example",
            "acme.crm4x.example",
            "acme.crm٤.example",
            "LOGIN.crm.example",
            "Acme.my.crm.example",
            "user@acme.my.crm.example",
            "login.crm.example@evil.com",
            "evil.com#.my.crm.example",
            "evil.com?.my.crm.example",
            "evil.com/.my.crm.example",
            "evil.com\\.my.crm.example",
            "login.crm.example/path",
            "login.crm.example:443",
            "acme.my.crm.example:443",
            "https://login.crm.example",
            "127.0.0.1",
            "[::1]",
            "acme.my.crm.example\n",
            "login.crm.example\n",
            "evil.com\n.my.crm.example",
            "acme .my.crm.example",
            " login.crm.example",
            "acme%2e.my.crm.example",
            "àcme.my.crm.example",
            "login。crm.example",
            "xn--acme.my.crm.example",
            "xn--login-.crm.example",
            "login.xn--crm-.example",
            "-acme.my.crm.example",
            "acme-.my.crm.example",
            &long,
        ] {
            assert!(!is_listed(host, &HOSTS), "{host:?}");
            assert_eq!(account_label(host, "my.crm.example"), None, "{host:?}");
        }
    }

    #[test]
    fn a_response_names_a_host_alone_or_as_an_https_url() {
        for (text, expected) in [
            ("acme.crm.example", Some("acme.crm.example")),
            ("https://acme.crm.example", Some("acme.crm.example")),
            ("https://acme.crm.example/", Some("acme.crm.example")),
            ("HTTPS://Acme.CRM.example", Some("acme.crm.example")),
            ("", None),
            ("https://", None),
            ("https:///", None),
            ("localhost", None),
            ("http://acme.crm.example", None),
            ("http://127.0.0.1:7001", None),
            ("https://acme.crm.example:443", None),
            ("https://acme.crm.example//", None),
            ("https://acme.crm.example/path", None),
            ("https://acme.crm.example?x", None),
            ("https://user@acme.crm.example", None),
            ("https://user:secret@acme.crm.example", None),
            ("https://acme.crm.example.", None),
            ("https://https://acme.crm.example", None),
            ("https://[::1]", None),
            ("//acme.crm.example", None),
            ("acme.crm.example\n", None),
            ("évil.example", None),
        ] {
            assert_eq!(named_host(text).as_deref(), expected, "{text:?}");
        }
    }
}
