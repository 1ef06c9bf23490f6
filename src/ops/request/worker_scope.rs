//! What a background worker may ask for: its own chunk, and receipts on its batch's task.
//!
//! Looked at in one place, before a request is read: whatever ids it names, whatever operation it
//! calls. It holds an agent to its job that has nothing but the tools; a program with the user's rights
//! is held by nothing here.

use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};
use crate::model::claim::{ClaimAuthority, lost, standing};
use crate::model::job::WorkerScope;
use crate::model::status::Status;
use crate::model::text::excerpt;
use crate::ops::{CompleteTask, Operation, ReleaseTask, Session, UpdateTask};
use crate::store::Read;

/// What an operation may bring, and which of the job's tasks it may be about.
struct Allowed {
    operation: &'static str,
    parameters: &'static [&'static str],
    on_batch: &'static [&'static str],
    /// Whether it comes under the chunk's claim.
    needs_claim: bool,
}

/// What a worker of a chunk calls; everything else is refused.
const ALLOWED: &[Allowed] = &[
    Allowed {
        operation: "claim_task",
        parameters: &["worker", "id", "batch", "lease_seconds"],
        on_batch: &[],
        needs_claim: false,
    },
    Allowed {
        operation: "get_task",
        parameters: &["id", "receipts_after", "items_after", "limit"],
        on_batch: &["id", "receipts_after", "limit"],
        needs_claim: false,
    },
    Allowed {
        operation: "list_tasks",
        parameters: &["batch", "parent", "status", "ready", "since", "limit"],
        on_batch: &[],
        needs_claim: false,
    },
    Allowed {
        operation: UpdateTask::NAME,
        parameters: UpdateTask::WORKER_PARAMETERS,
        on_batch: &["id", "body", "model", "tokens_in", "tokens_out", "cost", "request_key"],
        needs_claim: true,
    },
    Allowed {
        operation: CompleteTask::NAME,
        parameters: CompleteTask::WORKER_PARAMETERS,
        on_batch: &[],
        needs_claim: true,
    },
    Allowed {
        operation: ReleaseTask::NAME,
        parameters: ReleaseTask::WORKER_PARAMETERS,
        on_batch: &[],
        needs_claim: true,
    },
];

/// The arguments as the job lets them through; where no claim is named, with the job's own.
///
/// # Errors
/// `invalid_argument` for what no worker calls or brings, `not_found` for another task, `claim_lost`
/// once the job is over.
pub(in crate::ops) fn admit(session: &Session, operation: &str, arguments: Value) -> Result<Value> {
    let Some(job) = session.job() else { return Ok(arguments) };
    let mut arguments = match arguments {
        Value::Object(arguments) => arguments,
        Value::Null => Map::new(),
        // It is refused where it is read.
        other => return Ok(other),
    };
    // A command brings what it was not given, too.
    arguments.retain(|_, value| {
        !(value.is_null() || *value == Value::Bool(false) || *value == Value::Array(Vec::new()))
    });
    let allowed = ALLOWED.iter().find(|allowed| allowed.operation == operation).ok_or_else(|| {
        let offered: Vec<&str> = ALLOWED.iter().map(|allowed| allowed.operation).collect();
        Error::invalid(format!(
            "{operation} is not for the worker of a chunk; it calls {}",
            offered.join(", ")
        ))
    })?;
    let on_batch = about(job, &arguments)?;
    let parameters = if on_batch { allowed.on_batch } else { allowed.parameters };
    if on_batch && parameters.is_empty() {
        let why = format!("{operation}: it is for your chunk {}, not for its batch", job.chunk);
        return Err(Error::invalid(why));
    }
    if let Some(other) = arguments.keys().find(|name| !parameters.contains(&name.as_str())) {
        let what = if on_batch { "your batch's task" } else { "your chunk" };
        return Err(Error::invalid(format!(
            "{}: the worker of a chunk cannot bring it; {operation} on {what} takes {}",
            excerpt(other),
            parameters.join(", ")
        )));
    }
    if !matches!(operation, "update_task" | "complete_task") {
        is_live(session, job)?;
    }
    if let Some(Value::String(key)) = arguments.get_mut("request_key") {
        // Whoever else uses the same key, now or later, means another request.
        key.insert_str(0, &format!("{}/", job.chunk));
    }
    if allowed.needs_claim && !on_batch && !arguments.contains_key("claim") {
        arguments.insert("claim".into(), job.token.as_str().into());
    }
    Ok(Value::Object(arguments))
}

/// Whether a request is about the batch's task; refuses what is about any other task than the job's.
fn about(job: &WorkerScope, arguments: &Map<String, Value>) -> Result<bool> {
    let batch = job.batch();
    let mut on_batch = false;
    for name in ["id", "batch", "parent"] {
        // What is no text is refused where it is read.
        let Some(id) = arguments.get(name).and_then(Value::as_str) else { continue };
        let is_batch = id == batch.as_str();
        if name == "id" && is_batch {
            on_batch = true;
        } else if !(is_batch || name == "id" && id == job.chunk.as_str()) {
            return Err(Error::not_found(format!(
                "{name}: '{}' is not yours: you work chunk {} of batch {batch}, and nothing else",
                excerpt(id),
                job.chunk
            )));
        }
    }
    Ok(on_batch)
}

/// Refuses a job that is not that of the chunk's latest claim.
pub(in crate::ops) fn is_real(tx: &dyn Read, job: &WorkerScope) -> Result<()> {
    let is_latest = match tx.task(&job.chunk) {
        Ok(task) => {
            let latest = task.claim.as_ref().and_then(|claim| claim.token.as_ref());
            task.is_chunk && latest == Some(&job.token)
        }
        // A forged job may name anything: it is told what an old one is told.
        Err(error) if error.code == Code::NotFound => false,
        Err(error) => return Err(error),
    };
    if is_latest {
        return Ok(());
    }
    Err(Error::new(Code::ClaimLost, format!("TASKTALLY_JOB: the job on chunk {} is over; stop", job.chunk)))
}

/// Refuses what a worker says of its batch once it neither holds its chunk nor has completed it.
pub(in crate::ops) fn may_speak(tx: &dyn Read, job: &WorkerScope) -> Result<()> {
    let task = tx.task(&job.chunk)?;
    let latest = task.claim.as_ref().and_then(|claim| claim.token.as_ref());
    let completed = latest == Some(&job.token)
        && task.status != Status::InProgress
        && tx.chunk(&task)?.is_some_and(|chunk| chunk.accepted == task.generation);
    if completed || standing(&task, Some(&job.token), tx.now()) == ClaimAuthority::Holder {
        return Ok(());
    }
    Err(lost(&task, &job.token, tx.now()))
}

/// Refuses to show anything once the job's claim is not live any more. What is written looks for itself: a
/// receipt is kept as late, a completion that was accepted is told once more.
fn is_live(session: &Session, job: &WorkerScope) -> Result<()> {
    let job = job.clone();
    session.read(move |tx| {
        let task = tx.task(&job.chunk)?;
        match standing(&task, Some(&job.token), tx.now()) {
            ClaimAuthority::Holder => Ok(()),
            _ => Err(lost(&task, &job.token, tx.now())),
        }
    })
}
