//! How runners share the workers that may run at once: the more urgent a batch the more it gets, and
//! none waits while another has more than its share.

use super::task::RowId;

/// What a runner has and wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairShare {
    /// Its batch.
    pub batch: RowId,
    /// The batch's priority, 0 (critical) to 4.
    pub priority: i64,
    /// How many workers it may have at once now.
    pub permits: u64,
    /// Whether it waits for one more.
    pub is_waiting: bool,
}

impl FairShare {
    /// A step of priority counts double.
    fn weight(&self) -> u64 {
        16 >> self.priority.clamp(0, 4)
    }

    /// Whether this one has nothing, or with one more would still have less, by weight, than another has
    /// now. Nobody's last one is asked for.
    fn is_behind(&self, other: &FairShare) -> bool {
        other.permits > 1
            && (self.permits == 0 || (self.permits + 1) * other.weight() < other.permits * self.weight())
    }
}

/// Who gets the next worker, if one more may run.
pub fn next_batch(stakes: &[FairShare], limit: u64) -> Option<RowId> {
    if stakes.iter().map(|stake| stake.permits).sum::<u64>() >= limit {
        return None;
    }
    let waiting = stakes.iter().filter(|stake| stake.is_waiting);
    // Who has nothing first; then the smallest (held + 1) / weight, with one denominator, for 16 is a multiple of all.
    waiting
        .min_by_key(|stake| (stake.permits > 0, (stake.permits + 1) * (16 / stake.weight()), stake.batch))
        .map(|stake| stake.batch)
}

/// Whether a batch has to give one of its workers up to another that waits.
pub fn must_yield(stakes: &[FairShare], batch: RowId, limit: u64) -> bool {
    let Some(own) = stakes.iter().find(|stake| stake.batch == batch) else { return false };
    let held = stakes.iter().map(|stake| stake.permits).sum::<u64>();
    let waiting = stakes.iter().filter(|stake| stake.is_waiting && stake.batch != batch);
    held > limit || (held == limit && waiting.into_iter().any(|other| other.is_behind(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stake(batch: RowId, priority: i64, held: u64, wants: bool) -> FairShare {
        FairShare { batch, priority, permits: held, is_waiting: wants }
    }

    /// Lets all who want have workers until nothing moves any more; gives what each has.
    fn settled(priorities: &[i64], limit: u64) -> Vec<u64> {
        let mut stakes: Vec<FairShare> =
            (1..).zip(priorities).map(|(batch, priority)| stake(batch, *priority, 0, true)).collect();
        // The first one came first and has all.
        stakes[0].permits = limit;
        for _ in 0..1_000 {
            if let Some(batch) = next_batch(&stakes, limit) {
                stakes.iter_mut().find(|stake| stake.batch == batch).unwrap().permits += 1;
            } else if let Some(at) =
                (0..stakes.len()).find(|at| must_yield(&stakes, stakes[*at].batch, limit))
            {
                stakes[at].permits -= 1;
            } else {
                return stakes.iter().map(|stake| stake.permits).collect();
            }
        }
        panic!("workers are handed to and fro: {stakes:?}");
    }

    #[test]
    fn all_get_their_share_whoever_came_first() {
        assert_eq!(settled(&[2], 8), [8]);
        assert_eq!(settled(&[2, 2], 8), [4, 4]);
        assert_eq!(settled(&[2, 2, 2], 8).iter().sum::<u64>(), 8);
        assert!(settled(&[2, 2, 2], 8).iter().all(|held| *held >= 2));
        assert_eq!(settled(&[2, 1], 9), [3, 6]);
        assert_eq!(settled(&[4, 0], 8), [1, 7]);
        assert_eq!(settled(&[2; 8], 8), [1; 8]);
    }

    #[test]
    fn whoever_waits_longest_for_a_first_worker_of_too_few_gets_one_in_the_end() {
        // More batches than workers: the later ones wait until an earlier one has ended.
        assert_eq!(settled(&[2; 10], 8).iter().sum::<u64>(), 8);
        assert_eq!(next_batch(&[stake(1, 2, 1, false), stake(2, 2, 0, true)], 8), Some(2));
        assert_eq!(next_batch(&[stake(1, 2, 8, false), stake(2, 2, 0, true)], 8), None);
    }

    #[test]
    fn a_lower_limit_is_come_down_to() {
        assert!(must_yield(&[stake(1, 2, 8, false)], 1, 4));
        assert!(!must_yield(&[stake(1, 2, 4, false)], 1, 4));
    }
}
