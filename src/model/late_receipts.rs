//! How many late receipts a task keeps. A worker that has lost its claim may still report what it did, but it must not
//! fill the store.

use super::task::Task;
use crate::error::Error;

/// The most late receipts that the task keeps, if `per_claim` are kept for each claim. Tokens of earlier claims are not
/// stored, so the claims of a task share one quota. A task that was never claimed has the quota of one claim, for writes
/// that its chunks' workers address to it.
pub fn late_receipt_quota(task: &Task, per_claim: u64) -> u64 {
    task.generation.max(1).saturating_mul(per_claim)
}

/// The refusal of a late write whose receipt was not kept, because the task has `kept` late receipts already.
#[must_use]
pub fn not_kept(mut refusal: Error, task: &Task, kept: u64, per_claim: u64) -> Error {
    refusal.message += &format!(
        " The receipt was not kept: task {} has {kept} late receipts, and at most {per_claim} are kept for each of its claims (limits.max_late_receipts in the operator's configuration).",
        task.id
    );
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;

    #[test]
    fn each_claim_adds_to_the_quota() {
        let check = |generation, quota| {
            let task = Task { generation, ..Task::new(Timestamp::from_millis(0), "t") };
            assert_eq!(late_receipt_quota(&task, 100), quota);
        };
        check(0, 100);
        check(1, 100);
        check(3, 300);
        check(u64::MAX, u64::MAX);
    }
}
