//! Dependencies between tasks: no cycles, and a word about the tasks that an ended one leaves behind.

use crate::error::{Code, Error, Result};
use crate::model::open_work::{list_names, with_status};
use crate::model::status::Status;
use crate::model::task::{RowId, Task};
use crate::store::StoreRead;

/// The most dependents that are read to be named.
const MAX_READ: usize = 100;

/// Refuses dependencies that wait for the task in this row themselves; the refusal calls the task by this name. A task waits for its dependencies
/// and for its children, except for children that depend on it: those are meant to come after it.
///
/// # Errors
/// `conflict`.
pub(in crate::ops) fn refuse_cycle(
    tx: &dyn StoreRead,
    (row, name): (RowId, &str),
    dependencies: &[RowId],
    field: &str,
) -> Result<()> {
    for dependency in dependencies {
        if tx.depends_transitively(*dependency, row)? {
            let message = format!(
                "{field}: {} waits for {name} already, through its dependencies or its children; in a cycle neither could be completed",
                tx.task_by_row(*dependency)?.id
            );
            return Err(Error::new(Code::Conflict, message));
        }
    }
    Ok(())
}

/// The end of a reply's message if the task has ended without being done and other tasks depend on it: they can not
/// become ready any more.
pub(in crate::ops) fn stranded_note(tx: &dyn StoreRead, task: &Task) -> Result<String> {
    if !task.status.is_terminal() || task.status == Status::Done {
        return Ok(String::new());
    }
    let mut stranded = Vec::new();
    for row in tx.hard_dependents(task.row)?.into_iter().take(MAX_READ) {
        let dependent = tx.task_by_row(row)?;
        if !dependent.status.is_terminal() {
            stranded.push((dependent.id, dependent.status));
        }
    }
    let Some((first, _)) = stranded.first() else { return Ok(String::new()) };
    let (them, depends) = if stranded.len() == 1 { ("it", "task depends") } else { ("them", "tasks depend") };
    Ok(format!(
        "; {} {depends} on it and cannot become ready: {}. Give {them} other dependencies, update_task(id=\"{first}\", depends_on=...), or cancel {them}",
        stranded.len(),
        list_names(stranded.iter().map(with_status), stranded.len() as u64),
    ))
}
