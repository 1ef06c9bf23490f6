//! An overview of the open batches and of those that ended with failures: which need a person, which have stalled,
//! and what to call next.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::Serialize;

use super::attention::{count_needing_person, more, needs_person};
use super::next_call::{NextCall, POLLING, Shown, next_call, stalled_chunks};
use super::shorten::shorten_to_bytes;
use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus};
use crate::model::field::visible_excerpt;
use crate::model::limits::MAX_IDS;
use crate::model::receipt::Receipt;
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;
use crate::ops::request::lookup::batch_status;
use crate::store::StoreRead;

/// The most batches that are shown; this keeps the reply under 1.5 kB.
const BATCHES: usize = 4;
/// The most chunks that are named per list.
const NAMED: usize = 4;
/// The most characters of a title.
const TITLE_CHARS: usize = 40;
/// How many of a batch's last receipts are searched for the one that records its end.
const RECENT_RECEIPTS: usize = 100;
/// The most bytes of a title.
const TITLE_BYTES: usize = 44;

/// A batch in the overview: open, or ended with failures that nobody has resolved.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenBatch {
    /// The batch's id.
    pub id: String,
    /// The start of the batch's title.
    pub title: String,
    /// running, paused or waiting; done or failed if it ended with failures.
    pub status: String,
    /// The number of items with an outcome.
    pub processed: u64,
    /// The number of items.
    pub total: u64,
    /// The number of failed items.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// When the batch ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The open batches of a project or of the store, and those with unresolved failures.
#[derive(Debug, Default)]
pub(in crate::ops) struct Overview {
    /// The number of open batches.
    pub(in crate::ops) open: usize,
    /// The number of batches that ended with failures which nobody has resolved.
    pub(in crate::ops) failed: usize,
    /// The open batches before those that have ended, the most urgent first.
    pub(in crate::ops) batches: Vec<OpenBatch>,
    /// Chunks that only a person can move on.
    pub(in crate::ops) needs_person: Vec<String>,
    /// Claimed chunks without a recent write, or with an expired lease.
    pub(in crate::ops) stalled: Vec<String>,
    /// Tasks that cannot become ready, because a dependency ended without being done.
    pub(in crate::ops) stranded: Vec<String>,
    /// How many chunks more than those need a person or have stalled, as the end of a message.
    pub(in crate::ops) more: String,
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
    let open = tx.open_batches(project, MAX_IDS)?;
    for task in open.into_iter().chain(tx.failed_batches(project, MAX_IDS)?) {
        let Some(batch) = tx.batch(task.row)? else { continue };
        let lacks_runner = lacks_runner(&task, &batch)?;
        states.extend(assess(tx, &task, &batch, lacks_runner)?);
    }
    // The sorts are stable: of equally urgent batches the newest stays first.
    states.sort_by_key(|state| Reverse(state.next.urgency));
    let stranded = tx.stranded_tasks(project, NAMED)?;
    let next = match (states.first(), stranded.first()) {
        (Some(first), None) => first.next.call.clone(),
        (Some(first), Some(_)) if first.next.urgency > POLLING => first.next.call.clone(),
        (_, Some((task, ended))) => format!(
            "{0} depends on {1}, which is {2}: update_task(id=\"{0}\", depends_on=...), or cancel it",
            task.id, ended.id, ended.status
        ),
        (None, None) => "no batch is open: list_tasks(status=\"active\") or create_batch()".to_owned(),
    };
    // Failures that nobody has resolved must not hide what is open.
    states.sort_by_key(|state| state.is_over);
    let stranded =
        stranded.iter().map(|(task, ended)| format!("{} ({} is {})", task.id, ended.id, ended.status));
    let failed = states.iter().filter(|state| state.is_over).count();
    let mut overview = Overview {
        open: states.len() - failed,
        failed,
        next,
        stranded: stranded.collect(),
        ..Overview::default()
    };
    let (mut needing, mut stalled) = (0, 0);
    for state in states {
        needing += state.needing_person;
        stalled += state.stalled.len() as u64;
        overview.needs_person.extend(state.needs_person);
        overview.stalled.extend(state.stalled);
        if overview.batches.len() < BATCHES {
            overview.batches.push(state.batch);
        }
    }
    overview.needs_person.truncate(NAMED);
    overview.stalled.truncate(NAMED);
    overview.more = more("needs_person", needing, overview.needs_person.len())
        + &more("stalled", stalled, overview.stalled.len());
    Ok(overview)
}

/// An open batch, and what has to be done about it.
struct Assessment {
    next: NextCall,
    is_over: bool,
    needs_person: Vec<String>,
    needing_person: u64,
    stalled: Vec<String>,
    batch: OpenBatch,
}

fn assess(tx: &dyn StoreRead, task: &Task, batch: &Batch, lacks_runner: bool) -> Result<Option<Assessment>> {
    let Some(next) = next_call(tx, task, batch, lacks_runner, Shown::default())? else { return Ok(None) };
    let listed = listed_batch(tx, task, batch)?;
    let needs_person = needs_person(tx, task, batch)?;
    Ok(Some(Assessment {
        next,
        is_over: listed.ended.is_some(),
        needing_person: count_needing_person(tx, task, batch, needs_person.len())?,
        needs_person,
        stalled: stalled_chunks(tx, task, batch)?,
        batch: OpenBatch { ended: None, ..listed },
    }))
}

/// A batch in a list.
pub(in crate::ops) fn listed_batch(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<OpenBatch> {
    let status = batch_status(tx, task, batch)?;
    Ok(OpenBatch {
        id: task.id.to_string(),
        title: shorten_to_bytes(visible_excerpt(&task.title, TITLE_CHARS), TITLE_BYTES),
        status: status.to_string(),
        processed: batch.counts.processed(),
        total: batch.counts.total,
        failed: batch.counts.failed,
        ended: if status.is_over() { Some(ended_at(tx, task, status)?.to_string()) } else { None },
    })
}

/// When a batch ended: the time of the receipt that records it. Later receipts do not change it.
fn ended_at(tx: &dyn StoreRead, task: &Task, status: BatchStatus) -> Result<Timestamp> {
    let first = task.receipt_count.saturating_sub(RECENT_RECEIPTS as u64);
    let receipts = tx.receipts(task.row, first, RECENT_RECEIPTS)?;
    let records_end = |receipt: &&Receipt| match status {
        BatchStatus::Cancelled => receipt.text.starts_with("Cancelled by "),
        _ => receipt.is_by_system() && receipt.text.starts_with("Batch "),
    };
    Ok(receipts.iter().rev().find(records_end).map_or(task.updated, |receipt| receipt.at))
}
