//! The present stretch of work on a batch: the time since the last longer break. A rate counts
//! only this time, not the nights in between.

use super::timestamp::Timestamp;

/// A break of at most this length does not end a stretch, in milliseconds.
const LONGEST_BREAK_MS: i64 = 60_000;

/// Work that settled nothing for the time of this many items has stopped.
const QUIET_ITEMS: f64 = 5.0;
/// Work does not count as stopped earlier, in milliseconds.
const MIN_QUIET_MS: f64 = 60_000.0;

/// A time during which a worker held a claim or wrote a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkTime {
    /// When the worker claimed the chunk.
    pub from: Timestamp,
    /// When the worker settled an item; now for a chunk in progress.
    pub until: Timestamp,
}

impl WorkTime {
    /// The time from a claim to a receipt. A claim that is later than the receipt is another worker's: then only the
    /// moment of the receipt is known.
    pub fn new(claimed_at: Timestamp, until: Timestamp) -> Self {
        WorkTime { from: claimed_at.min(until), until }
    }
}

/// When the stretch that lasts until `now` began; `None` if nobody has worked lately.
pub fn stretch_start(mut times: Vec<WorkTime>, now: Timestamp) -> Option<Timestamp> {
    times.sort_by_key(|time| std::cmp::Reverse(time.until));
    let mut start = now;
    for time in times {
        if start.millis().saturating_sub(time.until.millis()) > LONGEST_BREAK_MS {
            break;
        }
        start = start.min(time.from);
    }
    (start < now).then_some(start)
}

/// Whether the work goes on: the last item was settled not much longer ago than usual, at this rate.
pub fn goes_on(per_minute: f64, last_settled: Timestamp, now: Timestamp) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay far below 2^52")]
    let quiet_ms = now.millis().saturating_sub(last_settled.millis()) as f64;
    quiet_ms <= QUIET_ITEMS * 60_000.0 / per_minute || quiet_ms <= MIN_QUIET_MS
}

/// Items per minute, and the seconds until `left` more are settled at that rate.
pub fn rate(settled: u64, left: u64, start: Timestamp, now: Timestamp) -> Option<(f64, u64)> {
    let millis = now.millis().saturating_sub(start.millis());
    if settled == 0 || millis <= 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds stay far below 2^52")]
    let (per_minute, left) = (settled as f64 * 60_000.0 / millis as f64, left as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seconds")]
    let seconds_left = (left / per_minute * 60.0).ceil() as u64;
    Some(((per_minute * 10.0).round() / 10.0, seconds_left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
    }

    #[test]
    fn a_stretch_reaches_back_to_the_last_longer_break() {
        let check = |times: &[(i64, i64)], expected: Option<i64>| {
            let times = times.iter().map(|(from, until)| WorkTime::new(at(*from), at(*until)));
            assert_eq!(stretch_start(times.collect(), at(1_000)), expected.map(at));
        };
        check(&[], None);
        check(&[(900, 1_000)], Some(900));
        // A claim of now, before it an hour in which nobody worked.
        check(&[(-5_000, -2_600), (990, 1_000)], Some(990));
        // Chunks one after the other, with short breaks.
        check(&[(800, 850), (855, 940), (700, 790), (990, 1_000)], Some(700));
        // One item that takes ten minutes is no break.
        check(&[(300, 380), (350, 1_000)], Some(300));
        // A receipt whose chunk was claimed again since.
        check(&[(990, 970), (990, 1_000)], Some(970));
        check(&[(990, 400), (990, 1_000)], Some(990));
        // Work that ended five minutes ago.
        check(&[(600, 700)], None);
    }

    #[test]
    fn work_has_stopped_if_nothing_is_settled_for_much_longer_than_usual() {
        assert!(goes_on(60.0, at(0), at(60)));
        assert!(!goes_on(60.0, at(0), at(61)));
        // An item takes ten minutes.
        assert!(goes_on(0.1, at(0), at(3_000)));
        assert!(!goes_on(0.1, at(0), at(3_001)));
    }

    #[test]
    fn a_rate_is_the_work_of_the_stretch() {
        assert_eq!(rate(30, 60, at(0), at(60)), Some((30.0, 120)));
        assert_eq!(rate(0, 60, at(0), at(60)), None);
        assert_eq!(rate(5, 60, at(60), at(60)), None);
    }
}
