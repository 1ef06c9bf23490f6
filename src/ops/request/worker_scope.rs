//! The scope of a background worker: its own chunk, and receipts on its batch's task.
//!
//! The scope is enforced here, in one place, before a request is deserialized: on the operation, on every
//! parameter and on every id. It confines an agent that has only the tools. It does not confine a program
//! that runs with the user's rights.

use serde_json::{Map, Value};

use super::types::remove_ignored;
use crate::error::{Code, Error, Result};
use crate::model::author::{Author, AuthorKind};
use crate::model::claim_rules::{ClaimAuthority, claim_authority, claim_lost_error};
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::model::worker_scope::WorkerScope;
use crate::ops::{Operation, Session};
use crate::store::StoreRead;

/// What a worker may pass to an operation.
struct Allowed {
    operation: &'static str,
    /// Parameters for the worker's chunk; `None` allows [`Operation::WORKER_PARAMETERS`].
    on_chunk: Option<&'static [&'static str]>,
    /// Parameters for the batch's task; empty if the operation is not allowed there.
    on_batch: &'static [&'static str],
    /// Whether the operation on the chunk needs the claim, so that the scope's token is filled in.
    needs_claim: bool,
}

/// The operations of a worker; every other operation is refused.
const ALLOWED: &[Allowed] = &[
    Allowed {
        operation: "claim_task",
        on_chunk: Some(&["worker", "id", "batch", "lease_seconds"]),
        on_batch: &[],
        needs_claim: false,
    },
    Allowed {
        operation: "get_task",
        on_chunk: Some(&["id", "receipts_after", "items_after", "limit"]),
        on_batch: &["id", "receipts_after", "limit"],
        needs_claim: false,
    },
    Allowed {
        operation: "list_tasks",
        on_chunk: Some(&["batch", "parent", "status", "ready", "since", "limit"]),
        on_batch: &[],
        needs_claim: false,
    },
    Allowed {
        operation: "update_task",
        on_chunk: None,
        on_batch: &["id", "body", "model", "tokens_in", "tokens_out", "cost", "request_key"],
        needs_claim: true,
    },
    Allowed { operation: "complete_task", on_chunk: None, on_batch: &[], needs_claim: true },
    Allowed { operation: "release_task", on_chunk: None, on_batch: &[], needs_claim: true },
];

/// A session that sees and writes only the chunk of a worker.
///
/// # Errors
/// `claim_lost` if the scope's token is not the one of the chunk's latest claim.
pub fn scope_to_worker(session: Session, scope: WorkerScope) -> Result<Session> {
    let checked = scope.clone();
    let worker = session.read(move |tx| check_token(tx, &checked))?;
    // Late receipts come with a claim that has ended: only the name at the start is known to be the worker's own.
    let author = Author::new(worker, AuthorKind::Worker);
    Ok(session.with_worker_scope(scope, author))
}

/// Checks the arguments of a call against the session's worker scope, and adds the scope's token if the
/// arguments name no claim. Without a worker scope, returns the arguments unchanged.
///
/// # Errors
/// `invalid_argument` for an operation or a parameter that no worker may use, `not_found` for another task,
/// `claim_lost` if the claim has ended.
pub(in crate::ops) fn check_scope<O: Operation>(session: &Session, arguments: Value) -> Result<Value> {
    check_call(session, O::NAME, O::WORKER_PARAMETERS, arguments)
}

/// Not generic, so that it is compiled once for all operations.
fn check_call(
    session: &Session,
    operation: &'static str,
    worker_parameters: &'static [&'static str],
    mut arguments: Value,
) -> Result<Value> {
    remove_ignored(&mut arguments);
    let Some(scope) = session.worker_scope() else { return Ok(arguments) };
    let mut arguments = match arguments {
        Value::Object(arguments) => arguments,
        Value::Null => Map::new(),
        // Deserialization refuses everything else.
        other => return Ok(other),
    };
    // The arguments of a command hold all parameters, also those that were not given.
    arguments.retain(|_, value| {
        !(value.is_null() || *value == Value::Bool(false) || *value == Value::Array(Vec::new()))
    });
    let allowed = ALLOWED.iter().find(|allowed| allowed.operation == operation).ok_or_else(|| {
        let offered: Vec<&str> = ALLOWED.iter().map(|allowed| allowed.operation).collect();
        Error::invalid(format!(
            "{operation}: a chunk's worker cannot call it; allowed: {}",
            offered.join(", ")
        ))
    })?;
    let on_batch = is_about_batch(scope, &arguments)?;
    let on_chunk = allowed.on_chunk.unwrap_or(worker_parameters);
    let parameters = if on_batch { allowed.on_batch } else { on_chunk };
    if on_batch && parameters.is_empty() {
        return Err(Error::invalid(format!(
            "{operation}: a chunk's worker can call it on its chunk {}, not on the batch",
            scope.chunk
        )));
    }
    if let Some(other) = arguments.keys().find(|name| !parameters.contains(&name.as_str())) {
        let target = if on_batch { "the batch's task" } else { "its chunk" };
        return Err(Error::invalid(format!(
            "{}: a chunk's worker cannot pass it; {operation} on {target} takes {}",
            excerpt(other),
            parameters.join(", ")
        )));
    }
    // These two check the claim themselves: a late receipt is kept, and a repeated completion gets its first
    // answer.
    if !matches!(operation, "update_task" | "complete_task") {
        check_live(session, scope)?;
    }
    if let Some(Value::String(key)) = arguments.get_mut("request_key") {
        // Workers do not know of each other's keys: the same key of another chunk is another request.
        key.insert_str(0, &format!("{}/", scope.chunk));
    }
    if allowed.needs_claim && !on_batch && !arguments.contains_key("claim") {
        arguments.insert("claim".into(), scope.token.as_str().into());
    }
    Ok(Value::Object(arguments))
}

/// Whether the request is about the batch's task. Refuses ids of tasks outside the scope.
fn is_about_batch(scope: &WorkerScope, arguments: &Map<String, Value>) -> Result<bool> {
    let batch = scope.batch();
    let mut on_batch = false;
    for name in ["id", "batch", "parent"] {
        // Deserialization refuses an id that is not a string.
        let Some(id) = arguments.get(name).and_then(Value::as_str) else { continue };
        let is_batch = id == batch.as_str();
        if name == "id" && is_batch {
            on_batch = true;
        } else if !(is_batch || name == "id" && scope.chunk.is_same(&TaskId::stored(id.to_owned()))) {
            return Err(Error::not_found(format!(
                "{name}: '{}' is outside your scope; you work on chunk {} of batch {batch} only",
                excerpt(id),
                scope.chunk
            )));
        }
    }
    Ok(on_batch)
}

/// The token of a task's latest claim, live or not.
fn latest_token(task: &Task) -> Option<&Token> {
    task.claim.as_ref().and_then(|claim| claim.token.as_ref())
}

/// Refuses a token that is not the one of the chunk's latest claim. Returns the name of the claim's worker.
fn check_token(tx: &dyn StoreRead, scope: &WorkerScope) -> Result<String> {
    let holder = match tx.task(&scope.chunk) {
        Ok(task) if task.is_chunk && latest_token(&task) == Some(&scope.token) => task.claim,
        Ok(_) => None,
        // A forged scope may name any id: the refusal must not reveal which ids exist.
        Err(error) if error.code == Code::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(claim) = holder {
        return Ok(claim.worker);
    }
    Err(Error::new(
        Code::ClaimLost,
        format!("TASKTALLY_JOB: the claim on chunk {} has ended; stop working on it", scope.chunk),
    ))
}

/// Refuses a receipt on the batch's task unless the worker holds its chunk or has completed it.
pub(in crate::ops) fn may_write_to_batch(tx: &dyn StoreRead, scope: &WorkerScope) -> Result<()> {
    let task = tx.task(&scope.chunk)?;
    let completed = latest_token(&task) == Some(&scope.token)
        && task.status != Status::InProgress
        && tx.chunk(&task)?.is_some_and(|chunk| chunk.accepted_generation == task.generation);
    if completed || claim_authority(&task, Some(&scope.token), tx.now()) == ClaimAuthority::LiveToken {
        return Ok(());
    }
    Err(claim_lost_error(&task, &scope.token, tx.now()))
}

/// Refuses every request once the scope's claim is not live any more.
fn check_live(session: &Session, scope: &WorkerScope) -> Result<()> {
    let scope = scope.clone();
    session.read(move |tx| {
        let task = tx.task(&scope.chunk)?;
        match claim_authority(&task, Some(&scope.token), tx.now()) {
            ClaimAuthority::LiveToken => Ok(()),
            _ => Err(claim_lost_error(&task, &scope.token, tx.now())),
        }
    })
}
