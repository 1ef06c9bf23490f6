//! Durations as people write them: `30`, `30s`, `1h30m`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::text::excerpt;

/// The units, with their other names, in milliseconds.
const UNITS: [(&[&str], f64); 5] = [
    (&["ms"], 1.0),
    (&["s", "sec", "secs", "second", "seconds"], 1_000.0),
    (&["m", "min", "mins", "minute", "minutes"], 60_000.0),
    (&["h", "hour", "hours"], 3_600_000.0),
    (&["d", "day", "days"], 86_400_000.0),
];

/// Parses a duration: a number of seconds, or numbers with the units ms, s, m, h or d. It is rounded to milliseconds.
///
/// # Errors
/// The text is no duration, or out of range.
pub fn parse_duration(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let range = || format!("{} to {}", show_duration(*allowed.start()), show_duration(*allowed.end()));
    let millis = parse_millis(text.trim()).ok_or_else(|| {
        format!(
            "'{}' is not a duration; write seconds, such as 90, or a number with ms, s, m, h or d, such as 1.5m; allowed: {}",
            excerpt(text),
            range()
        )
    })?;
    let duration = Duration::try_from_secs_f64((millis / 1_000.0).min(1e12)).unwrap_or(Duration::MAX);
    let duration = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    if allowed.contains(&duration) {
        return Ok(duration);
    }
    Err(format!("'{}' is out of range; allowed: {}", excerpt(text), range()))
}

/// The milliseconds of a duration; `None` if the text is none.
fn parse_millis(text: &str) -> Option<f64> {
    if let Some(seconds) = number(text) {
        return Some(seconds * 1_000.0);
    }
    let (mut rest, mut total) = (text, None);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value = number(&rest[..end])?;
        let after = rest[end..].trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (_, unit) = UNITS.iter().find(|(names, _)| names.contains(&&after[..end]))?;
        total = Some(total.unwrap_or(0.0) + value * unit);
        rest = after[end..].trim_start();
    }
    total
}

/// A decimal number without sign and exponent.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| is_plain)
}

/// A duration as a person writes it, in its largest unit without decimals.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (length, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis > 0 && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    if millis == 0 { "0".to_owned() } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_the_usual_forms() {
        #[track_caller]
        fn check(text: &str, millis: u64) {
            let day = Duration::ZERO..=Duration::from_secs(86_400);
            assert_eq!(parse_duration(text, &day), Ok(Duration::from_millis(millis)), "{text}");
        }
        check("30", 30_000);
        check("0.25", 250);
        check("0", 0);
        check(" 30s ", 30_000);
        check("30 sec", 30_000);
        check("500ms", 500);
        check("5m", 300_000);
        check("1.5h", 5_400_000);
        check("1h30m", 5_400_000);
        check("1h 30 min", 5_400_000);
        check("1d", 86_400_000);
    }

    #[test]
    fn other_texts_are_refused_with_what_is_allowed() {
        let range = Duration::from_millis(1)..=Duration::from_secs(86_400);
        for text in ["", "s", "-5", "1e3", "5x", "5m3", "inf", "NaN", "1..2", "five", "5 m s", "0x10"] {
            let refusal = parse_duration(text, &range).unwrap_err();
            assert!(refusal.contains("is not a duration") && refusal.contains("1ms to 1d"), "{refusal}");
        }
        for text in ["0", "2d", "99999999999999999999999d"] {
            let refusal = parse_duration(text, &range).unwrap_err();
            assert!(refusal.contains("out of range; allowed: 1ms to 1d"), "{refusal}");
        }
    }
}
