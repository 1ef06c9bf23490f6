//! The tables and columns of a store: the one list that exports and imports use. A test compares it with the schema, so
//! that nothing that a migration adds is forgotten.

use std::str::FromStr;

use crate::model::author::AuthorKind;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::status::{Complexity, ItemReport, Outcome, Status, TaskType};
use crate::model::step::{Checkpoint, Decision, Reviewers};
use crate::model::text::check_line;

/// The content of a column, which decides its form in a line.
#[derive(Clone, Copy)]
pub(in crate::store) enum ColumnKind {
    /// A text.
    Text,
    /// A text that the function has to accept: one of an enum's words, an id, or a name of one line.
    Word(fn(&str) -> Result<(), String>),
    /// A number.
    Number,
    /// A number that exports of earlier schemas lack; 0 in them.
    LaterNumber,
    /// One of an enum's words that exports of earlier schemas lack; the second value in them.
    LaterWord(fn(&str) -> Result<(), String>, &'static str),
    /// 0 or 1, written as false or true.
    Flag,
    /// Milliseconds since 1970, written as a time.
    Time,
    /// JSON text, written as JSON.
    Json,
    /// Bytes, written as hexadecimal digits.
    Bytes,
    /// The row of a task, written as the task's id.
    Task,
}

/// A column's name and content.
pub(in crate::store) type Column = (&'static str, ColumnKind);

/// A table. Its name is the type of its lines.
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// The columns that its lines are ordered by.
    pub(in crate::store) order: &'static str,
    pub(in crate::store) columns: &'static [Column],
}

/// How a column is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Storage {
    /// A number of 64 bits.
    Number,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

impl ColumnKind {
    /// How a column of this content is stored.
    pub(in crate::store) fn storage(self) -> Storage {
        match self {
            Text | Word(_) | LaterWord(..) | Json => Storage::Text,
            Bytes => Storage::Bytes,
            Number | LaterNumber | Flag | Time | Task => Storage::Number,
        }
    }
}

fn is<T: FromStr<Err = String>>(word: &str) -> Result<(), String> {
    word.parse::<T>().map(|_| ())
}

use ColumnKind::{Bytes, Flag, Json, LaterNumber, LaterWord, Number, Task, Text, Time, Word};

/// Every table that is exported, each after the tables that it refers to.
pub(in crate::store) const TABLES: &[Table] = &[
    Table {
        name: "task",
        order: "row_id",
        columns: &[
            ("row_id", Number),
            ("id", Word(is::<TaskId>)),
            ("title", Word(check_line)),
            ("type", Word(is::<TaskType>)),
            ("status", Word(is::<Status>)),
            ("priority", Number),
            ("position", Number),
            ("project", Word(check_line)),
            ("parent", Task),
            ("assignee", Word(check_line)),
            ("due_at", Time),
            ("tags", Json),
            ("effort", Word(check_line)),
            ("context", Text),
            ("complexity", Word(is::<Complexity>)),
            ("role", Text),
            ("initial_text", Text),
            ("has_checkbox", Flag),
            ("receipt_count", Number),
            ("blocker_count", Number),
            ("dependency_count", Number),
            ("hold_count", Number),
            ("held_until", Time),
            ("created_at", Time),
            ("updated_at", Time),
            ("change_number", Number),
            ("status_changed", Number),
            ("generation", Number),
            ("claim_worker", Word(check_line)),
            ("claim_token", Text),
            ("claimed_at", Time),
            ("expires_at", Time),
            ("lease_seconds", Number),
            ("content_hash", Bytes),
        ],
    },
    Table {
        name: "task_count",
        order: "project, queue_state, type, priority",
        columns: &[
            ("project", Word(check_line)),
            ("queue_state", Text),
            ("type", Word(is::<TaskType>)),
            ("priority", Number),
            ("count", Number),
        ],
    },
    Table {
        name: "dependency",
        order: "task, soft, depends_on",
        columns: &[("task", Task), ("depends_on", Task), ("soft", Flag), ("position", Number)],
    },
    Table {
        name: "receipt",
        order: "row_id",
        columns: &[
            ("row_id", Number),
            ("task", Task),
            ("number", Number),
            ("created_at", Time),
            ("author", Word(check_line)),
            ("text", Text),
            ("item_key", Word(check_line)),
            ("outcome", Word(is::<ItemReport>)),
            ("category", Word(check_line)),
            ("late", Flag),
            ("step_name", Word(check_line)),
            ("model", Word(check_line)),
            ("tokens_in", Number),
            ("tokens_out", Number),
            ("cost_millionths", Number),
            ("hash", Bytes),
            ("author_kind", Word(is::<AuthorKind>)),
            ("decision", Word(is::<Decision>)),
        ],
    },
    Table {
        name: "batch",
        order: "task",
        columns: &[
            ("task", Task),
            ("instructions", Text),
            ("key_field", Text),
            ("split", Text),
            ("max_chunk", Number),
            ("max_parallel", Number),
            ("max_attempts", Number),
            ("command", Json),
            ("chunks_total", Number),
            ("chunks_ended", Number),
            ("chunks_unsuccessful", Number),
            ("items_total", Number),
            ("items_done", Number),
            ("items_failed", Number),
            ("items_skipped", Number),
            ("started_at", Time),
            ("steps", Json),
            ("checkpoint", Word(is::<Checkpoint>)),
            ("auto_approve_after", Number),
            ("approvals_in_a_row", Number),
            ("max_failures", Text),
            ("failures_at_resume", Number),
            ("pause_reason", Text),
            ("finish_task", Task),
            ("in_doubt_policy", Word(is::<InDoubtPolicy>)),
            ("worker_profile", Word(check_line)),
            ("on_conflict", Word(is::<OnConflict>)),
            ("resource_fields", Json),
            ("accepted_failures", LaterNumber),
            ("review", LaterWord(is::<Reviewers>, "any")),
            ("items_bytes", LaterNumber),
        ],
    },
    Table {
        name: "chunk",
        order: "task",
        columns: &[
            ("task", Task),
            ("batch", Task),
            ("number", Number),
            ("span", Word(check_line)),
            ("attempts", Number),
            ("items_total", Number),
            ("items_done", Number),
            ("items_failed", Number),
            ("items_skipped", Number),
            ("step_index", Number),
            ("review_note", Text),
            ("accepted_generation", Number),
            ("release_reasons", Text),
            ("items_hash", Bytes),
        ],
    },
    Table {
        name: "item",
        order: "chunk, position",
        columns: &[
            ("chunk", Task),
            ("position", Number),
            ("batch", Task),
            ("key", Word(check_line)),
            ("fields", Json),
            ("outcome", Word(is::<Outcome>)),
            ("category", Word(check_line)),
            ("receipt_number", Number),
            ("step_index", Number),
            ("started_receipt", Number),
            ("started_generation", Number),
        ],
    },
    Table {
        name: "earlier_outcome",
        order: "chunk, position, step_index",
        columns: &[
            ("chunk", Task),
            ("position", Number),
            ("step_index", Number),
            ("outcome", Word(is::<Outcome>)),
            ("category", Word(check_line)),
            ("receipt_number", Number),
        ],
    },
    Table {
        name: "category_count",
        order: "task, category",
        columns: &[("task", Task), ("category", Word(check_line)), ("count", Number)],
    },
    Table {
        name: "cost_total",
        order: "task, grouped_by, group_name",
        columns: &[
            ("task", Task),
            ("grouped_by", Text),
            ("group_name", Word(check_line)),
            ("tokens_in", Number),
            ("tokens_out", Number),
            ("cost_millionths", Number),
        ],
    },
    Table {
        name: "batch_receipt",
        order: "batch, change_number",
        columns: &[("batch", Task), ("change_number", Number), ("receipt", Number)],
    },
    Table {
        name: "resource_block",
        order: "batch, layer, last_key",
        columns: &[("batch", Task), ("layer", Number), ("last_key", Text), ("entries", Text)],
    },
    Table {
        name: "shared_resource",
        order: "chunk, resource_key, project",
        columns: &[
            ("chunk", Task),
            ("resource_key", Text),
            ("descendants_only", Flag),
            ("project", Word(check_line)),
        ],
    },
    Table {
        name: "resource_in_use",
        order: "project, resource_key, chunk",
        columns: &[
            ("project", Word(check_line)),
            ("resource_key", Text),
            ("chunk", Task),
            ("descendants_only", Flag),
        ],
    },
    Table {
        name: "stored_response",
        order: "request_key",
        columns: &[
            ("request_key", Text),
            ("operation", Text),
            ("fingerprint", Bytes),
            ("response", Json),
            ("created_at", Time),
        ],
    },
    Table {
        name: "wait",
        order: "handle",
        columns: &[
            ("handle", Text),
            ("batch", Task),
            ("client", Text),
            ("created_at", Time),
            ("updated_at", Time),
            ("end_reported_at", Time),
            ("cancelled_at", Time),
            ("last_answer_result", Text),
            ("since_change", LaterNumber),
            ("can_ask", LaterNumber),
        ],
    },
    Table {
        name: "wait_question",
        order: "handle, question",
        columns: &[("handle", Text), ("question", Text), ("failed_answers", Number), ("declined", Flag)],
    },
    Table { name: "paused_profile", order: "name", columns: &[("name", Text), ("reason", Text)] },
];

/// The rows of `task` that are reserved for batches that are not visible yet. They are copied to leave out what belongs to
/// them, and never exported.
pub(in crate::store) const UNPUBLISHED: Table = Table {
    name: "unpublished",
    order: "first_row",
    columns: &[("first_row", Number), ("row_count", Number), ("batch", Number), ("layer", Number)],
};

/// Tables that are not exported, and why.
#[cfg(test)]
pub(in crate::store) const NOT_EXPORTED: &[(&str, &str)] = &[
    ("runner", "processes of this machine; on another machine their run markers would be wrong"),
    ("worker_start", "worker starts on this machine in the last minute"),
    ("task_text", "search index; the import rebuilds it"),
    ("receipt_text", "search index; the import rebuilds it"),
    ("search_progress", "progress of the search index"),
    ("item_key", "index of the items' keys; the import rebuilds it"),
    ("asked_question", "open forms of clients; they are asked again under another key"),
    ("unpublished", "rows that are reserved for a batch that is not visible yet"),
    ("unpublished_chunk", "chunks that are not visible yet"),
];
