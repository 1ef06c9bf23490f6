//! The call to make next for a batch, and how urgent it is.

use super::attention::{
    claimed_chunks, count_awaiting_decision, expired_chunks, failures_of, has_expired, needs_person,
};
use super::next_workers::worker_needs;
use super::worker_demand::WorkerDemand;
use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::counted;
use crate::model::text::excerpt;
use crate::ops::request::lookup::batch_status;
use crate::prompts::{brief_work_chunk, work_chunk};
use crate::store::StoreRead;

/// The urgency of a batch about which nothing has to be done.
pub(in crate::ops) const POLLING: u8 = 1;
/// A claimed chunk counts as stalled after this time without a write, in seconds.
const STALLED_SECONDS: i64 = 600;
/// After this time without a write, the caller is told which worker may have died, in seconds.
const QUIET_SECONDS: i64 = 120;

/// What has to be done about a batch.
pub(in crate::ops) struct NextCall {
    /// Higher is more urgent.
    pub(in crate::ops) urgency: u8,
    /// The call, with a few words.
    pub(in crate::ops) call: String,
    /// The prompt of the workers to start, if the call refers to it as worker_prompt.
    pub(in crate::ops) worker_prompt: Option<String>,
}

/// What the reply shows besides the call.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct Shown {
    /// What a person has to decide on.
    pub(in crate::ops) reviews: bool,
    /// The whole prompt of the workers to start.
    pub(in crate::ops) worker_prompt: bool,
}

/// Claimed chunks of a batch without a write for ten minutes, or with an expired lease.
pub(in crate::ops) fn stalled_chunks(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Vec<String>> {
    let quiet_since = tx.now().saturating_add_secs(-STALLED_SECONDS);
    let mut stalled = expired_chunks(tx, task, batch)?;
    let live = claimed_chunks(tx, task)?.into_iter().filter(|chunk| !has_expired(tx, chunk));
    stalled.extend(live.filter(|chunk| chunk.updated <= quiet_since).map(|chunk| chunk.id.to_string()));
    Ok(stalled)
}

/// The worker that has not written for the longest time, and the call that frees its chunk if it has died; `None` if all
/// have written lately. A batch with a profile has a runner, which sees when a worker ends.
fn quiet_worker(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Option<String>> {
    if batch.profile.is_some() || batch.run.is_some() {
        return Ok(None);
    }
    let now = tx.now();
    let chunks = claimed_chunks(tx, task)?.into_iter().filter(|chunk| !has_expired(tx, chunk));
    let Some(chunk) = chunks.min_by_key(|chunk| chunk.updated) else { return Ok(None) };
    let seconds = now.millis().saturating_sub(chunk.updated.millis()) / 1_000;
    let Some(claim) = chunk.claim.as_ref().filter(|_| seconds >= QUIET_SECONDS) else { return Ok(None) };
    // Hundredths of an hour, rounded down: the chunk has been quiet for longer.
    let hundredths = seconds / 36;
    let hours = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let worker = &claim.worker;
    // A name that a worker chose must not change the call.
    let is_plain = worker.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@ ".contains(c));
    let of_worker = if is_plain { format!(", assignee=\"{worker}\"") } else { String::new() };
    Ok(Some(format!(
        "'{}' ({}) last wrote {} ago; ask whether it still runs, and only if it has died: reset_stalled_tasks(hours={hours}{of_worker})",
        excerpt(worker),
        chunk.id,
        counted(seconds.unsigned_abs() / 60, "minute"),
    )))
}

/// The calls that resolve the failures of a batch.
pub(in crate::ops) fn resolving_calls(task: &Task, batch: &Batch) -> String {
    let id = &task.id;
    let resume = match (&batch.run, &batch.profile) {
        // No runner starts by itself for a batch of `tasktally run`.
        (Some(_), None) => format!(", then tasktally run --resume {id}"),
        _ => String::new(),
    };
    let accept = if batch.ended_chunks < batch.chunk_count {
        String::new()
    } else {
        format!("; a person accepts them with review_batch(id=\"{id}\", decision=\"approve\")")
    };
    format!("control_batch(id=\"{id}\", action=\"retry\") opens them again{resume}{accept}")
}

/// The call to make next; `None` if the batch has ended and nothing is left to do.
pub(in crate::ops) fn next_call(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    lacks_runner: bool,
    shown: Shown,
) -> Result<Option<NextCall>> {
    let status = batch_status(tx, task, batch)?;
    let id = &task.id;
    let workers = match status {
        BatchStatus::Running | BatchStatus::Waiting => workers_to_start(tx, task, batch, shown)?,
        BatchStatus::Paused | BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled => None,
    };
    let (urgency, mut call) = if status == BatchStatus::Cancelled {
        return Ok(None);
    } else if count_awaiting_decision(tx, task, batch)? > 0 {
        let show =
            if shown.reviews { String::new() } else { format!("get_batch(id=\"{id}\", view=\"review\"), ") };
        (6, format!("{show}ask the person, then review_batch(id=\"{id}\", chunk=..., decision=...)"))
    } else if status == BatchStatus::Paused {
        (5, format!("ask the person, then control_batch(id=\"{id}\", action=\"resume\")"))
    } else if lacks_runner {
        (4, format!("control_batch(id=\"{id}\", action=\"start\"): the batch has no runner"))
    } else if !needs_person(tx, task, batch)?.is_empty()
        || (status.is_over() && failures_of(tx, task, batch)?.are_unresolved())
    {
        let resolve = resolving_calls(task, batch);
        (3, format!("get_batch(id=\"{id}\", view=\"failures\") shows why; {resolve}"))
    } else if status.is_over() {
        return finish_call(tx, batch);
    } else if let Some(workers) = workers {
        return Ok(Some(NextCall { urgency: 2, call: workers.call, worker_prompt: workers.prompt }));
    } else if let Some(quiet) = quiet_worker(tx, task, batch)? {
        (2, quiet)
    } else if !stalled_chunks(tx, task, batch)?.is_empty() {
        (2, "reset_stalled_tasks(dry_run=true)".to_owned())
    } else {
        (POLLING, format!("poll get_batch(id=\"{id}\")"))
    };
    let mut worker_prompt = None;
    if let Some(workers) = workers {
        call += &format!("; without waiting for that, {}", workers.call);
        worker_prompt = workers.prompt;
    }
    Ok(Some(NextCall { urgency, call, worker_prompt }))
}

/// Workers to start.
struct Workers {
    /// How many, why, and with which prompt.
    call: String,
    /// The whole prompt, if the call does not contain a short one.
    prompt: Option<String>,
}

/// The call that claims the finish task of a batch that has ended; `None` if there is none, or if it is claimed.
pub(in crate::ops) fn finish_call(tx: &dyn StoreRead, batch: &Batch) -> Result<Option<NextCall>> {
    let Some(row) = batch.finish_row else { return Ok(None) };
    let finish = tx.task_by_row(row)?;
    let call = format!("claim_task(id=\"{}\"): the finish task is ready", finish.id);
    Ok((finish.status == Status::Active).then_some(NextCall { urgency: 2, call, worker_prompt: None }))
}

/// Which workers have to be started, and with which prompt: because a lease expired, or because chunks can be claimed and
/// no worker is at work. A profile's runner starts workers by itself.
fn workers_to_start(tx: &dyn StoreRead, task: &Task, batch: &Batch, shown: Shown) -> Result<Option<Workers>> {
    if batch.profile.is_some() {
        return Ok(None);
    }
    let demand = WorkerDemand::of(tx, task, batch)?;
    if demand.expired.is_empty() && !demand.is_idle() {
        return Ok(None);
    }
    if batch.run.is_some() {
        let call = format!("tasktally run --resume {} works its open chunks", task.id);
        return Ok(Some(Workers { call, prompt: None }));
    }
    // With a worker at work, only the expired claims need another one.
    let wanted = if demand.is_idle() { demand.workers(batch) } else { demand.expired.len() as u64 }.max(1);
    let reason = match demand.expired.first() {
        Some(first) => format!("{first} is stalled, the next claim_task() takes it over"),
        None => "no worker is at work".to_owned(),
    };
    let start = format!("start {} for {}", counted(wanted, "worker"), task.id);
    Ok(Some(if shown.worker_prompt {
        let prompt = Some(work_chunk(&task.id, worker_needs(batch)));
        Workers { call: format!("{start} with worker_prompt: {reason}"), prompt }
    } else {
        let call = format!("{start}: {reason}. Their prompt: {}", brief_work_chunk(&task.id));
        Workers { call, prompt: None }
    }))
}
