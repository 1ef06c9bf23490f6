//! Reading a batch from the store again and again: everything once, then only what changed.

use super::board::{BatchHeader, ChunkRow, ReceiptRow, Update, WorkerRow};
use super::process_facts::ProcessFacts;
use crate::error::Result;
use crate::model::author::kind_word;
use crate::model::batch::{Batch, BatchStatus, Chunk};
use crate::model::field::visible_excerpt;
use crate::model::id::{TaskId, Token};
use crate::model::limits::PAGE_ROWS;
use crate::model::receipt::Receipt;
use crate::model::status::{ItemReport, Status};
use crate::model::task::{RowId, Task};
use crate::ops::{Session, find_batch};
use crate::ops::{batch_view, failures_of};
use crate::store::{StoreRead, TaskFilter};

/// The most characters of a title, a name or a receipt.
const CHARS: usize = 200;
/// The most characters of an author's name.
const AUTHOR_CHARS: usize = 12;
/// The most workers that are read.
const MAX_WORKERS: usize = 100;
/// How many of the chunks that changed last have their newest receipts read.
const CHUNKS_WITH_RECEIPTS: usize = 24;
/// How many of a chunk's newest receipts are read.
const RECEIPTS_PER_CHUNK: u64 = 16;

/// A chunk that was read, and what is needed to read its receipts.
struct ChangedChunk {
    row: RowId,
    receipts: u64,
    shown: ChunkRow,
}

/// Reads a batch and its changes.
pub(super) struct Poller {
    batch: TaskId,
    /// How the commands in messages start.
    prefix: String,
    /// The number of the last change that was read.
    since: Option<u64>,
}

/// Checks that a batch exists.
pub(super) fn check_exists(session: &Session, batch: &TaskId) -> Result<()> {
    let batch = batch.clone();
    session.read(move |tx| find_batch(tx, &batch).map(|_| ()))
}

impl Poller {
    /// A poller that has read nothing yet.
    pub(super) fn new(batch: TaskId, prefix: &str) -> Self {
        Poller { batch, prefix: prefix.to_owned(), since: None }
    }

    /// Reads everything the first time, and later what changed.
    ///
    /// # Errors
    /// If there is no such batch, or the store cannot be read.
    pub(super) fn poll(&mut self, session: &Session) -> Result<Update> {
        let mut chunks = match self.since {
            None => self.all_chunks(session)?,
            Some(since) => self.changed_chunks(session, since)?,
        };
        chunks.sort_by_key(|chunk| std::cmp::Reverse(chunk.shown.change));
        let with_receipts: Vec<(u64, RowId, u64)> = chunks
            .iter()
            .take(CHUNKS_WITH_RECEIPTS)
            .map(|chunk| (chunk.shown.number, chunk.row, chunk.receipts))
            .collect();
        let id = self.batch.clone();
        let (mut header, facts, workers, receipts) = session.read(move |tx| {
            let (task, batch) = find_batch(tx, &id)?;
            let mut receipts = Vec::new();
            for (number, row, count) in
                std::iter::once((0, task.row, task.receipt_count)).chain(with_receipts)
            {
                let after = count.saturating_sub(RECEIPTS_PER_CHUNK);
                let newest = tx.receipts(row, after, RECEIPTS_PER_CHUNK as usize)?.into_iter();
                // The list of workers shows which items were started.
                let shown = newest.filter(|receipt| receipt.outcome != Some(ItemReport::Started));
                receipts.extend(shown.map(|receipt| receipt_row(number, receipt)));
            }
            let facts = ProcessFacts::read(tx, &task, &batch)?;
            Ok((header(tx, &task, &batch)?, facts, workers(tx, &task)?, receipts))
        })?;
        let workers = facts.check(session, &self.prefix, &mut header, workers)?;
        let chunks = chunks.into_iter().map(|chunk| chunk.shown).collect();
        Ok(Update { header, chunks, workers, receipts })
    }

    /// Reads every chunk. Each page is a read of its own, so that no read transaction takes long.
    fn all_chunks(&mut self, session: &Session) -> Result<Vec<ChangedChunk>> {
        let id = self.batch.clone();
        let (batch, since) =
            session.read(move |tx| Ok((find_batch(tx, &id)?.0.row, tx.latest_change_number()?)))?;
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = session.read(move |tx| tx.chunks(batch, after, PAGE_ROWS))?;
            let Some((last, _)) = page.last() else { break };
            after = last.number;
            all.extend(page.into_iter().map(|(chunk, task)| changed_chunk(&chunk, task)));
        }
        self.since = Some(since);
        Ok(all)
    }

    /// Reads the chunks that changed after a change.
    fn changed_chunks(&mut self, session: &Session, mut since: u64) -> Result<Vec<ChangedChunk>> {
        let mut all = Vec::new();
        loop {
            let id = self.batch.clone();
            let (page, next, has_more) = session.read(move |tx| {
                let sequence = tx.latest_change_number()?;
                if sequence == since {
                    return Ok((Vec::new(), since, false));
                }
                let filter = TaskFilter::children_of(tx.task(&id)?.row);
                let tasks = tx.tasks_changed_since(&filter, since, PAGE_ROWS)?;
                let has_more = tasks.len() == PAGE_ROWS;
                let next = tasks.last().filter(|_| has_more).map_or(sequence, |last| last.change_number);
                let mut page = Vec::new();
                for task in tasks {
                    if let Some(chunk) = tx.chunk(&task)? {
                        page.push(changed_chunk(&chunk, task));
                    }
                }
                Ok((page, next, has_more))
            })?;
            all.extend(page);
            since = next;
            if !has_more {
                self.since = Some(since);
                return Ok(all);
            }
        }
    }
}

fn changed_chunk(chunk: &Chunk, task: Task) -> ChangedChunk {
    let shown = ChunkRow {
        number: chunk.number,
        title: visible_excerpt(span(&task.title), CHARS),
        status: task.status,
        step: chunk.step,
        counts: chunk.counts,
        change: task.change_number,
        id: task.id,
    };
    ChangedChunk { row: task.row, receipts: task.receipt_count, shown }
}

/// A chunk's title without its number (`…, chunk 1 of 21`) or, in stores of earlier versions, its counts (`…: 12 of 50`) at
/// the end: both have columns of their own.
fn span(title: &str) -> &str {
    let is_count = |text: &str| {
        let (some, all) = text.split_once(" of ")?;
        Some(some.parse::<u64>().is_ok() && all.parse::<u64>().is_ok())
    };
    match title.rsplit_once(", chunk ").or_else(|| title.rsplit_once(": ")) {
        Some((span, text)) if is_count(text) == Some(true) => span,
        _ => title,
    }
}

fn header(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<BatchHeader> {
    let view = batch_view(tx, task, batch)?;
    let categories = tx.category_counts(task.row)?.into_iter();
    let status = batch.status(task.status, tx.has_workable_chunk(task.row)?);
    // The reason stays in the store until the batch is resumed, also if it was cancelled or has ended.
    let paused = batch.pause_reason.as_deref().filter(|_| status == BatchStatus::Paused);
    Ok(BatchHeader {
        id: task.id.clone(),
        title: visible_excerpt(&task.title, CHARS),
        status,
        step: visible_excerpt(&view.step, CHARS),
        step_number: (0..batch.steps.count())
            .find(|n| batch.steps.name(*n) == view.step)
            .map_or(1, |n| n + 1),
        steps: batch.steps.count(),
        paused: paused.map(|reason| visible_excerpt(reason, CHARS)),
        counts: batch.counts,
        in_doubt: view.in_doubt,
        has_unresolved_failures: failures_of(tx, task, batch)?.are_unresolved(),
        categories: categories.map(|(name, count)| (visible_excerpt(&name, CHARS), count)).collect(),
        chunks: batch.chunk_count,
        per_minute: view.per_minute,
        seconds_left: view.seconds_left,
        stopped: None,
        runner: None,
        now: tx.now(),
    })
}

fn workers(tx: &dyn StoreRead, batch: &Task) -> Result<Vec<(WorkerRow, Option<Token>)>> {
    let claimed = TaskFilter::children_of(batch.row).with_status(Status::InProgress);
    let mut workers = Vec::new();
    for task in tx.list(&claimed, None, MAX_WORKERS)? {
        let (Some(claim), Some(chunk)) = (&task.claim, tx.chunk(&task)?) else { continue };
        let started = tx.started_items(&chunk)?;
        let by_this_claim = started
            .iter()
            .filter_map(|item| item.started.map(|started| (started, item)))
            .filter(|(started, _)| started.generation == task.generation);
        let item = by_this_claim.max_by_key(|(started, _)| started.receipt).map(|(_, item)| &item.key);
        let worker = WorkerRow {
            name: visible_excerpt(&claim.worker, CHARS),
            chunk: chunk.number,
            item: item.map(|key| visible_excerpt(key, CHARS)),
            claimed_at: claim.claimed_at,
            last_change: task.updated,
            is_expired: task.live_claim(tx.now()).is_none(),
            has_died: false,
        };
        workers.push((worker, claim.token.clone()));
    }
    Ok(workers)
}

fn receipt_row(chunk: u64, receipt: Receipt) -> ReceiptRow {
    ReceiptRow {
        at: receipt.at,
        chunk,
        number: receipt.number,
        // The kind comes first, so that no name can look like it.
        author: format!(
            "{} {}",
            kind_word(receipt.author_kind),
            visible_excerpt(&receipt.author, AUTHOR_CHARS)
        ),
        outcome: receipt.outcome.map(|outcome| outcome.as_str()),
        text: visible_excerpt(&receipt.display_text().replace('\n', " "), CHARS),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_title_is_shown_without_what_has_a_column_of_its_own() {
        fn check(title: &str, shown: &str) {
            assert_eq!(span(title), shown);
        }
        check("Nov 2025, chunk 10 of 21", "Nov 2025");
        check("Nov 2025 (2/2): 31 of 84", "Nov 2025 (2/2)");
        check("kind: fix, chunk 2 of 3", "kind: fix");
        check("Sorted, chunk by chunk", "Sorted, chunk by chunk");
        check("Items 1-20", "Items 1-20");
    }
}
