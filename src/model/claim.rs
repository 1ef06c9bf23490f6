//! A claim: the right to work on a task, under a lease that the holder's writes renew.

use super::id::Token;
use super::limits::MAX_LEASE_AHEAD_SECONDS;
use super::timestamp::Timestamp;

/// A claim on a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Who holds it, by the name it gave; several may share one.
    pub worker: String,
    /// What later writes must bring; an open claim has none.
    pub token: Option<Token>,
    /// Since when.
    pub claimed_at: Timestamp,
    /// Until when, unless a write of its holder renews it.
    pub expires_at: Timestamp,
    /// By how much a write renews it, in seconds.
    pub lease_seconds: i64,
}

impl Claim {
    /// A new claim under a lease.
    pub fn new(worker: impl Into<String>, token: Option<Token>, now: Timestamp, lease_seconds: i64) -> Self {
        Claim {
            worker: worker.into(),
            token,
            claimed_at: now,
            expires_at: now.saturating_add_secs(lease_seconds),
            lease_seconds,
        }
    }

    /// Whether the lease holds. One that ends further ahead than any lease may was written before
    /// the clock jumped back, and must not strand the task.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at && self.expires_at <= now.saturating_add_secs(MAX_LEASE_AHEAD_SECONDS)
    }

    /// Until when the lease runs once it is renewed: never shorter than before.
    pub fn renewed_expiry(&self, now: Timestamp) -> Timestamp {
        self.expires_at.max(now.saturating_add_secs(self.lease_seconds))
    }

    /// The same, where it is later by a thousandth of the lease at least: receipts that follow each other
    /// closely are spared a change of what is sorted by expiry.
    pub fn expiry_worth_renewing(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.renewed_expiry(now);
        let gain = until.millis().saturating_sub(self.expires_at.millis());
        (gain > 0 && gain >= self.lease_seconds).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_once_that_gains_a_thousandth() {
        fn check(lease: i64, after_ms: i64, moves: bool) {
            let start = Timestamp::from_millis(1_700_000_000_000);
            let claim = Claim::new("polecat", None, start, lease);
            let now = Timestamp::from_millis(start.millis() + after_ms);
            let until = claim.expiry_worth_renewing(now);
            assert_eq!(until, moves.then(|| claim.renewed_expiry(now)), "{lease} s, after {after_ms} ms");
        }
        check(1_800, 1_799, false);
        check(1_800, 1_800, true);
        check(1, 1, true);
        check(1, 0, false);
        // The clock jumped back: a lease never gets shorter.
        check(60, -5_000, false);
    }
}
