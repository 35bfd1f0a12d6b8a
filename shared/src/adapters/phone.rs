//! Telephone numbers, which people write in many ways into a CRM.

/// The number of digits at the end of a telephone number that its national and its international form have in common.
pub const SHARED_DIGITS: usize = 8;

/// Returns `true` if two texts are the same telephone number: in full, or one of them without the country code or with
/// a trunk prefix `0`.
///
/// ```
/// use call_log::adapters::phone::is_same_number;
///
/// assert!(is_same_number("+49 30 123456", "030 123456"));
/// assert!(!is_same_number("+44 30 5550123", "+49 30 5550123"));
/// ```
pub fn is_same_number(one: &str, other: &str) -> bool {
    let (first, second) = (digits(one), digits(other));
    if one.trim_start().starts_with('+') && other.trim_start().starts_with('+') {
        return first == second;
    }
    let (first, second) = (first.trim_start_matches('0'), second.trim_start_matches('0'));
    let (short, long) = if first.len() < second.len() { (first, second) } else { (second, first) };
    short == long || (short.len() >= SHARED_DIGITS && long.ends_with(short))
}

/// Returns the digits of a text.
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
