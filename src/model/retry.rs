//! When a command that failed temporarily is run again.

use std::time::Duration;

/// The longest wait that a command can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How a command that failed temporarily is retried: with a delay that grows from try to try, for a limited time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// The delay before the first retry.
    pub first_delay: Duration,
    /// By how much each delay is longer than the one before.
    pub factor: f64,
    /// The longest delay.
    pub longest_delay: Duration,
    /// How long retries go on after the first failure.
    pub total: Duration,
    /// How often any failure is retried, temporary or not. `None`: temporary failures only, for `total`.
    pub retries: Option<u32>,
}

impl RetryPolicy {
    /// For a command that runs once per item: the first retry after a second, the last one after an hour.
    pub const PER_ITEM: RetryPolicy = RetryPolicy {
        first_delay: Duration::from_secs(1),
        factor: 2.0,
        longest_delay: Duration::from_secs(300),
        total: Duration::from_secs(3600),
        retries: None,
    };
    /// For an agent that works a chunk: a start costs more, so the delays are longer.
    pub const PER_CHUNK: RetryPolicy = RetryPolicy {
        first_delay: Duration::from_secs(5),
        factor: 4.0,
        longest_delay: Duration::from_secs(300),
        total: Duration::from_secs(3600),
        retries: None,
    };

    /// Whether a failure that is not temporary is retried as well.
    pub fn retries_every_failure(&self) -> bool {
        self.retries.is_some_and(|retries| retries > 0)
    }

    /// The delay after this number of failures in a row.
    pub fn delay(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.first_delay.as_secs_f64() * self.factor.powi(exponent);
        Duration::try_from_secs_f64(seconds).map_or(self.longest_delay, |delay| delay.min(self.longest_delay))
    }

    /// When the next try starts, after this number of failures, the first of which was `elapsed` ago. A
    /// command that asked for a delay gets at least that one. `None`: there is no further try.
    pub fn next_try(
        &self,
        failures: u32,
        elapsed: Duration,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let left = match self.retries {
            Some(retries) => (failures <= retries).then_some(Duration::MAX)?,
            None => self.total.checked_sub(elapsed).filter(|left| !left.is_zero())?,
        };
        Some(match retry_after {
            Some(delay) => delay.clamp(self.first_delay, MAX_RETRY_AFTER.max(self.first_delay)),
            // The last try is made when the time is over.
            None => self.delay(failures).min(left),
        })
    }
}

/// The delay that a command asks for: `Retry-After: SECONDS` as the last line of its standard error.
pub fn parse_retry_after(stderr: &str) -> Option<Duration> {
    let line = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let (name, value) = line.split_once(':')?;
    if !name.trim().eq_ignore_ascii_case("retry-after") {
        return None;
    }
    let value = value.trim().trim_end_matches(['s', 'S']).trim_end();
    let seconds: f64 = value.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What happens to an item whose retries are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastTry {
    /// The item failed: other items succeeded in the meantime, so the cause is the item's own.
    ItemFailed,
    /// The item stays open and the batch is paused: nothing succeeded in the meantime.
    BatchPaused,
}

impl LastTry {
    /// Decides by the number of items that other tries settled since the first failure.
    pub fn decide(succeeded_since: u64) -> Self {
        if succeeded_since > 0 { LastTry::ItemFailed } else { LastTry::BatchPaused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn delays_grow_to_the_longest_and_end_with_the_time_in_all() {
        #[track_caller]
        fn check(failures: u32, elapsed: u64, retry_after: Option<u64>, expected: Option<u64>) {
            let next = RetryPolicy::PER_ITEM.next_try(failures, seconds(elapsed), retry_after.map(seconds));
            assert_eq!(next, expected.map(seconds), "{failures} failures, {elapsed} s, {retry_after:?}");
        }
        check(1, 0, None, Some(1));
        check(2, 1, None, Some(2));
        check(5, 15, None, Some(16));
        check(9, 255, None, Some(256));
        check(10, 511, None, Some(300));
        check(2_000_000_000, 511, None, Some(300));
        check(20, 3_500, None, Some(100));
        check(21, 3_600, None, None);
        check(21, 9_000, None, None);
        // What the command asks for counts, also beyond the longest delay and the time in all.
        check(1, 0, Some(30), Some(30));
        check(9, 255, Some(2), Some(2));
        check(1, 0, Some(900), Some(900));
        check(1, 3_500, Some(900), Some(900));
        check(1, 0, Some(0), Some(1));
        check(1, 0, Some(1_000_000), Some(86_400));
        check(3, 3_600, Some(2), None);
    }

    #[test]
    fn a_number_of_retries_counts_instead_of_the_time() {
        let next = |retries: u32, failures: u32, elapsed: u64| {
            let policy = RetryPolicy { retries: Some(retries), ..RetryPolicy::PER_ITEM };
            policy.next_try(failures, seconds(elapsed), None)
        };
        assert_eq!(next(0, 1, 0), None);
        assert_eq!(next(2, 1, 0), Some(seconds(1)));
        assert_eq!(next(2, 2, 90_000), Some(seconds(2)));
        assert_eq!(next(2, 3, 0), None);
        assert!(!RetryPolicy::PER_ITEM.retries_every_failure());
    }

    #[test]
    fn the_delays_of_an_agent_reach_minutes_after_three_failures() {
        let delays: Vec<u64> =
            (1..=5).map(|failures| RetryPolicy::PER_CHUNK.delay(failures).as_secs()).collect();
        assert_eq!(delays, [5, 20, 80, 300, 300]);
    }

    #[test]
    fn the_last_line_of_standard_error_may_ask_for_a_delay() {
        #[track_caller]
        fn check(stderr: &str, expected: Option<Duration>) {
            assert_eq!(parse_retry_after(stderr), expected, "{stderr:?}");
        }
        check("Retry-After: 30", Some(seconds(30)));
        check("429 Too Many Requests\nretry-after:120\n\n", Some(seconds(120)));
        check("Retry-After: 0.5\r\n", Some(Duration::from_millis(500)));
        check("Retry-After: 5s", Some(seconds(5)));
        check("Retry-After: 30\nbye", None);
        check("Retry-After: -1", None);
        check("Retry-After: soon", None);
        check("Retry-After: inf", None);
        check("Retry-After: NaN", None);
        check("Retry-After 30", None);
        check("", None);
    }

    #[test]
    fn retries_that_end_while_nothing_succeeds_pause_the_batch() {
        assert_eq!(LastTry::decide(0), LastTry::BatchPaused);
        assert_eq!(LastTry::decide(1), LastTry::ItemFailed);
    }
}
