//! How runners share the concurrency permits: batches of higher priority get more, and no batch waits while
//! another one has more than its share.

use super::task::RowId;

/// A runner's permits, and whether it waits for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairShare {
    /// Its batch.
    pub batch: RowId,
    /// The batch's priority, 0 (critical) to 4.
    pub priority: i64,
    /// The permits that it has: workers it may run at once.
    pub permits: u64,
    /// Whether it waits for another permit.
    pub is_waiting: bool,
}

impl FairShare {
    /// Each level of priority doubles the weight.
    fn weight(&self) -> u64 {
        16 >> self.priority.clamp(0, 4)
    }

    /// Whether this runner has no permit, or would still have less than `other`, by weight, with one more. A
    /// runner's last permit is never taken.
    fn is_behind(&self, other: &FairShare) -> bool {
        other.permits > 1
            && (self.permits == 0 || (self.permits + 1) * other.weight() < other.permits * self.weight())
    }
}

/// The batch that gets the next permit, if one is free and a runner waits.
pub fn next_batch(runners: &[FairShare], limit: u64) -> Option<RowId> {
    if runners.iter().map(|runner| runner.permits).sum::<u64>() >= limit {
        return None;
    }
    let waiting = runners.iter().filter(|runner| runner.is_waiting);
    // Runners without a permit first; then the smallest (permits + 1) / weight, written with the common
    // denominator 16.
    waiting
        .min_by_key(|runner| {
            (runner.permits > 0, (runner.permits + 1) * (16 / runner.weight()), runner.batch)
        })
        .map(|runner| runner.batch)
}

/// Whether a batch must give up a permit: the limit is exceeded, or another batch waits for its share.
pub fn must_yield(runners: &[FairShare], batch: RowId, limit: u64) -> bool {
    let Some(own) = runners.iter().find(|runner| runner.batch == batch) else { return false };
    let permits = runners.iter().map(|runner| runner.permits).sum::<u64>();
    let waiting = runners.iter().filter(|runner| runner.is_waiting && runner.batch != batch);
    permits > limit || (permits == limit && waiting.into_iter().any(|other| other.is_behind(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(batch: RowId, priority: i64, permits: u64, wants: bool) -> FairShare {
        FairShare { batch, priority, permits, is_waiting: wants }
    }

    /// Grants and takes permits until nothing changes; returns the permits of each batch.
    fn settled(priorities: &[i64], limit: u64) -> Vec<u64> {
        let mut runners: Vec<FairShare> =
            (1..).zip(priorities).map(|(batch, priority)| runner(batch, *priority, 0, true)).collect();
        // The first batch starts with all permits.
        runners[0].permits = limit;
        for _ in 0..1_000 {
            if let Some(batch) = next_batch(&runners, limit) {
                runners.iter_mut().find(|runner| runner.batch == batch).unwrap().permits += 1;
            } else if let Some(at) =
                (0..runners.len()).find(|at| must_yield(&runners, runners[*at].batch, limit))
            {
                runners[at].permits -= 1;
            } else {
                return runners.iter().map(|runner| runner.permits).collect();
            }
        }
        panic!("permits move back and forth: {runners:?}");
    }

    #[test]
    fn each_batch_gets_its_share_whichever_started_first() {
        assert_eq!(settled(&[2], 8), [8]);
        assert_eq!(settled(&[2, 2], 8), [4, 4]);
        assert_eq!(settled(&[2, 2, 2], 8).iter().sum::<u64>(), 8);
        assert!(settled(&[2, 2, 2], 8).iter().all(|permits| *permits >= 2));
        assert_eq!(settled(&[2, 1], 9), [3, 6]);
        assert_eq!(settled(&[4, 0], 8), [1, 7]);
        assert_eq!(settled(&[2; 8], 8), [1; 8]);
    }

    #[test]
    fn a_batch_without_a_permit_is_served_first() {
        // More batches than workers: the later ones wait until an earlier one has ended.
        assert_eq!(settled(&[2; 10], 8).iter().sum::<u64>(), 8);
        assert_eq!(next_batch(&[runner(1, 2, 1, false), runner(2, 2, 0, true)], 8), Some(2));
        assert_eq!(next_batch(&[runner(1, 2, 8, false), runner(2, 2, 0, true)], 8), None);
    }

    #[test]
    fn permits_above_a_lowered_limit_are_given_up() {
        assert!(must_yield(&[runner(1, 2, 8, false)], 1, 4));
        assert!(!must_yield(&[runner(1, 2, 4, false)], 1, 4));
    }
}
