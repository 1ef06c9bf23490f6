//! Numeric parameters with their bounds, and limits of replies.

bounded_integer!(
    /// A priority: 0 is the most urgent, 4 the least.
    Priority, 0..=4, "0 (critical) to 4"
);
bounded_integer!(
    /// A task's position among its siblings.
    Order, -1_000_000..=1_000_000_000, "-1000000 to 1000000000"
);
bounded_integer!(
    /// The most rows of a reply; 0 means [`PAGE_ROWS`].
    Limit, 0..=1_000, "0 to 1000; 0 means 200"
);
bounded_integer!(
    /// How long a claim lasts without a write by its holder, in seconds.
    LeaseSeconds, 1..=86_400, "1 to 86400 seconds"
);
bounded_integer!(
    /// The most items a chunk may hold.
    MaxChunk, 1..=10_000, "1 to 10000 items"
);
bounded_integer!(
    /// How many workers a batch's plan asks for, and `tasktally run` starts.
    MaxParallel, 1..=64, "1 to 64 workers"
);
bounded_integer!(
    /// How often a chunk may be claimed before it waits for a person.
    MaxAttempts, 1..=100, "1 to 100 attempts"
);
bounded_integer!(
    /// A receipt's or an item's number.
    SequenceNumber, 0..=9_007_199_254_740_991, "0 to 9007199254740991"
);

/// The integer that a floating-point number is exactly; none if it has a fraction or is so large that it may have lost
/// digits.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the largest exact integer")]
pub fn whole_number(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

/// The longest lease.
pub const MAX_LEASE_SECONDS: i64 = 86_400;
/// The furthest a live lease may end ahead of now: the longest lease, plus a minute for clocks that are set back.
pub const MAX_LEASE_AHEAD_SECONDS: i64 = MAX_LEASE_SECONDS + 60;
/// An open claim's lease, in seconds.
pub const OPEN_LEASE_SECONDS: i64 = 4 * 3_600;
/// Rows of a page if `limit` is 0.
pub const PAGE_ROWS: usize = 200;
/// The characters of a body that a list shows.
pub const PREVIEW_CHARS: usize = 100;
/// The most characters of bodies or items in one reply; a page ends there.
pub const MAX_REPLY_CHARS: usize = 24_000;
/// The most ids, tags or dependencies in one request.
pub const MAX_IDS: usize = 1_000;
/// A mebibyte, in bytes.
pub const MIB: u64 = 1024 * 1024;
