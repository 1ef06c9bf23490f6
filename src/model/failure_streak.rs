//! Failures in a row: after too many, the batch is paused, because the cause is probably not the items.

/// The number of failures in a row at which a batch is paused. 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseAfterFailures(u32);

/// The number that applies while nothing in the batch has succeeded yet.
const WITHOUT_A_SUCCESS: u32 = 5;

impl PauseAfterFailures {
    /// The number if none is configured.
    pub const DEFAULT: PauseAfterFailures = PauseAfterFailures(10);
    /// The largest number.
    pub const MAX: u32 = 1_000_000;

    /// A configured number.
    pub fn of(number: u32) -> Self {
        PauseAfterFailures(number.min(Self::MAX))
    }
}

impl std::str::FromStr for PauseAfterFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<u32>() {
            Ok(number) if number <= Self::MAX => Ok(PauseAfterFailures(number)),
            _ => Err(format!("allowed: 0 (never pause) to {}", Self::MAX)),
        }
    }
}

/// Failures in a row, over all workers of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailureStreak {
    failures: u32,
    has_succeeded: bool,
}

impl FailureStreak {
    /// The streak after one more success.
    #[must_use]
    pub fn after_success(self) -> Self {
        FailureStreak { failures: 0, has_succeeded: true }
    }

    /// The streak after one more failure.
    #[must_use]
    pub fn after_failure(self) -> Self {
        FailureStreak { failures: self.failures.saturating_add(1), ..self }
    }

    /// How many failures in a row pause the batch now, if these are enough. `batch_has_success` says whether anything
    /// in the batch succeeded before this streak was counted.
    pub fn pauses(self, limit: PauseAfterFailures, batch_has_success: bool) -> Option<u32> {
        let limit = match limit.0 {
            0 => return None,
            limit if self.has_succeeded || batch_has_success => limit,
            limit => limit.min(WITHOUT_A_SUCCESS),
        };
        (self.failures >= limit).then_some(self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures (`f`) and successes (`s`) in their order.
    #[track_caller]
    fn check(limit: u32, batch_has_success: bool, reports: &str, expected: Option<u32>) {
        let streak = reports.chars().fold(FailureStreak::default(), |streak, report| match report {
            's' => streak.after_success(),
            _ => streak.after_failure(),
        });
        let pauses = streak.pauses(PauseAfterFailures::of(limit), batch_has_success);
        assert_eq!(pauses, expected, "limit {limit}, {batch_has_success}, {reports}");
    }

    #[test]
    fn a_batch_is_paused_after_ten_failures_in_a_row_and_after_five_if_nothing_has_succeeded() {
        check(10, false, "", None);
        check(10, false, "ffff", None);
        check(10, false, "fffff", Some(5));
        check(10, true, "fffff", None);
        check(10, true, "ffffffffff", Some(10));
        check(10, false, "sfffff", None);
        check(10, false, "sffffffffff", Some(10));
        check(10, false, "ffffsffffsfffff", None);
        check(10, true, "fffffffffs", None);
        // A configured number replaces both, unless it is larger than the number without a success.
        check(2, false, "ff", Some(2));
        check(3, true, "ff", None);
        check(100, false, "fffff", Some(5));
        check(0, false, "ffffffffffffffffffff", None);
    }

    #[test]
    fn a_limit_is_a_number() {
        assert_eq!("0".parse(), Ok(PauseAfterFailures::of(0)));
        assert_eq!(" 10 ".parse(), Ok(PauseAfterFailures::DEFAULT));
        for bad in ["-1", "", "ten", "1.5", "1000001"] {
            assert!(bad.parse::<PauseAfterFailures>().is_err(), "{bad}");
        }
    }
}
