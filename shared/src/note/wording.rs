//! The wording of durations, dates and call journeys, in English.

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

use crate::model::{CallDuration, Direction, Leg, Party, Zone};

/// Returns a duration as `1 hour, 2 minutes, 5 seconds`, without the parts that are zero.
pub(super) fn duration(time: CallDuration) -> String {
    let CallDuration::Seconds(seconds) = time else {
        return "pending".to_owned();
    };
    let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let words: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { "0 seconds".to_owned() } else { words.join(", ") }
}

/// Returns an instant in the time of a zone, in a pattern of moment.js ("Display", "Format").
pub(super) fn date(instant: DateTime<Utc>, zone: Zone, pattern: &str) -> String {
    let time = LocalTime { instant, local: zone.local(instant) };
    let mut written = String::new();
    let mut rest = pattern;
    while let Some(char) = rest.chars().next() {
        if let Some((literal, behind)) = rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            written.push_str(literal);
            rest = behind;
        } else if let Some(token) = TOKENS.iter().find(|token| rest.starts_with(**token)) {
            time.write(token, &mut written);
            rest = &rest[token.len()..];
        } else {
            written.push(char);
            rest = &rest[char.len_utf8()..];
        }
    }
    written
}

/// Returns the journey of a call: one line per leg. A leg whose party is unknown is left out.
pub(super) fn journey(legs: &[Leg]) -> String {
    let line = |(index, leg): (usize, &Leg)| {
        let is_outbound = leg.direction == Direction::Outbound;
        let is_ringing_out = leg.leg_type.as_deref() == Some("PstnToSip");
        Some(match (index, is_outbound) {
            (0, true) => format!("Made call from {}", party(&leg.from)?),
            (0, false) => format!("Received call at {}", party(&leg.to)?),
            (_, is_outbound) => {
                let other = party(if is_outbound && !is_ringing_out { &leg.from } else { &leg.to })?;
                match leg.duration {
                    Some(seconds) => {
                        let plural = if seconds > 1 { "s" } else { "" };
                        format!("Transferred to {other}, duration: {seconds} second{plural}")
                    }
                    None => format!("Transferred to {other}"),
                }
            }
        })
    };
    legs.iter().enumerate().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// Returns `name, number, ext 7`, without the parts that are unknown.
fn party(party: &Party) -> Option<String> {
    let extension = party.extension_number.as_ref().map(|extension| format!("ext {extension}"));
    let known = [party.name.clone(), party.phone_number.clone(), extension];
    let known: Vec<_> = known.into_iter().flatten().filter(|part| !part.trim().is_empty()).collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// The tokens of moment.js patterns, the longest first.
const TOKENS: &[&str] = &[
    "YYYY", "MMMM", "DDDD", "dddd", "MMM", "DDD", "ddd", "SSS", "YY", "MM", "Mo", "DD", "Do", "dd", "HH",
    "hh", "kk", "mm", "ss", "SS", "ZZ", "Q", "M", "D", "d", "H", "h", "k", "m", "s", "S", "A", "a", "Z", "X",
    "x",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// An instant in the time of a zone.
struct LocalTime {
    instant: DateTime<Utc>,
    local: NaiveDateTime,
}

impl LocalTime {
    /// Appends the text that a token of [`TOKENS`] stands for.
    fn write(&self, token: &str, written: &mut String) {
        let local = &self.local;
        let month = MONTHS[local.month0() as usize];
        let day = DAYS[local.weekday().num_days_from_sunday() as usize];
        let half = if local.hour() < 12 { "am" } else { "pm" };
        let millisecond = local.and_utc().timestamp_subsec_millis();
        let clock_24 = if local.hour() == 0 { 24 } else { local.hour() };
        // Writing to a string cannot fail.
        let _ = match token {
            "YYYY" => write!(written, "{:04}", local.year()),
            "YY" => write!(written, "{:02}", local.year().rem_euclid(100)),
            "Q" => write!(written, "{}", local.month0() / 3 + 1),
            "MMMM" => write!(written, "{month}"),
            "MMM" => write!(written, "{}", &month[..3]),
            "MM" => write!(written, "{:02}", local.month()),
            "Mo" => write!(written, "{}", ordinal(local.month())),
            "M" => write!(written, "{}", local.month()),
            "DDDD" => write!(written, "{:03}", local.ordinal()),
            "DDD" => write!(written, "{}", local.ordinal()),
            "DD" => write!(written, "{:02}", local.day()),
            "Do" => write!(written, "{}", ordinal(local.day())),
            "D" => write!(written, "{}", local.day()),
            "dddd" => write!(written, "{day}"),
            "ddd" => write!(written, "{}", &day[..3]),
            "dd" => write!(written, "{}", &day[..2]),
            "d" => write!(written, "{}", local.weekday().num_days_from_sunday()),
            "HH" => write!(written, "{:02}", local.hour()),
            "H" => write!(written, "{}", local.hour()),
            "hh" => write!(written, "{:02}", local.hour12().1),
            "h" => write!(written, "{}", local.hour12().1),
            "kk" => write!(written, "{clock_24:02}"),
            "k" => write!(written, "{clock_24}"),
            "mm" => write!(written, "{:02}", local.minute()),
            "m" => write!(written, "{}", local.minute()),
            "ss" => write!(written, "{:02}", local.second()),
            "s" => write!(written, "{}", local.second()),
            "SSS" => write!(written, "{millisecond:03}"),
            "SS" => write!(written, "{:02}", millisecond / 10),
            "S" => write!(written, "{}", millisecond / 100),
            "A" => write!(written, "{}", half.to_uppercase()),
            "a" => write!(written, "{half}"),
            "Z" => write!(written, "{}", self.offset(":")),
            "ZZ" => write!(written, "{}", self.offset("")),
            "X" => write!(written, "{}", self.instant.timestamp()),
            "x" => write!(written, "{}", self.instant.timestamp_millis()),
            other => write!(written, "{other}"),
        };
    }

    /// Returns the difference between the zone's time and UTC, as `+05:30`. The separator stands before the minutes.
    fn offset(&self, separator: &str) -> String {
        let minutes = (self.local - self.instant.naive_utc()).num_minutes();
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}{separator}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

/// Returns `1st`, `2nd`, `11th`.
fn ordinal(number: u32) -> String {
    let ending = match (number / 10 % 10, number % 10) {
        (1, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_leaves_out_the_parts_that_are_zero() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (61, "1 minute, 1 second"),
            (3600, "1 hour"),
            (3601, "1 hour, 1 second"),
            (7325, "2 hours, 2 minutes, 5 seconds"),
            (86_400, "24 hours"),
        ] {
            assert_eq!(duration(CallDuration::Seconds(seconds)), words);
        }
        assert_eq!(duration(CallDuration::Pending), "pending");
        assert!(duration(CallDuration::Seconds(u64::MAX)).ends_with("15 seconds"));
    }

    #[test]
    fn a_date_follows_the_pattern() {
        let instant: DateTime<Utc> = "2025-03-02T00:05:09.072Z".parse().unwrap();
        let noon: DateTime<Utc> = "2025-11-23T12:30:00Z".parse().unwrap();
        for (instant, zone, pattern, written) in [
            (instant, "UTC", "YYYY-MM-DD hh:mm:ss A", "2025-03-02 12:05:09 AM"),
            (instant, "-08:00", "YYYY-MM-DD hh:mm:ss A", "2025-03-01 04:05:09 PM"),
            (instant, "+05:30", "DD/MM/YYYY HH:mm:ss", "02/03/2025 05:35:09"),
            (instant, "UTC", "YY M MMM MMMM D Do d dd ddd dddd", "25 3 Mar March 2 2nd 0 Su Sun Sunday"),
            (instant, "UTC", "H h m s S SS SSS a", "0 12 5 9 0 07 072 am"),
            (instant, "UTC", "k kk DDD DDDD Q Mo", "24 24 61 061 1 3rd"),
            (instant, "-03:30", "Z ZZ X x", "-03:30 -0330 1740873909 1740873909072"),
            (noon, "UTC", "hh A Do", "12 PM 23rd"),
            (instant, "UTC", "[at] HH[h] [[x]", "at 00h [x"),
            (instant, "UTC", "[open %H é 日 🙂 HH", "[open %0 é 日 🙂 00"),
            (instant, "UTC", "", ""),
        ] {
            let zone = Zone::parse(zone).unwrap();
            assert_eq!(date(instant, zone, pattern), written, "{pattern}");
        }
        for (number, ordinal_number) in
            [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st")]
        {
            assert_eq!(ordinal(number), ordinal_number);
        }
    }

    #[test]
    fn a_journey_leaves_out_the_legs_and_parts_that_are_unknown() {
        let known = |name: &str, number: &str, extension: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Party { name: some(name), phone_number: some(number), extension_number: some(extension) }
        };
        let (ann, bob, unknown) = (known("Ann", "+1", "7"), known("Bob", "+2", ""), Party::default());
        let leg = |direction, from: &Party, to: &Party, kind: &str, duration| Leg {
            direction,
            from: from.clone(),
            to: to.clone(),
            leg_type: Some(kind.to_owned()),
            duration,
        };
        use Direction::{Inbound, Outbound};
        for (legs, lines) in [
            (vec![], ""),
            (vec![leg(Outbound, &ann, &bob, "PstnToSip", None)], "Made call from Ann, +1, ext 7"),
            (vec![leg(Inbound, &ann, &bob, "Accept", None)], "Received call at Bob, +2"),
            (vec![leg(Inbound, &ann, &unknown, "Accept", None)], ""),
            (
                vec![
                    leg(Inbound, &unknown, &known("", "", "9"), "Accept", None),
                    leg(Outbound, &ann, &bob, "Accept", Some(1)),
                    leg(Outbound, &ann, &bob, "PstnToSip", Some(62)),
                    leg(Inbound, &ann, &unknown, "Accept", Some(3)),
                    leg(Inbound, &ann, &bob, "Accept", None),
                ],
                "Received call at ext 9\nTransferred to Ann, +1, ext 7, duration: 1 second\n\
                 Transferred to Bob, +2, duration: 62 seconds\nTransferred to Bob, +2",
            ),
        ] {
            assert_eq!(journey(&legs), lines);
        }
    }
}
