use super::*;
use serde_json::json;

fn check(value: Value, date: &str, instant: &str) {
    let stamp = ItemTime::from_json(&value).unwrap_or_else(|reason| panic!("{value}: {reason}"));
    assert_eq!(
        (stamp.date.to_string().as_str(), Timestamp(stamp.millis).to_string().as_str()),
        (date, instant),
        "{value}"
    );
}

fn refused(value: Value, because: &str) {
    let reason = ItemTime::from_json(&value).expect_err(&value.to_string());
    assert!(reason.contains(because), "{value}: {reason}");
}

#[test]
fn times_are_read_as_people_and_programs_write_them() {
    check(json!("2025-11-03"), "2025-11-03", "2025-11-03T00:00:00.000Z");
    check(json!("2025-11-03T10:00:00Z"), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!("2025-11-03t10:00:00.1234z"), "2025-11-03", "2025-11-03T10:00:00.123Z");
    check(json!("2025-11-03T10:00:00"), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!(" 2025-11-03 10:00 "), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!("2025-11-03T10:00:00+01:00[Europe/Berlin]"), "2025-11-03", "2025-11-03T09:00:00.000Z");
    check(json!("Mon, 3 Nov 2025 10:00:00 +0000 (UTC)"), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!("Fri, 3 Nov 2025 10:00:00 GMT"), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!("Tue, 04 Nov 2025 10:12:00 +0100"), "2025-11-04", "2025-11-04T09:12:00.000Z");
    check(json!("Tue, 04 Nov 2025 10:12:00 +0100 (CET)"), "2025-11-04", "2025-11-04T09:12:00.000Z");
    check(json!("04 Nov 2025 10:12:00 +0100"), "2025-11-04", "2025-11-04T09:12:00.000Z");
    check(
        json!("4 Nov 2025 10:12 +0100 (Central (European) Time)"),
        "2025-11-04",
        "2025-11-04T09:12:00.000Z",
    );
    check(json!("Tue, 04 Nov 2025\r\n 10:12:00 -0000"), "2025-11-04", "2025-11-04T10:12:00.000Z");
    check(json!("Tue, 4 Nov 25 10:12:00 EST"), "2025-11-04", "2025-11-04T15:12:00.000Z");
    check(json!("1762164000123"), "2025-11-03", "2025-11-03T10:00:00.123Z");
    check(json!(1_762_164_000), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!(1_762_164_000_123_i64), "2025-11-03", "2025-11-03T10:00:00.123Z");
    check(json!("1762164000"), "2025-11-03", "2025-11-03T10:00:00.000Z");
    check(json!("1762164000.5"), "2025-11-03", "2025-11-03T10:00:00.500Z");
    check(json!(1_762_164_000.25), "2025-11-03", "2025-11-03T10:00:00.250Z");
    check(json!(0), "1970-01-01", "1970-01-01T00:00:00.000Z");
    check(json!("2999-12-31T23:59:59.999Z"), "2999-12-31", "2999-12-31T23:59:59.999Z");
    check(json!("2024-02-29"), "2024-02-29", "2024-02-29T00:00:00.000Z");
}

#[test]
fn the_date_is_the_one_that_is_written() {
    check(json!("Fri, 31 Oct 2025 23:30:00 -0500"), "2025-10-31", "2025-11-01T04:30:00.000Z");
    check(json!("2025-11-01T00:30:00+02:00"), "2025-11-01", "2025-10-31T22:30:00.000Z");
}

#[test]
fn what_is_no_time_is_refused_with_the_value() {
    refused(json!("soon"), "'soon' is not a time");
    refused(json!(""), "is not a time");
    refused(json!("2025-02-30"), "is not a time");
    refused(json!("1.2.3"), "is not a time");
    refused(json!("2025-11-03T10:00:00[Europe/Berlin]"), "is not a time");
    refused(json!(true), "true is not a time");
    refused(json!({"a": 1}), "is not a time");
    refused(json!("x".repeat(200)), &format!("{}…' is not", "x".repeat(80)));
    refused(json!(20_251_103), "is ambiguous (a date or epoch seconds)");
    refused(json!("20251103"), "is ambiguous (a date or epoch seconds)");
}

#[test]
fn the_range_holds_for_every_way_of_writing() {
    for value in [
        json!(-1),
        json!(-0.6),
        json!(1e300),
        json!(u64::MAX),
        json!("1969-12-31"),
        json!("3000-01-01"),
        json!("1970-01-01T00:00:00+01:00"),
        json!("1969-12-31T23:59:00-01:00"),
        json!("3000-01-01T00:30:00+01:00"),
        json!("-000400-01-01"),
        json!("Wed, 31 Dec 1969 23:59:59 +0000"),
    ] {
        refused(value, "out of range; allowed: 1970-01-01 to 2999-12-31");
    }
}

#[test]
fn a_moment_is_written_with_milliseconds_and_read_back() {
    let moment = Timestamp::parse("2025-11-03T11:00:00.5+01:00").unwrap();
    assert_eq!(moment.to_string(), "2025-11-03T10:00:00.500Z");
    assert_eq!(serde_json::to_value(moment).unwrap(), json!("2025-11-03T10:00:00.500Z"));
    assert_eq!(Timestamp::parse(&moment.to_string()).unwrap(), moment);
    assert_eq!(Timestamp::parse("2025-11-03").unwrap().to_string(), "2025-11-03T00:00:00.000Z");
    for text in ["2025-11-03T10:00:00", "20251103", "1762164000", "", "tomorrow", "3000-01-01"] {
        assert!(Timestamp::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_moment_stays_within_the_range() {
    assert_eq!(Timestamp::from_millis(i64::MIN).millis(), 0);
    assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "2999-12-31T23:59:59.999Z");
    assert_eq!(Timestamp::from_millis(5000).saturating_add_secs(-2).millis(), 3000);
    assert_eq!(Timestamp::from_millis(5000).saturating_add_secs(i64::MAX).millis(), LAST_MS);
    assert_eq!(Timestamp::from_millis(5000).saturating_add_secs(i64::MIN).millis(), 0);
}
