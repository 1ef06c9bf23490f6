use serde_json::json;

use super::*;

#[track_caller]
fn check(value: Value, date: &str) {
    let read = ItemDate::from_json(&value).unwrap_or_else(|reason| panic!("{value}: {reason}"));
    assert_eq!((read.date.to_string().as_str(), read.precision), (date, Precision::Day), "{value}");
}

#[track_caller]
fn refused(value: Value, because: &str) {
    let reason = ItemDate::from_json(&value).expect_err(&value.to_string());
    assert!(reason.contains(because), "{value}: {reason}");
}

#[test]
fn dates_are_read_as_people_and_programs_write_them() {
    for text in [
        "2025-10-31",
        " 2025-10-31 23:30 ",
        "2025-10-31T23:30:00Z",
        "2025-10-31t23:30:00.1234z",
        "2025-10-31T23:30:00",
        "2025-10-31T23:30:00+01:00[Europe/Berlin]",
        "2025-10-31T23:30:00[Europe/Berlin]",
        "2025-10-31T23:30:00+0000",
        // git, Ruby, Go, Python's logging, EXIF, and dates with other separators
        "2025-10-31 23:30:00 -0500",
        "2025-10-31 23:30:00 UTC",
        "2025-10-31 23:30:00 +02:00",
        "2025-10-31 23:30:00.123456789 -0500 EST m=+0.000012",
        "2025-10-31 23:30:00,123",
        "2025:10:31 23:30:00",
        "2025/10/31",
        "2025/10/31 11:30 PM",
        "2025.10.31",
        "2025-10-31_23:30",
        // mail
        "Fri, 31 Oct 2025 23:30:00 -0500",
        "Fri, 31 Oct 2025 23:30:00 +0000 (UTC)",
        "Mon, 31 Oct 2025 23:30:00 GMT",
        "31 Oct 2025 23:30 +0100 (Central (European) Time)",
        "Fri, 31 Oct 2025\r\n 23:30:00 -0000",
        "Fri, 31 Oct 25 23:30:00 EST",
        // asctime, git's default, `date`, JavaScript, a web server's log, and what people write
        "Fri Oct 31 23:30:00 2025",
        "Fri Oct 31 23:30:00 2025 -0500",
        "Fri Oct 31 23:30:00 CET 2025",
        "Fri 31 Oct 2025 11:30:00 PM UTC",
        "Fri Oct 31 2025 23:30:00 GMT-0500 (Central Daylight Time)",
        "[31/Oct/2025:23:30:00 -0500]",
        "31-Oct-2025",
        "Friday, 31-Oct-2025 23:30:00 GMT",
        "October 31, 2025",
        "Oct. 31st, 2025",
        "31 October 2025",
        "Friday, October 31, 2025 at 11:30 PM".trim_end_matches(" at 11:30 PM"),
    ] {
        check(json!(text), "2025-10-31");
    }
    check(json!("2014-08-18 18:45:16 UTC"), "2014-08-18");
    check(json!("1957-10-04"), "1957-10-04");
    check(json!("Fri, 04 Oct 1957 19:28:34 +0000"), "1957-10-04");
    check(json!("1969-12-31T23:59:59Z"), "1969-12-31");
    check(json!("2024-02-29"), "2024-02-29");
}

#[test]
fn a_number_is_an_epoch_only_in_a_plausible_range() {
    for number in [json!(1_761_953_400), json!(1_761_953_400_000_i64), json!(1_761_953_400_000_000_i64)] {
        check(number, "2025-10-31");
    }
    check(json!(1_761_953_400_123_456_789_i64), "2025-10-31");
    check(json!(1_761_953_400.25), "2025-10-31");
    check(json!("1761953400.5"), "2025-10-31");
    check(json!("1761953400000"), "2025-10-31");
    for number in [
        json!(0),
        json!(1),
        json!(-1),
        json!(86_400),
        json!(45_000),
        json!(1e300),
        json!("99999"),
        json!(1e11),
    ] {
        refused(number, "an epoch from 1990 to 2100");
    }
}

#[test]
fn digits_of_a_calendar_date_are_that_date() {
    for digits in ["20251030133049", "202510301330", "20251030"] {
        check(json!(digits), "2025-10-30");
        check(json!(digits.parse::<u64>().unwrap()), "2025-10-30");
    }
    let year = ItemDate::from_json(&json!(2025)).unwrap();
    assert_eq!((year.date.to_string().as_str(), year.precision), ("2025-01-01", Precision::Year));
    let month = ItemDate::from_json(&json!("2025-11")).unwrap();
    assert_eq!((month.date.to_string().as_str(), month.precision), ("2025-11-01", Precision::Month));
    for digits in
        ["20251301", "20250230", "20251030253049", "202510301360", "0007", "3025", "251030", "202511"]
    {
        refused(json!(digits), "is neither a date of digits");
    }
}

#[test]
fn what_is_no_date_is_refused_with_the_value() {
    for text in [
        "soon",
        "",
        "2025-02-30",
        "1.2.3x",
        "0000-00-00",
        "2025-11-03 foo",
        "2025-11-03 25:00",
        "May",
        "2025-W45",
    ] {
        refused(json!(text), &format!("'{text}' is not a time"));
    }
    for text in ["03/11/2025", "3.11.2025", "11-03-2025", "1/2/25 10:00"] {
        refused(json!(text), "is ambiguous (day first or month first)");
    }
    refused(json!("31 Feb 2025"), "is not");
    refused(json!(true), "true is not a time");
    refused(json!({"a": 1}), "is not a time");
    refused(json!("x".repeat(200)), &format!("{}…' is not", "x".repeat(80)));
    refused(json!("3000-01-01"), "out of range; allowed: 0001-01-01 to 2999-12-31");
    refused(json!("-000400-01-01"), "out of range; allowed: 0001-01-01 to 2999-12-31");
}

#[test]
fn the_span_names_dates_that_may_be_wrong() {
    let mut span = DateSpan::new(jiff::civil::date(2026, 6, 1));
    assert_eq!(span.describe(), "");
    span.add(jiff::civil::date(2025, 11, 3), || "line 1".to_owned());
    assert_eq!(span.describe(), "; dated 2025-11-03");
    span.add(jiff::civil::date(2025, 10, 4), || "line 2".to_owned());
    assert_eq!(span.describe(), "; dated 2025-10-04 to 2025-11-03");
    span.add(jiff::civil::date(1970, 1, 1), || "line 3".to_owned());
    span.add(jiff::civil::date(2611, 9, 1), || "line 4".to_owned());
    let described = span.describe();
    assert!(
        described.starts_with("; dated 1970-01-01 to 2611-09-01. Check the dates: 2 items are dated"),
        "{described}"
    );
    assert!(described.ends_with("such as line 3 (1970-01-01)"), "{described}");
}
