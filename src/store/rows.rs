//! Conversion of rows to values, for every database: the columns that a query selects, and how they are read.

use std::error::Error as StdError;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use crate::model::batch::{Batch, Chunk, ItemCounts, Settled, StoredItem};
use crate::model::body::BodyStart;
use crate::model::claim::Claim;
use crate::model::cost::{Cost, CostGroup, CostSum, Money};
use crate::model::fair_share::FairShare;
use crate::model::id::{TaskId, Token};
use crate::model::in_doubt::StartedReport;
use crate::model::receipt::Receipt;
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;
use crate::model::wait::BatchWait;
use crate::store::RunnerRecord;

/// A row of a query's result. Numbers are 64 bits wide; a truth value is 0 or 1.
pub(super) trait StoredRow: Sized {
    /// The error of a column that cannot be read.
    type Error;
    /// A number, or `None` for NULL.
    fn number(&self, column: usize) -> Result<Option<i64>, Self::Error>;
    /// A text, or `None` for NULL.
    fn text(&self, column: usize) -> Result<Option<String>, Self::Error>;
    /// The error for a column whose value is not one that Tasktally writes.
    fn invalid(column: usize, cause: Box<dyn StdError + Send + Sync>) -> Self::Error;

    /// The value of a column.
    fn get<T: Column>(&self, column: usize) -> Result<T, Self::Error> {
        T::read(self, column)
    }
}

/// A type that a column is read as.
pub(super) trait Column: Sized {
    /// Reads a column.
    fn read<R: StoredRow>(row: &R, column: usize) -> Result<Self, R::Error>;
}

fn required<T, R: StoredRow>(value: Option<T>, column: usize) -> Result<T, R::Error> {
    value.ok_or_else(|| R::invalid(column, "it is NULL".into()))
}

impl Column for String {
    fn read<R: StoredRow>(row: &R, column: usize) -> Result<Self, R::Error> {
        required::<_, R>(row.text(column)?, column)
    }
}

impl Column for Option<String> {
    fn read<R: StoredRow>(row: &R, column: usize) -> Result<Self, R::Error> {
        row.text(column)
    }
}

impl Column for bool {
    fn read<R: StoredRow>(row: &R, column: usize) -> Result<Self, R::Error> {
        Ok(required::<_, R>(row.number(column)?, column)? != 0)
    }
}

/// Numbers that are stored in 64 bits.
macro_rules! number_columns {
    ($($number:ty),*) => {$(
        impl Column for $number {
            fn read<R: StoredRow>(row: &R, column: usize) -> Result<Self, R::Error> {
                let number = required::<_, R>(row.number(column)?, column)?;
                number.try_into().map_err(|_| R::invalid(column, format!("{number} is out of range").into()))
            }
        }

        impl Column for Option<$number> {
            fn read<R: StoredRow>(row: &R, column: usize) -> Result<Self, R::Error> {
                let Some(number) = row.number(column)? else { return Ok(None) };
                let number = number.try_into();
                number.map(Some).map_err(|_| R::invalid(column, "it is out of range".into()))
            }
        }
    )*};
}
number_columns!(i64, u64, u32, usize);

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

/// Reads a word of a fixed list.
pub(super) fn word<T: FromStr<Err = String>, R: StoredRow>(row: &R, column: usize) -> Result<T, R::Error> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: String| R::invalid(column, error.into()))
}

/// The same for a column that may be NULL.
pub(super) fn optional_word<T: FromStr<Err = String>, R: StoredRow>(
    row: &R,
    column: usize,
) -> Result<Option<T>, R::Error> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error: String| R::invalid(column, error.into()))).transpose()
}

/// Reads a time in milliseconds since 1970.
pub(super) fn moment<R: StoredRow>(row: &R, column: usize) -> Result<Timestamp, R::Error> {
    row.get(column).map(Timestamp::from_millis)
}

/// The same for a column that may be NULL.
pub(super) fn optional_moment<R: StoredRow>(row: &R, column: usize) -> Result<Option<Timestamp>, R::Error> {
    row.get::<Option<i64>>(column).map(|millis| millis.map(Timestamp::from_millis))
}

/// Reads a JSON value.
pub(super) fn json<T: DeserializeOwned, R: StoredRow>(row: &R, column: usize) -> Result<T, R::Error> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| R::invalid(column, Box::new(error)))
}

/// Reads a JSON value; the default for NULL.
fn json_or_default<T: DeserializeOwned + Default, R: StoredRow>(
    row: &R,
    column: usize,
) -> Result<T, R::Error> {
    let text: Option<String> = row.get(column)?;
    text.map_or(Ok(T::default()), |text| {
        serde_json::from_str(&text).map_err(|error| R::invalid(column, Box::new(error)))
    })
}

/// The id of a task.
pub(super) fn task_id<R: StoredRow>(row: &R, column: usize) -> Result<TaskId, R::Error> {
    TaskId::from_store(row.get(column)?).map_err(|error| R::invalid(column, error.into()))
}

pub(super) fn task<R: StoredRow>(row: &R) -> Result<Task, R::Error> {
    let role: String = row.get(15)?;
    let worker: Option<String> = row.get(23)?;
    let claim = match worker {
        None => None,
        Some(worker) => Some(Claim {
            worker,
            token: row.get::<Option<String>>(24)?.map(Token::stored),
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
        parent: row.get::<Option<String>>(28)?.map(|_| task_id(row, 28)).transpose()?,
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
        has_dependencies: row.get::<i64>(29)? > 0,
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
pub(super) fn receipt<R: StoredRow>(row: &R) -> Result<Receipt, R::Error> {
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
            cost: row.get::<Option<i64>>(12)?.map(Money::from_millionths),
        },
        author_kind: optional_word(row, 13)?,
        decision: optional_word(row, 14)?,
    })
}

/// Reads the start of a body, and the author of the first receipt if it is the start.
pub(super) fn body_start<R: StoredRow>(row: &R) -> Result<BodyStart, R::Error> {
    let author = match row.get::<Option<String>>(1)? {
        Some(name) => Some((name, optional_word(row, 2)?)),
        None => None,
    };
    Ok(BodyStart { text: row.get(0)?, author })
}

fn counts<R: StoredRow>(row: &R, column: usize) -> Result<ItemCounts, R::Error> {
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
pub(super) fn batch<R: StoredRow>(row: &R) -> Result<Batch, R::Error> {
    Ok(Batch {
        row: row.get(0)?,
        instructions: row.get(1)?,
        key_field: row.get(2)?,
        split: row.get(3)?,
        max_chunk: row.get(4)?,
        max_parallel: row.get(5)?,
        max_attempts: row.get(6)?,
        run: json_or_default(row, 7)?,
        chunk_count: row.get(8)?,
        ended_chunks: row.get(9)?,
        unsuccessful_chunks: row.get(10)?,
        started: optional_moment(row, 11)?,
        counts: counts(row, 12)?,
        steps: json_or_default(row, 16)?,
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
        resources: json_or_default(row, 27)?,
        accepted_failures: row.get(28)?,
        review: word(row, 29)?,
    })
}

/// Reads a chunk from the columns that start at `at`: task, batch, id of the batch, number, span, attempts, the four
/// item counts, step, review note, accepted generation, name of the step, release reasons.
pub(super) fn chunk<R: StoredRow>(row: &R, at: usize) -> Result<Chunk, R::Error> {
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
pub(super) fn item<R: StoredRow>(row: &R) -> Result<StoredItem, R::Error> {
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

/// The columns that [`runner`] reads.
macro_rules! runner_columns {
    () => {
        "batch, run_marker, profile, pid, host, started_at, heartbeat_at, wait_reason"
    };
}
pub(super) use runner_columns;

/// See [`runner_columns`].
pub(super) fn runner<R: StoredRow>(row: &R) -> Result<RunnerRecord, R::Error> {
    Ok(RunnerRecord {
        batch: row.get(0)?,
        run_marker: row.get(1)?,
        profile: row.get(2)?,
        pid: row.get(3)?,
        host: row.get(4)?,
        started_at: moment(row, 5)?,
        heartbeat_at: moment(row, 6)?,
        wait_reason: row.get(7)?,
    })
}

/// The query for [`fair_share`].
pub(super) const FAIR_SHARES: &str =
    "SELECT r.batch, t.priority, r.permits_held, r.wants_permit, r.heartbeat_at
   FROM runner r JOIN task t ON t.row_id = r.batch";

/// See [`FAIR_SHARES`].
pub(super) fn fair_share<R: StoredRow>(row: &R) -> Result<(FairShare, Timestamp), R::Error> {
    let share = FairShare {
        batch: row.get(0)?,
        priority: row.get(1)?,
        permits: row.get(2)?,
        is_waiting: row.get(3)?,
    };
    Ok((share, moment(row, 4)?))
}

/// The columns that [`wait`] reads.
macro_rules! wait_columns {
    () => {
        "handle, batch, client, created_at, updated_at, end_reported_at, cancelled_at, last_answer_result, since_change, \
         can_ask"
    };
}
pub(super) use wait_columns;

/// See [`wait_columns`].
pub(super) fn wait<R: StoredRow>(row: &R) -> Result<BatchWait, R::Error> {
    Ok(BatchWait {
        handle: row.get(0)?,
        batch: row.get(1)?,
        client: row.get(2)?,
        created: moment(row, 3)?,
        updated: moment(row, 4)?,
        ended_at: optional_moment(row, 5)?,
        cancelled_at: optional_moment(row, 6)?,
        last_answer: row.get(7)?,
        since: row.get(8)?,
        can_ask: row.get(9)?,
    })
}

/// Reads a total of costs: grouping, group, and the sums of both kinds of tokens and of the money.
pub(super) fn cost_total<R: StoredRow>(row: &R) -> Result<(CostGroup, String, CostSum), R::Error> {
    let spent = CostSum {
        tokens_in: row.get(2)?,
        tokens_out: row.get(3)?,
        cost: Money::from_millionths(row.get(4)?),
    };
    Ok((word(row, 0)?, row.get(1)?, spent))
}
