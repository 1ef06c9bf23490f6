//! A task as callers see it, and the reply of an operation that changes one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page_bytes::json_bytes;
use super::shorten::shorten_to;
use super::written_receipt::ReceiptView;
use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::limits::PREVIEW_CHARS;
use crate::model::task::Task;
use crate::ops::request::idempotency::Repeatable;
use crate::store::StoreRead;

/// The most bytes of one list or text in the reply to a write. A longer one is left out, because a part of it would be
/// taken for the whole.
const FIELD_BYTES: usize = 300;

/// The most bytes of a list in a reply that reads tasks: titles and names can be long as well, and a page has many tasks.
pub(in crate::ops) const LISTED_BYTES: usize = 1_000;
/// The most bytes of a category in the reply to an item's receipt.
const CATEGORY_BYTES: usize = 60;
/// The most characters of a title that is too long.
const SHORT_TITLE_CHARS: usize = 80;

/// A task in a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// The task's id.
    pub id: String,
    /// The task's title.
    pub title: String,
    /// The task's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The task's status.
    pub status: String,
    /// 0 (critical) to 4.
    pub priority: i64,
    /// The task's project.
    pub project: Option<String>,
    /// The id of the parent task.
    pub parent: Option<String>,
    /// The ids of tasks that must be done first.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// The ids of tasks that should be done first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub soft_depends_on: Vec<String>,
    /// The batch that the task finishes: it becomes ready when every chunk has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finishes: Option<String>,
    /// The worker that the task is assigned to.
    pub assignee: Option<String>,
    /// The position among its siblings.
    pub order: i64,
    /// When the task is due.
    pub due: Option<String>,
    /// The task's tags.
    pub tags: Vec<String>,
    /// The estimated effort.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub effort: Option<String>,
    /// The place or tool that the work needs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context: Option<String>,
    /// How much judgment the work needs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub complexity: Option<String>,
    /// When the task was created.
    pub created: String,
    /// When the task last changed.
    pub updated: String,
    /// The body, or the start of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
    /// The number of receipts in the body. `get_task` has the receipts themselves under this name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipts: Option<u64>,
    /// The fields that are too long for this reply, and so are not as they are stored; get_task shows them, the longest
    /// ones with `part`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_out: Vec<String>,
}

impl TaskView {
    /// A task without its body.
    pub(in crate::ops) fn compact(tx: &dyn StoreRead, task: &Task) -> Result<Self> {
        let (soft, hard): (Vec<_>, Vec<_>) = tx.dependencies(task)?.into_iter().partition(|(_, soft)| *soft);
        // A finish task waits for its batch by a hold: the dependency stands in the store only so that both are found.
        let mut finishes = None;
        for (id, _) in &soft {
            let batch = tx.task(id)?;
            if batch.is_batch && tx.batch(batch.row)?.is_some_and(|batch| batch.finish_row == Some(task.row))
            {
                finishes = Some(id.clone());
            }
        }
        let soft = soft.into_iter().filter(|(id, _)| finishes.as_ref() != Some(id)).collect();
        let ids = |ids: Vec<(TaskId, bool)>| ids.into_iter().map(|(id, _)| id.as_str().to_owned()).collect();
        Ok(TaskView {
            id: task.id.as_str().to_owned(),
            title: task.title.clone(),
            kind: task.task_type.to_string(),
            status: task.status.to_string(),
            priority: task.priority,
            project: task.project.clone(),
            parent: task.parent.as_ref().map(|id| id.as_str().to_owned()),
            depends_on: ids(hard),
            soft_depends_on: ids(soft),
            finishes: finishes.map(|id| id.to_string()),
            assignee: task.assignee.clone(),
            order: task.order,
            due: task.due.map(|due| due.to_string()),
            tags: task.tags.clone(),
            effort: task.effort.clone(),
            context: task.context.clone(),
            complexity: task.complexity.map(|complexity| complexity.to_string()),
            created: task.created.to_string(),
            updated: task.updated.to_string(),
            body: None,
            receipts: Some(task.receipt_count),
            left_out: Vec::new(),
        })
    }

    /// A task with the start of its body.
    pub(in crate::ops) fn listed(tx: &dyn StoreRead, task: &Task) -> Result<Self> {
        let body = tx.body_start(task.row, PREVIEW_CHARS + 1)?.shown(PREVIEW_CHARS);
        let mut view = TaskView { body: Some(body), ..TaskView::compact(tx, task)? };
        view.leave_out_long_lists(LISTED_BYTES);
        Ok(view)
    }

    /// Leaves out lists of more than `max_bytes` and names them.
    pub(in crate::ops) fn leave_out_long_lists(&mut self, max_bytes: usize) {
        for (name, list) in [
            ("depends_on", &mut self.depends_on),
            ("soft_depends_on", &mut self.soft_depends_on),
            ("tags", &mut self.tags),
        ] {
            if json_bytes(list) > max_bytes {
                list.clear();
                self.left_out.push(name.to_owned());
            }
        }
    }

    /// Leaves out long fields and names them, so that the reply to a write stays small and never misreports.
    pub(in crate::ops) fn leave_out_long_fields(&mut self) {
        self.leave_out_long_lists(FIELD_BYTES);
        for (name, text) in [
            ("project", &mut self.project),
            ("assignee", &mut self.assignee),
            ("effort", &mut self.effort),
            ("context", &mut self.context),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > FIELD_BYTES) {
                *text = None;
                self.left_out.push(name.to_owned());
            }
        }
        // A task always has a title: its start ends in an ellipsis.
        if self.title.len() > FIELD_BYTES {
            self.title = shorten_to(std::mem::take(&mut self.title), SHORT_TITLE_CHARS);
            self.left_out.push("title".to_owned());
        }
    }
}

/// The end of the message of a reply that lists tasks: how to read fields that are left out.
pub(in crate::ops) fn left_out_note(tasks: &[TaskView]) -> &'static str {
    if tasks.iter().all(|task| task.left_out.is_empty()) {
        return "";
    }
    "; fields in left_out are too long for a list: get_task(id, part=FIELD) returns them"
}

/// The reply of an operation that changes one task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskReply {
    /// Whether the request was fulfilled.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Whether this is the stored response to an earlier request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate: Option<bool>,
    /// The task, without its body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<TaskView>,
    /// The fields that changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub modified_fields: Option<Vec<String>>,
    /// The receipt that was appended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<ReceiptView>,
    /// After an item's receipt: the number of items of the chunk without an outcome. Items that were only started are
    /// among them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub items_left: Option<u64>,
    /// How many of those items were started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub items_started: Option<u64>,
    /// After an item's receipt: when the claim ends unless a write renews it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<String>,
}

impl TaskReply {
    /// A success with its message and the task.
    pub(in crate::ops) fn new(message: impl Into<String>, task: Option<TaskView>) -> Self {
        let mut message = message.into();
        let task = task.map(|mut task| {
            task.leave_out_long_fields();
            if !task.left_out.is_empty() {
                let fields = task.left_out.join(", ");
                message +=
                    &format!("; too long for this reply: {fields}; get_task(id=\"{}\") shows them", task.id);
            }
            task
        });
        TaskReply {
            success: true,
            message,
            duplicate: None,
            task,
            modified_fields: None,
            receipt: None,
            items_left: None,
            items_started: None,
            expires_at: None,
        }
    }

    /// The short reply to an item's receipt: a worker gets one for each item.
    pub(in crate::ops) fn of_item(
        mut message: String,
        mut receipt: ReceiptView,
        started: u64,
        after: &Task,
    ) -> Self {
        if receipt.category.as_ref().is_some_and(|category| category.len() > CATEGORY_BYTES) {
            receipt.category = None;
            message += "; its category is stored, and too long for this reply";
        }
        TaskReply {
            duplicate: receipt.duplicate.then_some(true),
            items_left: receipt.items_left,
            items_started: Some(started).filter(|count| *count > 0),
            expires_at: after.claim.as_ref().map(|claim| claim.expires_at.to_string()),
            receipt: Some(receipt),
            ..TaskReply::new(message, None)
        }
    }
}

impl Repeatable for TaskReply {
    fn mark_repeated(&mut self) {
        self.duplicate = Some(true);
        if let Some(receipt) = &mut self.receipt {
            receipt.duplicate = true;
        }
    }
}
