//! Telephone numbers, as HubSpot computes their national digits.

/// The codes of countries with one or two digits; the others have three (ITU-T E.164, list of assigned country codes).
const SHORT_CODES: [&str; 46] = [
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47",
    "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66",
    "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];

/// Returns the digits of a number without the code of its country. A number without a code is of the United States.
pub(super) fn national(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let international =
        if number.trim_start().starts_with('+') { Some(&*digits) } else { digits.strip_prefix("00") };
    let Some(international) = international else {
        let digits = digits.trim_start_matches('0');
        return if digits.len() == 11 { digits.trim_start_matches('1') } else { digits }.to_owned();
    };
    let code = SHORT_CODES.iter().find(|code| international.starts_with(**code)).map_or(3, |code| code.len());
    international.get(code..).unwrap_or_default().to_owned()
}
