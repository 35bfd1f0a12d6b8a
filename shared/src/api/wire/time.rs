//! Types of JSON values: times, durations and time zones.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::Value;

use super::value::{InvalidValue, ValueType};
use crate::model::{CallDuration, Zone};

/// The longest duration, in seconds: a year. It is added to a time, which must stay in range.
const MAX_SECONDS: f64 = 31_536_000.0;

pub(super) const TIME: ValueType<DateTime<Utc>> =
    ValueType { name: "a time", expected: "ISO 8601 or epoch milliseconds", is_quotable: true, read: time };
pub(super) const DURATION: ValueType<CallDuration> = ValueType {
    name: "a duration",
    expected: "whole seconds or \"pending\"",
    is_quotable: true,
    read: duration,
};
pub(super) const ZONE: ValueType<Zone> = ValueType {
    name: "a time zone",
    expected: "an offset (\"+05:30\"), hours, minutes, or an IANA name",
    is_quotable: true,
    read: zone,
};

fn time(value: &Value) -> Result<Option<DateTime<Utc>>, InvalidValue> {
    let time = match value {
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => parse_time(text.trim()),
        // The cast cuts fractions of a millisecond, and saturates for floats that are out of range.
        Value::Number(number) => {
            number.as_f64().and_then(|milliseconds| DateTime::from_timestamp_millis(milliseconds as i64))
        }
        _ => None,
    };
    time.filter(|time| (1970..=2200).contains(&time.year())).map(Some).ok_or(InvalidValue)
}

/// Parses ISO 8601 in the forms that senders use (UTC without a zone), or epoch milliseconds.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(DateTime::from_timestamp_millis);
    }
    let zoned = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y%m%dT%H%M%S%.f%#z"];
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    let utc = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    text.parse::<DateTime<FixedOffset>>()
        .ok()
        .or_else(|| zoned.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()))
        .map(|time| time.to_utc())
        .or_else(|| {
            let naive = local.iter().find_map(|form| NaiveDateTime::parse_from_str(utc, form).ok());
            naive
                .or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN)))
                .map(|time| time.and_utc())
        })
}

fn duration(value: &Value) -> Result<Option<CallDuration>, InvalidValue> {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) if text.trim().eq_ignore_ascii_case("pending") => {
            return Ok(Some(CallDuration::Pending));
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    // A negative number counts as zero, as the cast reads it: the sender's clock was behind that of the call's start.
    seconds
        .filter(|seconds| seconds.fract() == 0.0 && *seconds <= MAX_SECONDS)
        .map(|seconds| Some(CallDuration::Seconds(seconds as u64)))
        .ok_or(InvalidValue)
}

fn zone(value: &Value) -> Result<Option<Zone>, InvalidValue> {
    match value {
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Zone::parse(text).map(Some).ok_or(InvalidValue),
        Value::Number(number) => number.as_f64().and_then(Zone::from_number).map(Some).ok_or(InvalidValue),
        _ => Err(InvalidValue),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::wire::value::tests::check;

    #[test]
    fn times_are_read_or_described() {
        let check = |value: Value, expected| check(&TIME, value, |time| time.to_rfc3339(), expected);
        for (value, expected) in [
            (json!(1741794325000_i64), "2025-03-12T15:45:25+00:00"),
            (json!(1741794325000.5), "2025-03-12T15:45:25+00:00"),
            (json!("1741794325000"), "2025-03-12T15:45:25+00:00"),
            (json!(" 2018-09-11T13:24:09.000Z "), "2018-09-11T13:24:09+00:00"),
            (json!("2018-09-11T13:24:09.003+02:00"), "2018-09-11T11:24:09.003+00:00"),
            (json!("2018-09-11T13:24:09+0000"), "2018-09-11T13:24:09+00:00"),
            (json!("2018-09-11T13:24:09-0730"), "2018-09-11T20:54:09+00:00"),
            (json!("2018-09-11T13:24:09+02"), "2018-09-11T11:24:09+00:00"),
            (json!("2018-09-11t13:24:09z"), "2018-09-11T13:24:09+00:00"),
            (json!("2018-09-11 13:24:09"), "2018-09-11T13:24:09+00:00"),
            (json!("2018-09-11T13:24:09.5"), "2018-09-11T13:24:09.500+00:00"),
            (json!("2018-09-11T13:24"), "2018-09-11T13:24:00+00:00"),
            (json!("2018-09-11T13:24Z"), "2018-09-11T13:24:00+00:00"),
            (json!("2018-09-11T13:24+01:00"), "2018-09-11T12:24:00+00:00"),
            (json!("20180911T132409Z"), "2018-09-11T13:24:09+00:00"),
            (json!("2018-09-11"), "2018-09-11T00:00:00+00:00"),
            (json!(0), "1970-01-01T00:00:00+00:00"),
            (json!("2200-12-31T23:59:59Z"), "2200-12-31T23:59:59+00:00"),
        ] {
            check(value, Ok(Some(expected)));
        }
        check(json!(""), Ok(None));
        check(json!("  "), Ok(None));
        for (value, shown) in [
            (json!("yesterday"), "\"yesterday\""),
            (json!("2025-02-30T00:00:00Z"), "\"2025-02-30T00:00:00Z\""),
            (json!("2201-01-01T00:00:00Z"), "\"2201-01-01T00:00:00Z\""),
            (json!("1969-12-31T23:59:59Z"), "\"1969-12-31T23:59:59Z\""),
            (json!("-1"), "\"-1\""),
            (json!("99999999999999999999"), "\"99999999999999999999\""),
            (json!(-5.5), "-5.5"),
            (json!("-inf"), "\"-inf\""),
            (json!("NaN"), "\"NaN\""),
            (json!("١٧٤١٧٩٤٣٢٥٠٠٠"), "\"١٧٤١٧٩٤٣٢٥٠٠٠\""),
            (json!("\u{202e}5202"), "\"\u{202e}5202\""),
            (
                json!("x\n\"".repeat(50)),
                r#""x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x\n\"x…""#,
            ),
            (json!(-1), "-1"),
            (json!(1e300), "1e+300"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(true), "true"),
            (json!({"a": 1}), "an object"),
            (json!([1]), "a list"),
        ] {
            check(value, Err(shown));
        }
    }

    #[test]
    fn durations_are_read_or_described() {
        let show = |duration| match duration {
            CallDuration::Pending => "pending".to_owned(),
            CallDuration::Seconds(seconds) => seconds.to_string(),
        };
        let check = |value: Value, expected| check(&DURATION, value, show, expected);
        for (value, expected) in [
            (json!(65), "65"),
            (json!(0), "0"),
            (json!(-0.0), "0"),
            (json!(65.0), "65"),
            (json!("90"), "90"),
            (json!(" 90.0 "), "90"),
            (json!("pending"), "pending"),
            (json!("Pending"), "pending"),
            (json!(31_536_000), "31536000"),
            (json!(-1), "0"),
            (json!("-5.0"), "0"),
        ] {
            check(value, Ok(Some(expected)));
        }
        check(json!(""), Ok(None));
        for (value, shown) in [
            (json!(61.5), "61.5"),
            (json!("61.5"), "\"61.5\""),
            (json!("NaN"), "\"NaN\""),
            (json!("inf"), "\"inf\""),
            (json!("1e400"), "\"1e400\""),
            (json!("1 minute"), "\"1 minute\""),
            (json!(31_536_001), "31536001"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(true), "true"),
            (json!([]), "a list"),
        ] {
            check(value, Err(shown));
        }
    }
}
