//! Why no task can be claimed: the reason that holds for the tasks that a request asks for.

use crate::error::{Code, Error, Result};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::quoted_name;
use crate::model::timestamp::Timestamp;
use crate::store::{StoreRead, TaskFilter};

/// After how many seconds a caller asks again if it is not known when a task becomes ready.
const ASK_AGAIN_SECONDS: u64 = 60;
/// How many unfinished tasks are read to find one that says why.
const SEARCHED: usize = 50;

/// The refusal if no ready task matches `filter`, with the reason, the next step, and after which time asking again
/// helps. `batch` is the batch whose chunks are asked for.
///
/// A worker stops after this reply: its prompt says so, and so does each reason here. Who starts workers again is part
/// of the reason, so that no worker waits for a chunk and no chunk is left behind.
pub(in crate::ops) fn nothing_to_claim(
    tx: &dyn StoreRead,
    batch: Option<&Task>,
    filter: &TaskFilter,
) -> Result<Error> {
    if let Some(batch) = batch.filter(|batch| batch.status.is_terminal()) {
        return Ok(stop(&format!("nothing is left, batch {} is {}", batch.id, batch.status)));
    }
    let restart = restart_sentence(tx, batch)?;
    let with_conflicts = TaskFilter { without_conflicts: false, ..filter.clone() };
    if !tx.list(&with_conflicts, None, 1)?.is_empty() {
        let reason = format!(
            "every chunk that is left shares a resource with a chunk that is being worked on, and can be claimed when that one has ended{restart}"
        );
        return Ok(stop(&reason).retry_after(ASK_AGAIN_SECONDS));
    }
    let time = tx.next_free(filter)?;
    let seconds = time.map_or(ASK_AGAIN_SECONDS, |time| seconds_until(tx, time));
    let with_parents = TaskFilter { without_unfinished_children: false, ..with_conflicts };
    if let Some(parent) = tx.list(&with_parents, None, 1)?.pop() {
        let reason = format!(
            "No ready task matches: those that are left have children that have not ended; claim_task(id=\"{}\") claims such a task before them",
            parent.id
        );
        return Ok(Error::new(Code::NothingToClaim, reason).retry_after(seconds));
    }
    let unfinished = TaskFilter { ready: false, unfinished: true, ..with_parents };
    let tasks: Vec<Task> =
        tx.list(&unfinished, None, SEARCHED)?.into_iter().filter(|task| !task.is_batch).collect();
    if let Some(reason) = open_dependency(tx, &tasks)? {
        return Ok(stop(&reason).retry_after(seconds));
    }
    if let Some(time) = time {
        return Ok(stop(&format!("{}{restart}", free_at(&tasks, time))).retry_after(seconds));
    }
    if tasks.is_empty() {
        return Ok(stop("nothing is left, no unfinished task matches"));
    }
    let reason = "those that match wait for other tasks or for a person; get_batch() shows what waits";
    Ok(stop(reason).retry_after(ASK_AGAIN_SECONDS))
}

fn stop(reason: &str) -> Error {
    Error::new(Code::NothingToClaim, format!("No ready task matches; stop: {reason}"))
}

/// Who starts workers for a batch again, as the end of a sentence; empty for single tasks.
fn restart_sentence(tx: &dyn StoreRead, batch: Option<&Task>) -> Result<&'static str> {
    let Some(batch) = batch else { return Ok("") };
    let has_runner = tx.batch(batch.row)?.is_some_and(|batch| batch.profile.is_some() || batch.run.is_some());
    Ok(if has_runner { "; its runner starts workers again" } else { "; the supervisor starts workers again" })
}

/// The first task that waits for a dependency, and what that dependency is doing. Prefers one that is being worked on.
fn open_dependency(tx: &dyn StoreRead, tasks: &[Task]) -> Result<Option<String>> {
    let mut idle = None;
    for task in tasks.iter().filter(|task| task.status == Status::Active && task.has_dependencies) {
        for (id, soft) in tx.dependencies(task)? {
            let dependency = tx.task(&id)?;
            if soft || dependency.status == Status::Done {
                continue;
            }
            let waits = format!("{} waits for {id}", task.id);
            match dependency.live_claim(tx.now()) {
                Some(claim) => {
                    return Ok(Some(format!(
                        "{waits}, which {} is working on; {id} becomes free at {} if that worker is dead",
                        quoted_name(&claim.worker),
                        claim.expires_at
                    )));
                }
                None => idle = idle.or_else(|| Some(format!("{waits}, which is {}", dependency.status))),
            }
        }
    }
    Ok(idle)
}

/// Which of the tasks can be claimed first, and when.
fn free_at(tasks: &[Task], time: Timestamp) -> String {
    let named = |task: &Task| format!("{} {}", if task.is_chunk { "chunk" } else { "task" }, task.id);
    let claimed = tasks.iter().find_map(|task| {
        let claim = task.claim.as_ref().filter(|claim| claim.expires_at == time)?;
        (task.status == Status::InProgress).then_some((task, claim))
    });
    if let Some((task, claim)) = claimed {
        let worker = quoted_name(&claim.worker);
        return format!("{} becomes free at {time} if its worker {worker} is dead", named(task));
    }
    match tasks.iter().find(|task| task.backoff_until == Some(time)) {
        Some(task) => format!("{} failed and can be claimed again at {time}", named(task)),
        None => {
            format!("the matching tasks are claimed or wait after a failed attempt, the first until {time}")
        }
    }
}

/// The seconds until a time, rounded up.
fn seconds_until(tx: &dyn StoreRead, time: Timestamp) -> u64 {
    let left = time.millis().saturating_sub(tx.now().millis()).max(0);
    u64::try_from(left).unwrap_or(0).div_ceil(1_000)
}
