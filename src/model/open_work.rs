//! The rule for completing a task.

use super::batch::{Batch, Chunk};
use super::id::TaskId;
use super::status::Status;
use super::task::Task;
use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;

/// The most tasks, open checkboxes or items that an error names.
pub const MAX_NAMED: usize = 10;

/// Work that is still open on a task.
#[derive(Debug, Default)]
pub struct OpenWork<'a> {
    /// Open checkboxes.
    pub open_checkboxes: Vec<&'a str>,
    /// The chunk, if the task is one, and the first keys of its items without a receipt.
    pub chunk: Option<(&'a Chunk, Vec<String>)>,
    /// The batch, if the task is one.
    pub batch: Option<&'a Batch>,
    /// The first children that have not ended.
    pub children: Vec<(TaskId, Status)>,
    /// How many children have not ended.
    pub children_count: u64,
    /// The tasks that must be done first and are not.
    pub dependencies: Vec<(TaskId, Status)>,
    /// The batch whose end a finish task waits for.
    pub awaited_batch: Option<TaskId>,
}

/// Checks that no work is open.
///
/// # Errors
/// `incomplete_items`, `open_dependencies` or `open_children`, with all the open work.
pub fn check_no_open_work(task: &Task, remaining: &OpenWork<'_>) -> Result<()> {
    let parts = [items(task, remaining), chunks(task, remaining), dependencies(task, remaining)];
    let more = [awaited_batch(task, remaining), children(task, remaining), checkboxes(task, remaining)];
    let found: Vec<(Code, String)> = parts.into_iter().chain(more).flatten().collect();
    let Some((code, _)) = found.first() else { return Ok(()) };
    let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
    Err(Error::new(*code, messages.join(" ")))
}

fn items(task: &Task, remaining: &OpenWork<'_>) -> Option<(Code, String)> {
    let (chunk, keys) = remaining.chunk.as_ref()?;
    let left = chunk.counts.total - chunk.counts.processed();
    let message = format!(
        "Chunk {} has {left} of {} items without a receipt: {}. Report each of them with update_task(item=KEY), then complete the chunk.",
        task.id,
        chunk.counts.total,
        list_names(keys.iter().map(|key| excerpt(key)), left)
    );
    (left > 0).then_some((Code::IncompleteItems, message))
}

fn chunks(task: &Task, remaining: &OpenWork<'_>) -> Option<(Code, String)> {
    let batch = remaining.batch.filter(|batch| batch.ended_chunks < batch.chunk_count)?;
    let message = format!(
        "Batch {} has {} of {} chunks that have not ended. The batch completes by itself when all of them have.",
        task.id,
        batch.chunk_count - batch.ended_chunks,
        batch.chunk_count
    );
    Some((Code::IncompleteItems, message))
}

fn dependencies(task: &Task, remaining: &OpenWork<'_>) -> Option<(Code, String)> {
    let count = remaining.dependencies.len() as u64;
    let message = format!(
        "Task {0} depends on {1} that {2} not done: {3}. Complete {4} first, or give it other dependencies: update_task(id=\"{0}\", depends_on=...).",
        task.id,
        counted(count, "task"),
        if count == 1 { "is" } else { "are" },
        list_names(remaining.dependencies.iter().map(with_status), count),
        if count == 1 { "it" } else { "them" },
    );
    (count > 0).then_some((Code::OpenDependencies, message))
}

fn awaited_batch(task: &Task, remaining: &OpenWork<'_>) -> Option<(Code, String)> {
    let batch = remaining.awaited_batch.as_ref()?;
    let message = format!(
        "Task {} finishes batch {batch}, which has not ended: get_batch(id=\"{batch}\") shows what is left.",
        task.id
    );
    Some((Code::OpenDependencies, message))
}

fn children(task: &Task, remaining: &OpenWork<'_>) -> Option<(Code, String)> {
    let count = remaining.children_count;
    let message = format!(
        "Task {} has {} that {} not ended: {}. Complete or cancel {} first.",
        task.id,
        if count == 1 { "1 child".to_owned() } else { format!("{count} children") },
        if count == 1 { "has" } else { "have" },
        list_names(remaining.children.iter().map(with_status), count),
        if count == 1 { "it" } else { "them" },
    );
    (count > 0).then_some((Code::OpenChildren, message))
}

fn checkboxes(task: &Task, remaining: &OpenWork<'_>) -> Option<(Code, String)> {
    let boxes = &remaining.open_checkboxes;
    let (count, first) = (boxes.len() as u64, boxes.first()?);
    let message = format!(
        "The text of task {} contains {count} open `- [ ]`: {}. Close each one that is done by a receipt that starts with its text, {}; force=true completes the task nevertheless.",
        task.id,
        list_names(boxes.iter().map(|text| excerpt(text)), count),
        tick_call(&task.id, first)
    );
    Some((Code::IncompleteItems, message))
}

/// The call that ticks a checkbox.
pub fn tick_call(task: &TaskId, text: &str) -> String {
    let text = excerpt(text).replace('"', "'");
    format!("update_task(id=\"{task}\", body=\"- [x] {text}\")")
}

/// A task with its status, as messages name it.
pub fn with_status((id, status): &(TaskId, Status)) -> String {
    format!("{id} ({status})")
}

/// The first names, and how many more there are.
pub fn list_names(names: impl Iterator<Item = String>, count: u64) -> String {
    let shown: Vec<String> = names.take(MAX_NAMED).collect();
    let more = count.saturating_sub(shown.len() as u64);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;

    #[test]
    fn a_refusal_names_all_open_work_and_has_the_code_of_the_first() {
        let task = Task::new(Timestamp::from_millis(0), "t");
        let id = |name: &str| TaskId::stored(name.to_owned());
        let check = |remaining: &OpenWork<'_>, code: Code, parts: &[&str]| {
            let error = check_no_open_work(&task, remaining).unwrap_err();
            assert_eq!(error.code, code, "{error}");
            for part in parts {
                assert!(error.message.contains(part), "{part}: {error}");
            }
        };
        assert!(check_no_open_work(&task, &OpenWork::default()).is_ok());
        let children = OpenWork {
            children: vec![(id("a"), Status::Active), (id("b"), Status::InProgress)],
            children_count: 12,
            open_checkboxes: vec!["push"],
            ..OpenWork::default()
        };
        let parts =
            ["12 children that have not ended: a (active), b (in_progress) and 10 more", "`- [ ]`: push"];
        check(&children, Code::OpenChildren, &parts);
        let dependency = OpenWork { dependencies: vec![(id("c"), Status::Cancelled)], ..OpenWork::default() };
        check(&dependency, Code::OpenDependencies, &["1 task that is not done: c (cancelled)"]);
        let finish = OpenWork { awaited_batch: Some(id("d")), ..OpenWork::default() };
        check(&finish, Code::OpenDependencies, &["finishes batch d"]);
    }
}
