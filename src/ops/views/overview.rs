//! An overview of the open batches: which need a person, which have stalled, and what to call next.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::Serialize;

use super::attention::{claimed_chunks, expired_chunks, has_expired, needs_person};
use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus};
use crate::model::field::visible_excerpt;
use crate::model::limits::MAX_IDS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::request::lookup::batch_status;
use crate::store::{StoreRead, TaskFilter};

/// The most batches that are shown; this keeps the reply under a kilobyte.
const BATCHES: usize = 4;
/// The most chunks that are named per list.
const NAMED: usize = 4;
/// A claimed chunk counts as stalled after this time without a write, in seconds.
const QUIET_SECONDS: i64 = 600;
/// The urgency of a batch about which nothing has to be done.
const POLLING: u8 = 1;
/// The most characters of a title.
const TITLE_CHARS: usize = 40;
/// The most bytes of a title.
const TITLE_BYTES: usize = 44;

/// An open batch in the overview.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenBatch {
    /// The batch's id.
    pub id: String,
    /// The start of the batch's title.
    pub title: String,
    /// running, paused or waiting.
    pub status: String,
    /// The number of items with an outcome.
    pub processed: u64,
    /// The number of items.
    pub total: u64,
}

/// The open batches of a project or of the store.
#[derive(Debug, Default)]
pub(in crate::ops) struct Overview {
    /// The number of open batches.
    pub(in crate::ops) open: usize,
    /// The most urgent open batches.
    pub(in crate::ops) batches: Vec<OpenBatch>,
    /// Chunks that only a person can move on.
    pub(in crate::ops) needs_person: Vec<String>,
    /// Claimed chunks without a recent write, or with an expired lease.
    pub(in crate::ops) stalled: Vec<String>,
    /// Tasks that cannot become ready, because a dependency ended without being done.
    pub(in crate::ops) stranded: Vec<String>,
    /// The call to make next.
    pub(in crate::ops) next: String,
}

/// Reads the overview of a project, or of the whole store. `lacks_runner` says whether a batch has a profile but
/// no runner.
pub(in crate::ops) fn overview(
    tx: &dyn StoreRead,
    project: Option<&str>,
    lacks_runner: impl Fn(&Task, &Batch) -> Result<bool>,
) -> Result<Overview> {
    let mut states = Vec::new();
    for task in tx.open_batches(project, MAX_IDS)? {
        let Some(batch) = tx.batch(task.row)? else { continue };
        let lacks_runner = lacks_runner(&task, &batch)?;
        states.push(assess(tx, &task, &batch, lacks_runner)?);
    }
    // The sort is stable: of equally urgent batches the newest stays first.
    states.sort_by_key(|state| Reverse(state.urgency));
    let stranded = tx.stranded_tasks(project, NAMED)?;
    let next = match (states.first(), stranded.first()) {
        (Some(first), None) => first.next.clone(),
        (Some(first), Some(_)) if first.urgency > POLLING => first.next.clone(),
        (_, Some((task, ended))) => format!(
            "{0} depends on {1}, which is {2}: update_task(id=\"{0}\", depends_on=...), or cancel it",
            task.id, ended.id, ended.status
        ),
        (None, None) => "no batch is open: list_tasks(status=\"active\") or create_batch()".to_owned(),
    };
    let stranded =
        stranded.iter().map(|(task, ended)| format!("{} ({} is {})", task.id, ended.id, ended.status));
    let mut overview =
        Overview { open: states.len(), next, stranded: stranded.collect(), ..Overview::default() };
    for state in states {
        overview.needs_person.extend(state.needs_person);
        overview.stalled.extend(state.stalled);
        if overview.batches.len() < BATCHES {
            overview.batches.push(state.batch);
        }
    }
    overview.needs_person.truncate(NAMED);
    overview.stalled.truncate(NAMED);
    Ok(overview)
}

/// An open batch, and what has to be done about it.
struct Assessment {
    urgency: u8,
    next: String,
    needs_person: Vec<String>,
    stalled: Vec<String>,
    batch: OpenBatch,
}

fn assess(tx: &dyn StoreRead, task: &Task, batch: &Batch, lacks_runner: bool) -> Result<Assessment> {
    let status = batch_status(tx, task, batch)?;
    let needs_person = needs_person(tx, task)?;
    let quiet_since = tx.now().saturating_add_secs(-QUIET_SECONDS);
    let stalled = claimed_chunks(tx, task, |chunk| chunk.updated <= quiet_since || has_expired(tx, chunk))?;
    let id = &task.id;
    let in_review =
        TaskFilter { parent: Some(task.row), status: Some(Status::Review), ..TaskFilter::default() };
    let (urgency, next) = if !tx.list(&in_review, None, 1)?.is_empty() {
        let next = format!(
            "get_batch(id=\"{id}\", view=\"review\"), ask the person, then review_batch(id=\"{id}\", decision=...)"
        );
        (6, next)
    } else if status == BatchStatus::Paused {
        (5, format!("ask the person, then control_batch(id=\"{id}\", action=\"resume\")"))
    } else if lacks_runner {
        (4, format!("control_batch(id=\"{id}\", action=\"start\"): the batch has no runner"))
    } else if !needs_person.is_empty() {
        let next = format!(
            "get_batch(id=\"{id}\", view=\"failures\"), then control_batch(id=\"{id}\", action=\"retry\")"
        );
        (3, next)
    } else if !expired_chunks(tx, task)?.is_empty() {
        (2, format!("start workers for {id}: a lease expired, the next claim_task() takes the chunk over"))
    } else if !stalled.is_empty() {
        (2, "reset_stalled_tasks(dry_run=true)".to_owned())
    } else {
        let workers = if batch.profile.is_some() { "" } else { "; start workers if none are running" };
        (POLLING, format!("poll get_batch(id=\"{id}\"){workers}"))
    };
    let batch = OpenBatch {
        id: id.to_string(),
        title: short_title(&task.title),
        status: status.to_string(),
        processed: batch.counts.processed(),
        total: batch.counts.total,
    };
    Ok(Assessment { urgency, next, needs_person, stalled, batch })
}

/// The start of a title, in at most 44 bytes.
fn short_title(title: &str) -> String {
    let title = visible_excerpt(title, TITLE_CHARS);
    if title.len() <= TITLE_BYTES {
        return title;
    }
    let longest = TITLE_BYTES - '…'.len_utf8();
    let end = title.char_indices().map(|(at, _)| at).take_while(|at| *at <= longest).last().unwrap_or(0);
    format!("{}…", &title[..end])
}
