//! The forms in which programs and people write dates.

use jiff::civil::Date;
use jiff::fmt::rfc2822;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use super::{ItemDate, Precision};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Epochs are recognised from 1990 to 2100: numbers outside are more likely something else.
const EPOCH_SECONDS: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;
/// Calendar dates of digits alone are recognised in these years.
const DIGIT_YEARS: std::ops::RangeInclusive<i16> = 1800..=2100;

/// Reads a date. The error is the reason, without the value.
pub(super) fn read(text: &str) -> Result<ItemDate, String> {
    let text = text.trim();
    if !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && !has_two_dots(text)
    {
        return read_digits(text);
    }
    if let Ok(pieces) = Pieces::parse(text) {
        return Ok(ItemDate::day(pieces.date()));
    }
    // Real mail often names the wrong weekday; only the date counts.
    let mail = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    if let Ok(zoned) = mail.parse_zoned_datetime(text) {
        return Ok(ItemDate::day(zoned.date()));
    }
    year_first(text).or_else(|| with_month_name(text)).unwrap_or_else(|| Err(unreadable(text)))
}

fn has_two_dots(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() > 1
}

/// A number: an epoch in a plausible range, or a calendar date.
pub(super) fn read_digits(text: &str) -> Result<ItemDate, String> {
    let digits = text.split('.').next().unwrap_or(text);
    let number: f64 = text.parse().map_err(|_| unreadable(text))?;
    for per_second in [1.0, 1e3, 1e6, 1e9] {
        if EPOCH_SECONDS.contains(&(number / per_second)) {
            #[expect(clippy::cast_possible_truncation, reason = "within the range of epochs")]
            let instant = jiff::Timestamp::from_second((number / per_second).floor() as i64);
            return instant
                .map(|instant| ItemDate::day(Offset::UTC.to_datetime(instant).date()))
                .map_err(|_| unreadable(text));
        }
    }
    if digits.len() == text.len()
        && let Some(date) = calendar_digits(digits)
    {
        return Ok(date);
    }
    Err("is neither a date of digits (2025, 20251103, 202511031000, 20251103100000) nor an epoch from 1990 to 2100 in \
         s, ms, µs or ns; write 2025-11-03"
        .to_owned())
}

/// A date that is written without separators: a year, a day, or a day with a time.
fn calendar_digits(digits: &str) -> Option<ItemDate> {
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i8>().ok();
    let year: i16 = digits.get(..4)?.parse().ok()?;
    if !DIGIT_YEARS.contains(&year) {
        return None;
    }
    if digits.len() == 4 {
        return Some(ItemDate { date: Date::new(year, 1, 1).ok()?, precision: Precision::Year });
    }
    if !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let date = Date::new(year, number(4..6)?, number(6..8)?).ok()?;
    let is_time = |range: std::ops::Range<usize>, limit: i8| match digits.len() >= range.end {
        true => number(range).is_some_and(|number| number < limit),
        false => true,
    };
    // A leap second is written as 60.
    (is_time(8..10, 24) && is_time(10..12, 60) && is_time(12..14, 61)).then(|| ItemDate::day(date))
}

/// `2025-11-03`, also with `/`, `.` or `:` between the parts, or without the day; then, after a space or `T`, a time and a
/// zone in any form. The date is the one that is written, so the zone does not matter.
fn year_first(text: &str) -> Option<Result<ItemDate, String>> {
    let text = without_zone_name(text);
    let (year, rest) = digits(text, 4)?;
    let separator = rest.chars().next().filter(|c| "-/.:".contains(*c))?;
    let (month, rest) = digits(&rest[1..], 2)?;
    let year = i16::try_from(year).ok()?;
    let month = i8::try_from(month).ok()?;
    if rest.is_empty() && separator == '-' {
        let date = Date::new(year, month, 1).ok()?;
        return Some(Ok(ItemDate { date, precision: Precision::Month }));
    }
    let (day, rest) = digits(rest.strip_prefix(separator)?, 2)?;
    let date = Date::new(year, month, i8::try_from(day).ok()?).ok()?;
    let rest = match rest.chars().next() {
        None => return Some(Ok(ItemDate::day(date))),
        Some('T' | 't' | ' ' | '_' | ',') => rest[1..].trim_start(),
        Some(_) => return None,
    };
    let mut words = rest.split_whitespace().peekable();
    if let Some(first) = words.next() {
        // A zone may follow the time directly.
        let time = first.find(|c: char| !(c.is_ascii_digit() || ":.,".contains(c))).unwrap_or(first.len());
        let is_read = is_time(&first[..time]) && (first[time..].is_empty() || is_zone(&first[time..]));
        if !is_read || !words.all(is_zone) {
            return None;
        }
    }
    Some(Ok(ItemDate::day(date)))
}

/// A number of at most `most` digits, and the text behind it.
fn digits(text: &str, most: usize) -> Option<(i32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 || length > most || most == 4 && length < 4 {
        return None;
    }
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// Words in any order: the name of a month, a day, a year of four digits, and perhaps a weekday, a time and a zone, as in
/// `Fri Oct 31 23:30:00 2025 -0500` or `October 31, 2025`.
fn with_month_name(text: &str) -> Option<Result<ItemDate, String>> {
    let (mut month, mut day, mut year) = (None, None, None);
    let text = without_zone_name(text);
    // The access log of a web server writes 31/Oct/2025:23:30:00 -0500.
    let text = text.trim_matches(['[', ']']);
    let words = text.split(|c: char| c.is_whitespace() || c == ',' || c == '/').flat_map(split_hyphens);
    for word in words.filter(|word| !word.is_empty()) {
        let lower = word.to_lowercase();
        let word_of = |names: &'static [&'static str]| {
            let name = lower.trim_end_matches('.');
            names.iter().position(|full| name.len() >= 3 && full.starts_with(name))
        };
        let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '.');
        let year_and_time = word.split_once(':').filter(|(before, _)| before.len() == 4);
        if let (None, Some(found)) = (month, word_of(&MONTHS)) {
            month = i8::try_from(found + 1).ok();
        } else if word_of(&WEEKDAYS).is_some() || is_time(word) {
            // They say nothing about the date.
        } else if let Some((before, time)) = year_and_time
            && is_time(time)
            && year.is_none()
        {
            year = before.parse::<i16>().ok();
        } else if day.is_none() && is_day(&lower, number) {
            day = number.parse::<i8>().ok();
        } else if year.is_none() && word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            year = word.parse::<i16>().ok();
        } else if month.is_none() || !is_zone(word) {
            return None;
        }
    }
    let date = Date::new(year?, month?, day?);
    Some(date.map(ItemDate::day).map_err(|_| "is not a date of the calendar".to_owned()))
}

/// The parts of `31-Oct-2025`; other words, such as the zone `GMT-0500`, are left alone.
fn split_hyphens(word: &str) -> Vec<&str> {
    let parts: Vec<&str> = word.split('-').collect();
    if parts.len() == 3 { parts } else { vec![word] }
}

/// A day of the month, also as `3rd`.
fn is_day(word: &str, number: &str) -> bool {
    let ending = &word[number.len()..];
    matches!(number.len(), 1 | 2)
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(ending, "" | "." | "st" | "nd" | "rd" | "th")
}

/// `23:30`, also with seconds, their fraction, and `am` or `pm`.
fn is_time(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let time = lower.strip_suffix("am").or_else(|| lower.strip_suffix("pm")).unwrap_or(&lower);
    let parts: Vec<&str> = time.split(':').collect();
    let is_part =
        |part: &str, limit: u8| part.len() <= 2 && part.parse::<u8>().is_ok_and(|part| part < limit);
    let seconds = |text: &str| {
        let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
        is_part(whole, 61) && fraction.bytes().all(|byte| byte.is_ascii_digit())
    };
    match parts.as_slice() {
        [hour, minute] => is_part(hour, 24) && is_part(minute, 60),
        [hour, minute, second] => is_part(hour, 24) && is_part(minute, 60) && seconds(second),
        _ => false,
    }
}

/// The text without a name of the zone in parentheses at its end: `(Central Daylight Time)`.
fn without_zone_name(text: &str) -> &str {
    match text.split_once(" (") {
        Some((before, name)) if name.ends_with(')') => before.trim_end(),
        _ => text,
    }
}

/// `Z`, `UTC`, `Europe/Berlin`, `-0500`, `+02:00`, `GMT-0500` or `PM`.
fn is_zone(word: &str) -> bool {
    // Go adds a reading of its monotonic clock.
    if word.starts_with("m=") {
        return true;
    }
    let offset = word.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let name = &word[..word.len() - offset.len()];
    let is_name = name.is_empty()
        || name.contains('/')
        || matches!(name, "am" | "pm" | "z")
        || name.len() <= 5 && name.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_offset = offset.is_empty()
        || offset.strip_prefix(['+', '-']).is_some_and(|digits| {
            matches!(digits.len(), 1..=8) && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
        });
    !word.is_empty() && is_name && is_offset
}

fn unreadable(text: &str) -> String {
    let parts: Vec<&str> = text.split(['/', '.', '-', ' ']).collect();
    let is_short =
        |part: &&str| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_year = |part: &&str| matches!(part.len(), 2 | 4) && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() >= 3 && is_short(&parts[0]) && is_short(&parts[1]) && is_year(&parts[2]) {
        return "is ambiguous (day first or month first); write 2025-11-03".to_owned();
    }
    "is not a time; allowed: a date (2025-11-03), RFC 3339, RFC 2822, and epoch seconds or milliseconds"
        .to_owned()
}
