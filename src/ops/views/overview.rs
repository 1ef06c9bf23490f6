//! Where a project stands, for somebody who knows nothing: its open batches, what waits for a
//! person, what has gone quiet, and the one next call.

use std::cmp::Reverse;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::batch::batch_status;
use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus};
use crate::model::field::visible;
use crate::model::limits::MOST_IDS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::get_batch::needs_person;
use crate::ops::runners::background::{RunnerLauncher, is_unworked};
use crate::store::{Filter, Read};

/// How many batches are shown; with everything else, the reply stays under a kilobyte.
const BATCHES: usize = 4;
/// How many chunks of one sort are named.
const NAMED: usize = 4;
/// How long a holder may write nothing before its chunk counts as stalled, in seconds.
const QUIET_SECONDS: i64 = 600;

/// A batch in a line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenBatch {
    /// Its id.
    pub id: String,
    /// The beginning of its title.
    pub title: String,
    /// running, paused or waiting.
    pub status: String,
    /// Items with an outcome.
    pub processed: u64,
    /// Items in all.
    pub total: u64,
}

/// Where a project stands.
#[derive(Debug, Default)]
pub(in crate::ops) struct Overview {
    /// How many batches are open.
    pub(in crate::ops) open: usize,
    /// The most urgent of them.
    pub(in crate::ops) batches: Vec<OpenBatch>,
    /// Chunks that wait for a person.
    pub(in crate::ops) needs_person: Vec<String>,
    /// Chunks whose holder has gone quiet, or whose lease ran out.
    pub(in crate::ops) stalled: Vec<String>,
    /// What to call next.
    pub(in crate::ops) next: String,
}

/// The beginning of a title, in at most 44 bytes.
fn short_title(title: &str) -> String {
    let title = visible(title, 40);
    if title.len() <= 44 {
        return title;
    }
    let end = title.char_indices().map(|(at, _)| at).take_while(|at| *at <= 41).last().unwrap_or(0);
    format!("{}…", &title[..end])
}

/// Looks at a project, or at all.
pub(in crate::ops) fn standing(
    tx: &dyn Read,
    project: Option<&str>,
    background: Option<&Arc<dyn RunnerLauncher>>,
) -> Result<Overview> {
    let mut looked = Vec::new();
    for task in tx.open_batches(project, MOST_IDS)? {
        let Some(batch) = tx.batch(task.row)? else { continue };
        looked.push(look(tx, &task, &batch, background)?);
    }
    // The most urgent ones first, of those the newest.
    looked.sort_by_key(|looked| Reverse(looked.urgency));
    let mut standing = Overview { open: looked.len(), ..Overview::default() };
    standing.next = looked.first().map_or_else(
        || "nothing is open: list_tasks(status=\"active\"), or create_batch".to_owned(),
        |first| first.call.clone(),
    );
    for looked in looked {
        standing.needs_person.extend(looked.needs_person);
        standing.stalled.extend(looked.stalled);
        if standing.batches.len() < BATCHES {
            standing.batches.push(looked.batch);
        }
    }
    standing.needs_person.truncate(NAMED);
    standing.stalled.truncate(NAMED);
    Ok(standing)
}

/// A batch, and what is to be done about it.
struct Looked {
    urgency: u8,
    call: String,
    needs_person: Vec<String>,
    stalled: Vec<String>,
    batch: OpenBatch,
}

fn look(
    tx: &dyn Read,
    task: &Task,
    batch: &Batch,
    background: Option<&Arc<dyn RunnerLauncher>>,
) -> Result<Looked> {
    let status = batch_status(tx, task, batch)?;
    let needs_person = needs_person(tx, task)?;
    let id = &task.id;
    let in_review = Filter { parent: Some(task.row), status: Some(Status::Review), ..Filter::default() };
    let quiet = tx.now().saturating_add_secs(-QUIET_SECONDS);
    let stalled = held(tx, task, |chunk| chunk.updated <= quiet || is_lapsed(tx, chunk))?;
    let (urgency, call) = if !tx.list(&in_review, None, 1)?.is_empty() {
        let call = format!(
            "get_batch(id=\"{id}\", view=\"review\"), ask the person, then review_batch(id=\"{id}\", decision=...)"
        );
        (6, call)
    } else if status == BatchStatus::Paused {
        (5, format!("ask the person, then control_batch(id=\"{id}\", action=\"resume\")"))
    } else if is_unworked(background, tx, task, batch)? {
        (4, format!("control_batch(id=\"{id}\", action=\"start\"): no runner works it"))
    } else if !needs_person.is_empty() {
        let call = format!(
            "get_batch(id=\"{id}\", view=\"failures\"), then control_batch(id=\"{id}\", action=\"retry\")"
        );
        (3, call)
    } else if !lapsed(tx, task)?.is_empty() {
        (2, format!("start workers for {id}: a claim ran out, the next claim_task takes it over"))
    } else if !stalled.is_empty() {
        (2, "reset_stalled_tasks(dry_run=true)".to_owned())
    } else {
        let workers = if batch.worker.is_some() { "" } else { "; start workers if none are at work" };
        (1, format!("get_batch(id=\"{id}\") now and then{workers}"))
    };
    let batch = OpenBatch {
        id: id.to_string(),
        title: short_title(&task.title),
        status: status.to_string(),
        processed: batch.counts.processed(),
        total: batch.counts.total,
    };
    Ok(Looked { urgency, call, needs_person, stalled, batch })
}

/// The chunks of a batch whose lease ran out: no write marks that moment, so `since` can't show it.
pub(in crate::ops) fn lapsed(tx: &dyn Read, batch: &Task) -> Result<Vec<String>> {
    held(tx, batch, |chunk| is_lapsed(tx, chunk))
}

fn is_lapsed(tx: &dyn Read, chunk: &Task) -> bool {
    chunk.live_claim(tx.now()).is_none()
}

/// The ids of chunks in progress that are `so`.
fn held(tx: &dyn Read, batch: &Task, so: impl Fn(&Task) -> bool) -> Result<Vec<String>> {
    let held = Filter { parent: Some(batch.row), status: Some(Status::InProgress), ..Filter::default() };
    let found = tx.list(&held, None, 64)?;
    Ok(found.into_iter().filter(|chunk| so(chunk)).map(|chunk| chunk.id.to_string()).collect())
}
