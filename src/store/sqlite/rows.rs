//! Conversion of rows to values, and of SQLite's errors to ours.

use rusqlite::types::Type;
use rusqlite::{ErrorCode, Row as SqlRow};

use crate::error::{Code, Error};
use crate::model::batch::{Batch, Chunk, ItemCounts, Settled, StoredItem};
use crate::model::body::BodyStart;
use crate::model::claim::Claim;
use crate::model::cost::{Cost, Money};
use crate::model::id::{TaskId, Token};
use crate::model::in_doubt::StartedReport;
use crate::model::receipt::Receipt;
use crate::model::step::Steps;
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;

/// The columns that [`task`] reads, for a table named `t`.
macro_rules! task_columns {
    () => {
        "t.row_id, t.id, t.title, t.type, t.status, t.priority, t.position, t.project, t.parent, t.assignee, t.due_at, \
         t.tags, t.effort, t.context, t.complexity, t.role, t.has_checkbox, t.receipt_count, t.blocker_count, \
         t.created_at, t.updated_at, t.change_number, t.generation, t.claim_worker, t.claim_token, t.claimed_at, \
         t.expires_at, t.lease_seconds, (SELECT p.id FROM task p WHERE p.row_id = t.parent), t.dependency_count, \
         t.hold_count, t.held_until"
    };
}
pub(super) use task_columns;

pub(super) fn word<T: std::str::FromStr<Err = String>>(
    row: &SqlRow<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|error: String| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

fn optional_word<T: std::str::FromStr<Err = String>>(
    row: &SqlRow<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => word(row, column).map(Some),
    }
}

pub(super) fn moment(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn optional_moment(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column).map(|millis| millis.map(Timestamp::from_millis))
}

/// A list of texts as a JSON array, for `json_each` in SQL.
pub(super) fn list(values: &[String]) -> String {
    serde_json::Value::from(values).to_string()
}

/// The same; NULL for an empty list, which selects everything.
pub(super) fn some_list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| list(values))
}

pub(super) fn json<T: serde::de::DeserializeOwned>(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// The id of a task.
pub(super) fn task_id(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<TaskId> {
    TaskId::from_store(row.get(column)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// The id of a task in the column `id`.
pub(super) fn named_task_id(row: &SqlRow<'_>) -> rusqlite::Result<TaskId> {
    task_id(row, row.as_ref().column_index("id")?)
}

pub(super) fn task(row: &SqlRow<'_>) -> rusqlite::Result<Task> {
    let role: String = row.get(15)?;
    let worker: Option<String> = row.get(23)?;
    let claim = match worker {
        None => None,
        Some(worker) => Some(Claim {
            worker,
            token: row.get::<_, Option<String>>(24)?.map(Token::stored),
            claimed_at: moment(row, 25)?,
            expires_at: moment(row, 26)?,
            lease_seconds: row.get(27)?,
        }),
    };
    Ok(Task {
        row: row.get(0)?,
        id: task_id(row, 1)?,
        title: row.get(2)?,
        task_type: word(row, 3)?,
        status: word(row, 4)?,
        priority: row.get(5)?,
        order: row.get(6)?,
        project: row.get(7)?,
        parent_row: row.get(8)?,
        parent: row.get::<_, Option<String>>(28)?.map(|_| task_id(row, 28)).transpose()?,
        assignee: row.get(9)?,
        due: optional_moment(row, 10)?,
        tags: json(row, 11)?,
        effort: row.get(12)?,
        context: row.get(13)?,
        complexity: optional_word(row, 14)?,
        is_chunk: role == "chunk",
        is_batch: role == "batch",
        has_checkbox: row.get(16)?,
        receipt_count: row.get(17)?,
        has_dependencies: row.get::<_, i64>(29)? > 0,
        hold_count: row.get(30)?,
        backoff_until: optional_moment(row, 31)?,
        blocker_count: row.get(18)?,
        created: moment(row, 19)?,
        updated: moment(row, 20)?,
        change_number: row.get(21)?,
        generation: row.get(22)?,
        claim,
    })
}

/// The columns that [`receipt`] reads, for a table named `r`.
macro_rules! receipt_columns {
    () => {
        "r.number, r.created_at, r.author, r.text, r.item_key, r.outcome, r.category, r.late, r.step_name, r.model, \
         r.tokens_in, r.tokens_out, r.cost_millionths, r.author_kind, r.decision"
    };
}
pub(super) use receipt_columns;

/// See [`receipt_columns`].
pub(super) fn receipt(row: &SqlRow<'_>) -> rusqlite::Result<Receipt> {
    Ok(Receipt {
        number: row.get(0)?,
        at: moment(row, 1)?,
        author: row.get(2)?,
        text: row.get(3)?,
        item: row.get(4)?,
        outcome: optional_word(row, 5)?,
        category: row.get(6)?,
        late: row.get(7)?,
        step: row.get(8)?,
        cost: Cost {
            model: row.get(9)?,
            tokens_in: row.get(10)?,
            tokens_out: row.get(11)?,
            cost: row.get::<_, Option<i64>>(12)?.map(Money::from_millionths),
        },
        author_kind: optional_word(row, 13)?,
        decision: optional_word(row, 14)?,
    })
}

/// Reads the start of a body, and the author of the first receipt if it is the start.
pub(super) fn body_start(row: &SqlRow<'_>) -> rusqlite::Result<BodyStart> {
    let author = match row.get::<_, Option<String>>(1)? {
        Some(name) => Some((name, optional_word(row, 2)?)),
        None => None,
    };
    Ok(BodyStart { text: row.get(0)?, author })
}

fn counts(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<ItemCounts> {
    Ok(ItemCounts {
        total: row.get(column)?,
        done: row.get(column + 1)?,
        failed: row.get(column + 2)?,
        skipped: row.get(column + 3)?,
    })
}

/// The columns that [`batch`] reads.
macro_rules! batch_columns {
    () => {
        "task, instructions, key_field, split, max_chunk, max_parallel, max_attempts, command, chunks_total, chunks_ended, \
         chunks_unsuccessful, started_at, items_total, items_done, items_failed, items_skipped, steps, checkpoint, \
         auto_approve_after, approvals_in_a_row, max_failures, failures_at_resume, pause_reason, finish_task, \
         in_doubt_policy, worker_profile, on_conflict, resource_fields, accepted_failures, \
         review"
    };
}
pub(super) use batch_columns;

/// See [`batch_columns`].
pub(super) fn batch(row: &SqlRow<'_>) -> rusqlite::Result<Batch> {
    Ok(Batch {
        row: row.get(0)?,
        instructions: row.get(1)?,
        key_field: row.get(2)?,
        split: row.get(3)?,
        max_chunk: row.get(4)?,
        max_parallel: row.get(5)?,
        max_attempts: row.get(6)?,
        run: match row.get_ref(7)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(json(row, 7)?),
        },
        chunk_count: row.get(8)?,
        ended_chunks: row.get(9)?,
        unsuccessful_chunks: row.get(10)?,
        started: optional_moment(row, 11)?,
        counts: counts(row, 12)?,
        steps: match row.get_ref(16)? {
            rusqlite::types::ValueRef::Null => Steps::default(),
            _ => json(row, 16)?,
        },
        checkpoint: word(row, 17)?,
        auto_approve_after: row.get(18)?,
        approved_in_a_row: row.get(19)?,
        max_failures: optional_word(row, 20)?,
        forgiven_failures: row.get(21)?,
        pause_reason: row.get(22)?,
        finish_row: row.get(23)?,
        in_doubt: word(row, 24)?,
        profile: row.get(25)?,
        on_conflict: optional_word(row, 26)?,
        resources: match row.get_ref(27)? {
            rusqlite::types::ValueRef::Null => Vec::new(),
            _ => json(row, 27)?,
        },
        accepted_failures: row.get(28)?,
        review: word(row, 29)?,
    })
}

/// Reads a chunk from the columns that start at `at`: task, batch, id of the batch, number, span, attempts, the four
/// item counts, step, review note, accepted generation, name of the step, release reasons.
pub(super) fn chunk(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        row: row.get(at)?,
        batch_row: row.get(at + 1)?,
        batch_id: task_id(row, at + 2)?,
        number: row.get(at + 3)?,
        span: row.get(at + 4)?,
        attempts: row.get(at + 5)?,
        counts: counts(row, at + 6)?,
        step: row.get(at + 10)?,
        review_note: row.get(at + 11)?,
        accepted_generation: row.get(at + 12)?,
        step_name: row.get(at + 13)?,
        release_reasons: row.get(at + 14)?,
    })
}

/// The columns that [`item`] reads, for a table named `i`.
macro_rules! item_columns {
    () => {
        "i.chunk, i.position, i.key, i.fields, i.outcome, i.category, i.receipt_number, i.step_index, i.started_receipt, \
         i.started_generation"
    };
}
pub(super) use item_columns;

/// See [`item_columns`].
pub(super) fn item(row: &SqlRow<'_>) -> rusqlite::Result<StoredItem> {
    let settled = match optional_word(row, 4)? {
        None => None,
        Some(outcome) => Some(Settled { outcome, category: row.get(5)?, receipt: row.get(6)? }),
    };
    Ok(StoredItem {
        chunk_row: row.get(0)?,
        position: row.get(1)?,
        key: row.get(2)?,
        json: row.get(3)?,
        settled,
        step: row.get(7)?,
        started: match row.get(8)? {
            None => None,
            Some(receipt) => Some(StartedReport { receipt, generation: row.get(9)? }),
        },
    })
}

/// The limit on the size of files that this process writes, in bytes, if it has one.
fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Whether a file could not grow although the process has a limit on the size of files. SQLite does not report the
/// kernel's EFBIG.
fn fails_at_size_limit(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
    let code = error.sqlite_error().map(|cause| cause.extended_code);
    let is_growth = matches!(code, Some(SQLITE_IOERR_WRITE | SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_TRUNCATE));
    is_growth && file_size_limit().is_some()
}

/// The error for a caller after SQLite returned `error`; `what` says what failed.
pub(super) fn sql_error(what: &str, error: rusqlite::Error) -> Error {
    let code = match error.sqlite_error() {
        // The `-shm` file could not grow. SQLite has no separate code for a full disk there.
        Some(cause) if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
            Some(ErrorCode::DiskFull)
        }
        _ => error.sqlite_error_code(),
    };
    let (code, message) = match code {
        _ if fails_at_size_limit(&error) => {
            let limit = file_size_limit().unwrap_or_default();
            (
                Code::Internal,
                format!(
                    "{what}: a file of the store would become larger than {limit} bytes, the limit of this process (ulimit -f); nothing was changed. Raise the limit and restart tasktally"
                ),
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Code::Busy, format!("{what}: another program has locked the store; try again"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            (Code::ReadOnly, format!("{what}: check the permissions of the store's file and folder"))
        }
        Some(ErrorCode::DiskFull) => (
            Code::Internal,
            format!("{what}: the disk is full; nothing was changed. Free some space and try again"),
        ),
        Some(ErrorCode::NotADatabase) => (Code::InvalidArgument, format!("{what}: it is not a SQLite file")),
        _ => (Code::Internal, what.to_owned()),
    };
    Error::new(code, message).caused_by(error)
}
