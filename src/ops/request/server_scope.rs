//! What a server gives access to: a toolset, a project, a batch, or only reading.
//!
//! The scope is enforced here, in one place, on every operation, parameter and id, whatever the schemas show. It confines
//! an agent that has only the tools. It does not confine a program that runs with the user's rights.

use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::ops::{Effect, Entry, Operation, Session, to_json};
use crate::store::StoreRead;

/// Parameters that name tasks, also inside of objects. The operations themselves check that `chunk` and `chunks` belong to
/// the batch that `id` names.
const ID_PARAMETERS: [&str; 6] = ["id", "ids", "parent", "batch", "depends_on", "soft_depends_on"];
/// Operations that create something of a project or select by project. Without the parameter they concern all projects.
const WITH_PROJECT: [&str; 7] = [
    "create_task",
    "create_batch",
    "list_tasks",
    "claim_task",
    "search_tasks",
    "reset_stalled_tasks",
    "get_batch",
];
/// Operations that take a batch to select by. Without the parameter they concern all tasks.
const WITH_BATCH: [&str; 2] = ["list_tasks", "claim_task"];
/// Operations that a server for one batch does not have, because they concern other tasks.
const BEYOND_ONE_BATCH: [&str; 4] = ["create_task", "create_batch", "search_tasks", "reset_stalled_tasks"];

/// What a server gives access to. The default is everything.
#[derive(Debug, Clone, Default)]
pub struct ServerScope {
    /// Only the tools and parameters that a background worker needs.
    pub worker_tools: bool,
    /// Only tasks of this project.
    pub project: Option<String>,
    /// Only this batch and its chunks.
    pub batch: Option<TaskId>,
    /// No operation that writes.
    pub read_only: bool,
}

impl ServerScope {
    /// Whether the scope is everything.
    pub fn is_everything(&self) -> bool {
        !self.worker_tools && !self.read_only && !self.limits_tasks()
    }

    /// Whether some tasks are outside.
    fn limits_tasks(&self) -> bool {
        self.project.is_some() || self.batch.is_some()
    }

    /// Whether the scope has an operation.
    pub fn has(&self, entry: &Entry) -> bool {
        self.why_not(entry.name, entry.effect, entry.worker_parameters).is_none()
    }

    /// Why the scope does not have an operation.
    fn why_not(&self, name: &str, effect: Effect, worker_parameters: &[&str]) -> Option<&'static str> {
        if self.worker_tools && worker_parameters.is_empty() {
            Some("--toolset worker")
        } else if self.read_only && effect != Effect::Read {
            Some("--read-only")
        } else if self.batch.is_some() && BEYOND_ONE_BATCH.contains(&name) {
            Some("--batch")
        } else {
            None
        }
    }

    /// Whether a task is inside.
    pub(in crate::ops) fn contains(&self, task: &Task) -> bool {
        let in_batch =
            |batch: &TaskId| task.id == *batch || task.is_chunk && task.parent.as_ref() == Some(batch);
        self.project.as_ref().is_none_or(|project| task.project.as_ref() == Some(project))
            && self.batch.as_ref().is_none_or(in_batch)
    }

    /// The scope in words, for a refusal.
    fn shown(&self) -> String {
        let project = self.project.as_ref().map(|project| format!("project '{}'", excerpt(project)));
        let batch = self.batch.as_ref().map(|batch| format!("batch {batch}"));
        [batch, project].into_iter().flatten().collect::<Vec<_>>().join(" of ")
    }
}

/// Limits a request to the scope of the session's server: refuses what is outside, and selects the scope's project and
/// batch where the request selects none. Without a scope, returns the request unchanged.
///
/// # Errors
/// `forbidden` for an operation, a parameter or a project outside of the scope; `not_found` for a task outside of it.
pub(in crate::ops) fn limit_to_scope<O: Operation>(session: &Session, request: O) -> Result<O> {
    if session.server_scope().is_everything() {
        return Ok(request);
    }
    let mut parameters = match to_json(&request)? {
        Value::Object(parameters) => parameters,
        _ => Map::new(),
    };
    limit(session, O::NAME, O::EFFECT, O::WORKER_PARAMETERS, &mut parameters)?;
    super::args::parse(Value::Object(parameters))
}

/// Refuses parameters that are not in the schemas of the worker toolset. `arguments` are those that a caller gave.
///
/// # Errors
/// `forbidden`, naming the parameter and what is allowed.
pub(in crate::ops) fn check_worker_tools<O: Operation>(session: &Session, arguments: &Value) -> Result<()> {
    if !session.server_scope().worker_tools {
        return Ok(());
    }
    refuse_operation(session.server_scope(), O::NAME, O::EFFECT, O::WORKER_PARAMETERS)?;
    let names = arguments.as_object().into_iter().flat_map(Map::keys);
    match names.into_iter().find(|name| !O::WORKER_PARAMETERS.contains(&name.as_str())) {
        None => check_worker_status(O::NAME, &arguments["status"]),
        Some(other) => Err(Error::new(
            Code::Forbidden,
            format!(
                "{}: the worker toolset of {} does not have it; it takes {}",
                excerpt(other),
                O::NAME,
                O::WORKER_PARAMETERS.join(", ")
            ),
        )),
    }
}

/// A worker claims with `status`. Any other status is decided by completing or releasing the task.
fn check_worker_status(operation: &str, status: &Value) -> Result<()> {
    let allowed = ["", "in_progress", "in-progress"];
    if operation != "update_task" || status.as_str().is_none_or(|status| allowed.contains(&status)) {
        return Ok(());
    }
    Err(Error::new(
        Code::Forbidden,
        format!(
            "status: '{}' is not allowed in the worker toolset; in_progress claims a task, complete_task() and release_task() end the claim",
            excerpt(status.as_str().unwrap_or_default())
        ),
    ))
}

/// Checks that the scope of the session's server has an operation, for a request that is no call of its tool.
///
/// # Errors
/// `forbidden`.
pub(in crate::ops) fn check_operation<O: Operation>(session: &Session, effect: Effect) -> Result<()> {
    refuse_operation(session.server_scope(), O::NAME, effect, O::WORKER_PARAMETERS)
}

fn refuse_operation(
    scope: &ServerScope,
    name: &str,
    effect: Effect,
    worker_parameters: &[&str],
) -> Result<()> {
    match scope.why_not(name, effect, worker_parameters) {
        None => Ok(()),
        Some(option) => Err(Error::new(
            Code::Forbidden,
            format!(
                "{name}: this server does not have it, because it was started with {option}; ask your supervisor or the person who started it"
            ),
        )),
    }
}

/// Not generic, so that it is compiled once for all operations.
fn limit(
    session: &Session,
    name: &str,
    effect: Effect,
    worker_parameters: &[&str],
    parameters: &mut Map<String, Value>,
) -> Result<()> {
    let scope = session.server_scope();
    refuse_operation(scope, name, effect, worker_parameters)?;
    if !scope.limits_tasks() {
        return Ok(());
    }
    let names_task = parameters.get("id").is_some_and(Value::is_string);
    if let Some(project) = &scope.project {
        for object in with_nested(parameters) {
            check_project(object.get("project"), project)?;
        }
        if WITH_PROJECT.contains(&name) && !names_task {
            parameters.insert("project".into(), project.as_str().into());
        }
        if let Some(Value::Object(query)) = parameters.get_mut("query") {
            query.insert("project".into(), project.as_str().into());
        }
    }
    if let Some(batch) = &scope.batch {
        if let Some(field) = ["parent", "project"].iter().find(|field| is_given(parameters.get(**field)))
            && name == "update_task"
        {
            return Err(Error::new(
                Code::Forbidden,
                format!("{field}: a server for one batch cannot move its tasks; leave it out"),
            ));
        }
        if WITH_BATCH.contains(&name) && !names_task {
            parameters
                .entry("batch")
                .and_modify(|value| select(value, batch))
                .or_insert(batch.as_str().into());
        }
        if name == "get_batch" {
            parameters.entry("id").and_modify(|value| select(value, batch)).or_insert(batch.as_str().into());
        }
    }
    let ids: Vec<(String, TaskId)> = with_nested(parameters).into_iter().flat_map(named_ids).collect();
    check_ids(session, ids)
}

fn select(value: &mut Value, batch: &TaskId) {
    if value.is_null() {
        *value = batch.as_str().into();
    }
}

fn is_given(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

/// The parameters, and the objects among them.
fn with_nested(parameters: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    let nested = parameters.values().filter_map(Value::as_object);
    [parameters].into_iter().chain(nested).collect()
}

fn named_ids(parameters: &Map<String, Value>) -> Vec<(String, TaskId)> {
    let mut found = Vec::new();
    for name in ID_PARAMETERS {
        let ids = match parameters.get(name) {
            Some(Value::String(id)) if !id.is_empty() => vec![id.clone()],
            Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => continue,
        };
        found.extend(ids.into_iter().map(|id| (name.to_owned(), TaskId::stored(id))));
    }
    found
}

fn check_project(given: Option<&Value>, allowed: &str) -> Result<()> {
    match given.and_then(Value::as_str) {
        Some(project) if project != allowed => Err(Error::new(
            Code::Forbidden,
            format!(
                "project: '{}' is outside of this server, which was started with --project '{}'; leave it out",
                excerpt(project),
                excerpt(allowed)
            ),
        )),
        _ => Ok(()),
    }
}

fn check_ids(session: &Session, ids: Vec<(String, TaskId)>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let scope = session.server_scope().clone();
    session.read(move |tx| {
        ids.iter().try_for_each(|(field, id)| {
            let is_inside = contains_id(tx, &scope, id)?;
            if is_inside {
                return Ok(());
            }
            // The same refusal whether or not there is such a task elsewhere.
            Err(Error::not_found(format!(
                "{field}: there is no task '{}' in {}",
                excerpt(id.as_str()),
                scope.shown()
            )))
        })
    })
}

fn contains_id(tx: &dyn StoreRead, scope: &ServerScope, id: &TaskId) -> Result<bool> {
    match tx.task(id) {
        Ok(task) => Ok(scope.contains(&task)),
        Err(error) if error.code == Code::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Checks that a task is inside the scope of the session's server.
///
/// # Errors
/// `not_found` if it is not, or does not exist.
pub fn check_in_scope(session: &Session, id: &TaskId) -> Result<()> {
    if session.server_scope().limits_tasks() {
        check_ids(session, vec![("id".into(), id.clone())])
    } else {
        Ok(())
    }
}

/// Those of the ids that are inside the scope of the session's server.
pub(in crate::ops) fn only_in_scope(
    session: &Session,
    tx: &dyn StoreRead,
    ids: Vec<TaskId>,
) -> Result<Vec<TaskId>> {
    let scope = session.server_scope();
    if !scope.limits_tasks() {
        return Ok(ids);
    }
    let mut inside = Vec::new();
    for id in ids {
        if contains_id(tx, scope, &id)? {
            inside.push(id);
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Parameters that select no task and no project.
    const OTHER: &str = "task_title title type status order priority priority_max due tags body assignee complexity \
        request_key receipts_after items_after limit ready since cursor effort context claim item outcome category model \
        tokens_in tokens_out cost force summary worker lease_seconds reason hours dry_run query instructions items source \
        key on_bad_item split max_chunk steps checkpoint review auto_approve_after resources on_conflict in_doubt \
        max_parallel max_attempts max_failures finish view chunks_after chunk chunks decision categories note reviewer \
        action retry replace_body next all batches_after part offset";

    #[test]
    fn each_parameter_is_known_as_an_id_a_project_or_neither() {
        let others: BTreeSet<&str> = OTHER.split_whitespace().collect();
        for entry in crate::ops::ALL {
            let input = (entry.input)();
            for name in input["properties"].as_object().into_iter().flat_map(Map::keys) {
                let is_known = name == "project"
                    || ID_PARAMETERS.contains(&name.as_str())
                    || others.contains(name.as_str());
                assert!(is_known, "{}: if {name} names tasks, add it to ID_PARAMETERS", entry.name);
            }
            let has_project = input["properties"].get("project").is_some();
            let is_limited = WITH_PROJECT.contains(&entry.name) || entry.name == "update_task";
            assert_eq!(has_project, is_limited, "{}: is it in WITH_PROJECT?", entry.name);
        }
    }
}
