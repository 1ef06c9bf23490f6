//! The lease of a claim: when it expires, and how a write by its holder renews it.

use super::claim::Claim;
use super::limits::MAX_LEASE_AHEAD_SECONDS;
use super::timestamp::Timestamp;

impl Claim {
    /// Whether the lease has not expired. An expiry further ahead than the longest lease was written before the
    /// clock was set back; such a lease counts as expired, otherwise no worker could claim the task for that long.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at && self.expires_at <= now.saturating_add_secs(MAX_LEASE_AHEAD_SECONDS)
    }

    /// When the lease ends if it is renewed now; never earlier than before.
    pub fn renewed_expiry(&self, now: Timestamp) -> Timestamp {
        self.expires_at.max(now.saturating_add_secs(self.lease_seconds))
    }

    /// The renewed expiry, if it is later by at least a thousandth of the lease. Receipts in quick succession
    /// would otherwise each update the index over expiry times.
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
    fn a_lease_is_renewed_only_if_that_gains_a_thousandth_of_it() {
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
        // The clock was set back: renewal never shortens a lease.
        check(60, -5_000, false);
    }
}
