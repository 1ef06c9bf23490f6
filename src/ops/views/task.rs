//! Tasks as callers see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::limits::PREVIEW_CHARS;
use crate::model::task::Task;
use crate::ops::request::idempotency::Repeatable;
use crate::store::Read;

/// A task on the wire.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its status.
    pub status: String,
    /// 0 (critical) to 4.
    pub priority: i64,
    /// Its project.
    pub project: Option<String>,
    /// The task it is part of.
    pub parent: Option<String>,
    /// What has to be done before.
    pub depends_on: Vec<String>,
    /// What is better done before.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub soft_depends_on: Vec<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// Where it stands among its siblings.
    pub order: i64,
    /// When it is due.
    pub due: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// How much work it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub effort: Option<String>,
    /// Where or with what it is done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context: Option<String>,
    /// How much judgment it takes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub complexity: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it last changed.
    pub updated: String,
    /// The body, or its beginning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
    /// How many receipts the body has.
    pub receipts: u64,
}

impl TaskView {
    /// A task without its body.
    pub(in crate::ops) fn compact(tx: &dyn Read, task: &Task) -> Result<Self> {
        let (soft, hard): (Vec<_>, Vec<_>) = tx.dependencies(task)?.into_iter().partition(|(_, soft)| *soft);
        let ids =
            |needs: Vec<(TaskId, bool)>| needs.into_iter().map(|(id, _)| id.as_str().to_owned()).collect();
        Ok(TaskView {
            id: task.id.as_str().to_owned(),
            title: task.title.clone(),
            kind: task.kind.to_string(),
            status: task.status.to_string(),
            priority: task.priority,
            project: task.project.clone(),
            parent: task.parent.as_ref().map(|id| id.as_str().to_owned()),
            depends_on: ids(hard),
            soft_depends_on: ids(soft),
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
            receipts: task.receipts,
        })
    }

    /// A task with the beginning of its body.
    pub(in crate::ops) fn listed(tx: &dyn Read, task: &Task) -> Result<Self> {
        let mut preview = tx.preview(task.row, PREVIEW_CHARS + 1)?;
        if let Some((end, _)) = preview.char_indices().nth(PREVIEW_CHARS) {
            preview.truncate(end);
            preview.push('…');
        }
        Ok(TaskView { body: Some(preview), ..TaskView::compact(tx, task)? })
    }

    /// Cuts a long title and drops what a write's reply has no room for.
    pub(in crate::ops) fn cut_title(&mut self) {
        if let Some((end, _)) = self.title.char_indices().nth(80) {
            self.title.truncate(end);
            self.title.push('…');
        }
        if self.depends_on.len() > 3 {
            self.depends_on.truncate(3);
        }
        self.soft_depends_on.clear();
        self.tags.truncate(3);
        self.effort = None;
        self.context = None;
    }
}

/// What a receipt became.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptView {
    /// Its number in the task's body.
    pub number: u64,
    /// Whether it was there already.
    pub duplicate: bool,
    /// Whether it came with a lost claim: kept, not counted.
    pub late: bool,
    /// How many items of the chunk have no outcome yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub items_left: Option<u64>,
}

/// The reply to a write of one task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TaskReply {
    /// Whether it was done.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Whether the same request was answered before.
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
}

impl TaskReply {
    /// A success.
    pub(in crate::ops) fn new(message: impl Into<String>, task: Option<TaskView>) -> Self {
        let task = task.map(|mut task| {
            task.cut_title();
            task
        });
        TaskReply {
            success: true,
            message: message.into(),
            duplicate: None,
            task,
            modified_fields: None,
            receipt: None,
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
