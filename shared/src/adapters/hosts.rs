//! Hosts of CRMs. A credential is sent only to hosts on a list that the adapter has.

/// Returns the account label of a host `<label>.<domain>`, such as `acme` of `acme.crm.example`, or `None` if the
/// host is not exactly one DNS label in lower case followed by the domain. For [`Crm::base_url`](super::Crm::base_url)
/// of CRMs that have a host per account.
///
/// ```
/// use call_log::adapters::account_label;
///
/// assert_eq!(account_label("acme.crm.example", "crm.example"), Some("acme"));
/// assert_eq!(account_label("evil.com/.crm.example", "crm.example"), None);
/// ```
pub fn account_label<'a>(hostname: &'a str, domain: &str) -> Option<&'a str> {
    let label = hostname.strip_suffix(domain)?.strip_suffix('.')?;
    let is_label = (1..=63).contains(&label.len())
        && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    is_label.then_some(label)
}
