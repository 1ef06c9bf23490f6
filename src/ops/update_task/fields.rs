//! The fields that an update changes: everything but status and body.

use super::UpdateTask;
use crate::error::{Code, Error, Result};
use crate::model::claim_rules::check_state_change;
use crate::model::id::TaskId;
use crate::model::limits::{Order, Priority};
use crate::model::status::{Complexity, Status, TaskType};
use crate::model::task::{RowId, Task};
use crate::model::text::LineText;
use crate::ops::lifecycle::dependencies::refuse_cycle;
use crate::ops::request::fields::{Clearable, parse_due, parse_tags};
use crate::ops::request::lookup::{find_parent, find_rows};
use crate::store::StoreWrite;

impl UpdateTask {
    /// Changes the fields that the request sets. Returns their names.
    pub(super) fn change_fields(&self, tx: &dyn StoreWrite, before: &Task) -> Result<Vec<&'static str>> {
        let mut task = before.clone();
        let mut modified = Vec::new();
        if let Some(title) = &self.task_title {
            let Some(title) = title.non_empty() else {
                return Err(Error::invalid("task_title: '' is not allowed, a title cannot be cleared"));
            };
            title.clone_into(&mut task.title);
            modified.push("task_title");
        }
        macro_rules! set {
            ($field:ident, $name:literal, $value:expr) => {
                if let Some(value) = &self.$field {
                    task.$field = $value(value);
                    modified.push($name);
                }
            };
        }
        set!(task_type, "type", |value: &TaskType| *value);
        set!(priority, "priority", |value: &Priority| value.get());
        set!(order, "order", |value: &Order| value.get());
        set!(complexity, "complexity", |value: &Clearable<Complexity>| value.0);
        let text = |value: &LineText| value.non_empty().map(str::to_owned);
        set!(project, "project", text);
        set!(effort, "effort", text);
        set!(context, "context", text);
        // In a claim, the assignee is the worker that claims.
        if self.status != Some(Status::InProgress)
            && let Some(assignee) = &self.assignee
        {
            check_state_change(before, self.claim.as_ref(), tx.now())?;
            task.assignee = text(assignee);
            modified.push("assignee");
        }
        if let Some(due) = &self.due {
            task.due = due.non_empty().map(parse_due).transpose()?;
            modified.push("due");
        }
        if let Some(list) = &self.tags {
            task.tags = parse_tags(list)?;
            modified.push("tags");
        }
        if let Some(parent) = &self.parent {
            task.parent_row = new_parent(tx, before, parent)?;
            modified.push("parent");
        }
        // Workers pass their name as assignee with every receipt: unchanged fields are not written again.
        if task != *before {
            tx.update_fields(before, &task)?;
        }
        for (ids, soft, name) in
            [(&self.depends_on, false, "depends_on"), (&self.soft_depends_on, true, "soft_depends_on")]
        {
            if let Some(ids) = ids {
                replace_dependencies(tx, before, ids, soft, name)?;
                modified.push(name);
            }
        }
        Ok(modified)
    }
}

fn replace_dependencies(
    tx: &dyn StoreWrite,
    task: &Task,
    ids: &[TaskId],
    soft: bool,
    field: &str,
) -> Result<()> {
    let rows = find_rows(tx, ids, field)?;
    if rows.contains(&task.row) {
        return Err(Error::new(Code::Conflict, format!("{field}: a task cannot depend on itself")));
    }
    // The check sees the new dependencies: a child that depends on its parent comes after it. A refusal rolls back.
    tx.set_dependencies(task.row, &rows, soft)?;
    refuse_cycle(tx, (task.row, task.id.as_str()), &rows, field)?;
    tx.recount_blockers(task.row)
}

/// The row of the new parent; `None` if `parent` is empty, which clears it.
fn new_parent(tx: &dyn StoreWrite, task: &Task, parent: &str) -> Result<Option<RowId>> {
    if task.is_chunk {
        return Err(Error::invalid(format!(
            "parent: the parent of chunk {} is its batch and cannot be changed",
            task.id
        )));
    }
    if parent.is_empty() {
        return Ok(None);
    }
    let id: TaskId = parent.parse().map_err(|reason: String| Error::invalid(format!("parent: {reason}")))?;
    if id == task.id {
        return Err(Error::new(Code::Conflict, "parent: a task cannot be its own parent"));
    }
    let parent = find_parent(tx, &id)?;
    if tx.is_self_or_descendant(parent.row, task.row)? {
        return Err(Error::new(
            Code::Conflict,
            format!("parent: {id} is a descendant of {0}, so it cannot be the parent of {0}", task.id),
        ));
    }
    let comes_after = tx.dependencies(task)?.iter().any(|(dependency, _)| *dependency == id);
    if !comes_after && tx.depends_transitively(task.row, parent.row)? {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "parent: {0} waits for {id} already, through its dependencies or its children, and {id} would wait for its child {0}; in a cycle neither could be completed",
                task.id
            ),
        ));
    }
    Ok(Some(parent.row))
}
