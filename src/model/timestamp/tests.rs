use serde_json::json;

use super::*;

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
