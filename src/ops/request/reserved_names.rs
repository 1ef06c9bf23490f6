//! Refuses the names of Tasktally itself and of persons as names that an agent writes under.

use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::model::author::is_system_name;
use crate::model::text::excerpt;
use crate::ops::{Operation, Session};

/// Checks the name that the arguments of a call write under, if an agent calls.
///
/// # Errors
/// `forbidden` if the name reads like the server's or a person's.
pub(in crate::ops) fn check_names<O: Operation>(session: &Session, arguments: &Value) -> Result<()> {
    check(session, O::NAME, arguments)
}

/// Not generic, so that it is compiled once for all operations.
fn check(session: &Session, operation: &str, arguments: &Value) -> Result<()> {
    let is_given = |field: &&str| arguments.get(*field).is_some_and(|value| !value.is_null());
    let field = match operation {
        "claim_task" => "worker",
        "update_task" | "create_task" => "assignee",
        _ => return Ok(()),
    };
    // An agent that supervises can assign a task to a person; only what is written under the name counts. A worker has no
    // task of others to assign.
    let is_worker = session.works_one_chunk() || session.server_scope().worker_tools;
    let writes =
        field == "worker" || operation == "update_task" && ["status", "body", "item"].iter().any(is_given);
    let only_assigns = !writes && !is_worker;
    let Some(name) = arguments.get(field).and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    if !session.author().is_agent() {
        return Ok(());
    }
    let whose = if is_system_name(name) {
        "tasktally itself"
    } else if only_assigns {
        return Ok(());
    } else {
        let on_record = session.read(|tx| tx.person_names())?;
        if !session.author().reads_like_person(name, &on_record) {
            return Ok(());
        }
        "a person"
    };
    Err(Error::new(
        Code::Forbidden,
        format!(
            "{field}: '{}' is the name of {whose}, and an agent cannot write under it; choose a name of your own, such as worker-1",
            excerpt(name)
        ),
    ))
}
