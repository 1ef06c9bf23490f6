//! Why no task can be claimed: the reason that holds for the tasks that a request asks for.

use crate::error::{Code, Error, Result};
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;
use crate::store::{StoreRead, TaskFilter};

/// After how many seconds a caller asks again if it is not known when a task becomes ready.
const ASK_AGAIN_SECONDS: u64 = 60;
/// How many unfinished tasks are read to find one that is no batch.
const SEARCHED: usize = 50;

/// The refusal if no ready task matches `filter`, with the reason, the next step, and after which time asking again
/// helps. `batch` is the batch whose chunks are asked for.
pub(in crate::ops) fn nothing_to_claim(
    tx: &dyn StoreRead,
    batch: Option<&Task>,
    filter: &TaskFilter,
) -> Result<Error> {
    let refusal =
        |reason: String| Error::new(Code::NothingToClaim, format!("No ready task matches: {reason}"));
    if let Some(batch) = batch.filter(|batch| batch.status.is_terminal()) {
        return Ok(refusal(format!("batch {} is {}; stop", batch.id, batch.status)));
    }
    let with_conflicts = TaskFilter { without_conflicts: false, ..filter.clone() };
    if !tx.list(&with_conflicts, None, 1)?.is_empty() {
        let reason = format!(
            "every chunk that is left shares a resource with a chunk that is being worked on; ask again after {ASK_AGAIN_SECONDS} s"
        );
        return Ok(refusal(reason).retry_after(ASK_AGAIN_SECONDS));
    }
    let time = tx.next_free(filter)?;
    let with_parents = TaskFilter { without_unfinished_children: false, ..with_conflicts };
    if let Some(parent) = tx.list(&with_parents, None, 1)?.pop() {
        let reason = format!(
            "those that are left have children that have not ended; claim_task(id=\"{}\") claims such a task before them",
            parent.id
        );
        let seconds = time.map_or(ASK_AGAIN_SECONDS, |time| seconds_until(tx, time));
        return Ok(refusal(reason).retry_after(seconds));
    }
    if let Some(time) = time {
        let reason = format!(
            "the matching tasks are claimed or wait after a failed attempt, the first of them until {time}; stop, or ask again then"
        );
        return Ok(refusal(reason).retry_after(seconds_until(tx, time)));
    }
    let unfinished = TaskFilter { ready: false, unfinished: true, ..with_parents };
    if tx.list(&unfinished, None, SEARCHED)?.iter().any(|task| !task.is_batch) {
        let reason =
            "those that match wait for other tasks or for a person; get_batch() shows what waits".to_owned();
        return Ok(refusal(reason).retry_after(ASK_AGAIN_SECONDS));
    }
    Ok(refusal("no unfinished task matches; stop, or ask again when there are new tasks".to_owned()))
}

/// The seconds until a time, rounded up.
fn seconds_until(tx: &dyn StoreRead, time: Timestamp) -> u64 {
    let left = time.millis().saturating_sub(tx.now().millis()).max(0);
    u64::try_from(left).unwrap_or(0).div_ceil(1_000)
}
