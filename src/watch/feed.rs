//! Reading what is shown: all of a batch once, then only what changed.

use super::board::{ChunkRow, Head, ReceiptRow, Update, Worker};
use super::words::{seconds_between, span};
use crate::error::Result;
use crate::model::batch::{Batch, Chunk};
use crate::model::field::visible;
use crate::model::id::TaskId;
use crate::model::limits::PAGE;
use crate::model::receipt::Receipt;
use crate::model::status::{ItemReport, Status};
use crate::model::task::{Row, Task};
use crate::model::timestamp::Timestamp;
use crate::ops::batch_view;
use crate::ops::{Session, find_batch};
use crate::store::{Filter, Read, Runner};

/// The most characters of a title, a name or a receipt that are kept.
const CHARS: usize = 200;
/// How many workers are looked at.
const WORKERS: usize = 100;
/// From how many seconds without a sign of life on a runner is said to be silent.
const SILENT: u64 = 20;
/// Of how many chunks, those that changed last, the newest receipts are read.
const WRITERS: usize = 24;
/// How many receipts of each.
const OF_EACH: u64 = 16;

/// A chunk and where its receipts are.
struct Found {
    chunk: ChunkRow,
    row: Row,
    receipts: u64,
}

/// A batch that is looked at again and again.
pub(super) struct Feed {
    batch: TaskId,
    /// Up to which change all is known.
    since: Option<u64>,
}

/// Refuses what is not a batch.
pub(super) fn exists(session: &Session, batch: &TaskId) -> Result<()> {
    let batch = batch.clone();
    session.read(move |tx| find_batch(tx, &batch).map(|_| ()))
}

impl Feed {
    /// Of a batch that nothing is known of yet.
    pub(super) fn new(batch: TaskId) -> Self {
        Feed { batch, since: None }
    }

    /// Looks at the batch: everything the first time, later what changed.
    ///
    /// # Errors
    /// Where there is no such batch or the store cannot be read.
    pub(super) fn look(&mut self, session: &Session) -> Result<Update> {
        let mut found = match self.since {
            None => self.all(session)?,
            Some(since) => self.changed(session, since)?,
        };
        found.sort_by_key(|found| std::cmp::Reverse(found.chunk.changed));
        let writers: Vec<(u64, Row, u64)> =
            found.iter().take(WRITERS).map(|found| (found.chunk.number, found.row, found.receipts)).collect();
        let id = self.batch.clone();
        let (head, workers, receipts) = session.read(move |tx| {
            let (task, batch) = find_batch(tx, &id)?;
            let mut receipts = Vec::new();
            for (number, row, count) in std::iter::once((0, task.row, task.receipts)).chain(writers) {
                let newest = tx.receipts(row, count.saturating_sub(OF_EACH), OF_EACH as usize)?;
                // That an item was begun shows beside its worker.
                let told = newest.into_iter().filter(|receipt| receipt.outcome != Some(ItemReport::Started));
                receipts.extend(told.map(|receipt| receipt_row(number, receipt)));
            }
            Ok((head(tx, &task, &batch)?, workers(tx, &task)?, receipts))
        })?;
        let chunks = found.into_iter().map(|found| found.chunk).collect();
        Ok(Update { head, chunks, workers, receipts })
    }

    /// Every chunk, a page a read: no read of the store lasts long.
    fn all(&mut self, session: &Session) -> Result<Vec<Found>> {
        let id = self.batch.clone();
        let (batch, since) = session.read(move |tx| Ok((find_batch(tx, &id)?.0.row, tx.sequence()?)))?;
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = session.read(move |tx| tx.chunks(batch, after, PAGE))?;
            let Some((last, _)) = page.last() else { break };
            after = last.number;
            all.extend(page.into_iter().map(|(chunk, task)| found(&chunk, task)));
        }
        self.since = Some(since);
        Ok(all)
    }

    /// The chunks that changed after a change.
    fn changed(&mut self, session: &Session, mut since: u64) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        loop {
            let id = self.batch.clone();
            let (page, next, more) = session.read(move |tx| {
                let sequence = tx.sequence()?;
                if sequence == since {
                    return Ok((Vec::new(), since, false));
                }
                let filter = Filter { parent: Some(tx.task(&id)?.row), ..Filter::default() };
                let tasks = tx.changed_since(&filter, since, PAGE)?;
                let more = tasks.len() == PAGE;
                let next = tasks.last().filter(|_| more).map_or(sequence, |last| last.changed);
                let mut page = Vec::new();
                for task in tasks {
                    if let Some(chunk) = tx.chunk(&task)? {
                        page.push(found(&chunk, task));
                    }
                }
                Ok((page, next, more))
            })?;
            all.extend(page);
            since = next;
            if !more {
                self.since = Some(since);
                return Ok(all);
            }
        }
    }
}

fn found(chunk: &Chunk, task: Task) -> Found {
    let chunk = ChunkRow {
        number: chunk.number,
        title: visible(without_counts(&task.title), CHARS),
        status: task.status,
        counts: chunk.counts,
        changed: task.changed,
        id: task.id,
    };
    Found { chunk, row: task.row, receipts: task.receipts }
}

/// A chunk's title without how many items it has of how many: that stands beside it.
fn without_counts(title: &str) -> &str {
    let counts = |text: &str| {
        let (some, all) = text.split_once(" of ")?;
        Some(some.parse::<u64>().is_ok() && all.parse::<u64>().is_ok())
    };
    match title.rsplit_once(": ") {
        Some((span, text)) if counts(text) == Some(true) => span,
        _ => title,
    }
}

fn head(tx: &dyn Read, task: &Task, batch: &Batch) -> Result<Head> {
    let view = batch_view(tx, task, batch)?;
    Ok(Head {
        id: task.id.clone(),
        title: visible(&task.title, CHARS),
        status: batch.status(task.status, tx.is_workable(task.row)?),
        step: visible(&view.step, CHARS),
        step_number: (0..batch.steps.count())
            .find(|n| batch.steps.name(*n) == view.step)
            .map_or(1, |n| n + 1),
        steps: batch.steps.count(),
        paused: batch.paused.as_deref().map(|why| visible(why, CHARS)),
        counts: batch.counts,
        in_doubt: view.in_doubt,
        categories: tx
            .categories(task.row)?
            .into_iter()
            .map(|(name, count)| (visible(&name, CHARS), count))
            .collect(),
        chunks: batch.chunks,
        per_minute: view.per_minute,
        seconds_left: view.seconds_left,
        runner: tx.runner(task.row)?.map(|runner| runner_line(&runner, tx.now())),
        now: tx.now(),
    })
}

/// Who works the batch in the background, in a line.
fn runner_line(runner: &Runner, now: Timestamp) -> String {
    let mut line = format!(
        "runner {} on {}, profile {}, for {}",
        runner.pid,
        visible(&runner.host, CHARS),
        visible(&runner.profile, CHARS),
        span(seconds_between(runner.since, now))
    );
    let silence = seconds_between(runner.seen, now);
    if silence >= SILENT {
        line.push_str(&format!(", no sign for {}", span(silence)));
    }
    if let Some(note) = &runner.note {
        line.push_str(&format!(": {}", visible(note, CHARS)));
    }
    line
}

fn workers(tx: &dyn Read, batch: &Task) -> Result<Vec<Worker>> {
    let held = Filter { parent: Some(batch.row), status: Some(Status::InProgress), ..Filter::default() };
    let mut workers = Vec::new();
    for task in tx.list(&held, None, WORKERS)? {
        let (Some(claim), Some(chunk)) = (&task.claim, tx.chunk(&task)?) else { continue };
        let begun = tx.begun(&chunk)?;
        let of_claim = begun
            .iter()
            .filter_map(|item| item.started.map(|started| (started, item)))
            .filter(|(started, _)| started.generation == task.generation);
        let item = of_claim.max_by_key(|(started, _)| started.receipt).map(|(_, item)| &item.key);
        workers.push(Worker {
            name: visible(&claim.worker, CHARS),
            chunk: chunk.number,
            item: item.map(|key| visible(key, CHARS)),
            since: claim.since,
            sign: task.updated,
            lost: task.live_claim(tx.now()).is_none(),
        });
    }
    Ok(workers)
}

fn receipt_row(chunk: u64, receipt: Receipt) -> ReceiptRow {
    ReceiptRow {
        at: receipt.at,
        chunk,
        number: receipt.number,
        outcome: receipt.outcome.map(|outcome| outcome.as_str()),
        text: visible(&receipt.shown().replace('\n', " "), CHARS),
    }
}
