//! The state of a watched batch, and how an update changes it.

use std::collections::VecDeque;

use crate::model::batch::{BatchStatus, ItemCounts};
use crate::model::id::TaskId;
use crate::model::split::number_width;
use crate::model::status::Status;
use crate::model::timestamp::Timestamp;

/// How many of the newest receipts are kept.
const MAX_RECEIPTS: usize = 100;

/// The batch as a whole.
#[derive(Debug, Clone)]
pub(super) struct BatchHeader {
    pub(super) id: TaskId,
    pub(super) title: String,
    pub(super) status: BatchStatus,
    /// The name of the current step.
    pub(super) step: String,
    /// The number of the current step, from 1.
    pub(super) step_number: usize,
    pub(super) steps: usize,
    /// The reason if the batch is paused.
    pub(super) paused: Option<String>,
    pub(super) counts: ItemCounts,
    pub(super) in_doubt: u64,
    /// Whether something failed that nobody has retried or accepted.
    pub(super) has_unresolved_failures: bool,
    /// Categories with their counts, largest first.
    pub(super) categories: Vec<(String, u64)>,
    pub(super) chunks: u64,
    pub(super) per_minute: Option<f64>,
    pub(super) seconds_left: Option<u64>,
    /// What is wrong, with the command that continues the batch, if the processes that worked on it have died.
    pub(super) stopped: Option<String>,
    /// The runner that works on it in the background, in a sentence.
    pub(super) runner: Option<String>,
    /// When this was read.
    pub(super) now: Timestamp,
}

/// A chunk in the list.
#[derive(Debug, Clone)]
pub(super) struct ChunkRow {
    pub(super) number: u64,
    pub(super) id: TaskId,
    pub(super) title: String,
    pub(super) status: Status,
    /// The number of its current step, from 0.
    pub(super) step: usize,
    pub(super) counts: ItemCounts,
    /// The number of its last change.
    pub(super) change: u64,
}

impl ChunkRow {
    /// Whether the chunk waits for a person.
    pub(super) fn needs_person(&self) -> bool {
        matches!(self.status, Status::Review | Status::Failed | Status::Blocked)
    }
}

/// A worker that holds a chunk.
#[derive(Debug, Clone)]
pub(super) struct WorkerRow {
    pub(super) name: String,
    /// The chunk's number.
    pub(super) chunk: u64,
    /// The item that it started last, if it reports that.
    pub(super) item: Option<String>,
    pub(super) claimed_at: Timestamp,
    /// When its chunk last changed.
    pub(super) last_change: Timestamp,
    pub(super) is_expired: bool,
    /// Whether the process that holds the claim has died.
    pub(super) has_died: bool,
}

/// A receipt in the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReceiptRow {
    pub(super) at: Timestamp,
    /// The chunk's number; 0 for the batch itself.
    pub(super) chunk: u64,
    pub(super) number: u64,
    /// The kind and the name of its author.
    pub(super) author: String,
    pub(super) outcome: Option<&'static str>,
    pub(super) text: String,
}

/// What was read from the store at once.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) header: BatchHeader,
    /// New and changed chunks.
    pub(super) chunks: Vec<ChunkRow>,
    /// All workers.
    pub(super) workers: Vec<WorkerRow>,
    /// Receipts that may be new.
    pub(super) receipts: Vec<ReceiptRow>,
}

/// What got another status by an update.
#[derive(Debug, PartialEq)]
pub(super) enum StatusChange {
    /// The chunk with this number.
    Chunk(u64),
    /// The batch.
    Batch,
}

/// The state of a batch.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) header: BatchHeader,
    /// In order of their numbers.
    pub(super) chunks: Vec<ChunkRow>,
    pub(super) workers: Vec<WorkerRow>,
    /// Oldest first.
    pub(super) receipts: VecDeque<ReceiptRow>,
}

impl Board {
    /// The state after the first update.
    pub(super) fn new(update: Update) -> Self {
        let Update { header, mut chunks, workers, receipts } = update;
        chunks.sort_by_key(|chunk| chunk.number);
        let mut board = Board { header, chunks, workers, receipts: receipts.into() };
        board.drop_old_receipts();
        board
    }

    /// Applies a later update, and returns what changed its status.
    pub(super) fn apply(&mut self, update: Update) -> Vec<StatusChange> {
        let mut changes = Vec::new();
        for chunk in update.chunks {
            match self.chunks.binary_search_by_key(&chunk.number, |known| known.number) {
                Ok(at) => {
                    if self.chunks[at].status != chunk.status {
                        changes.push(StatusChange::Chunk(chunk.number));
                    }
                    self.chunks[at] = chunk;
                }
                Err(at) => self.chunks.insert(at, chunk),
            }
        }
        if self.header.status != update.header.status {
            changes.push(StatusChange::Batch);
        }
        self.header = update.header;
        self.workers = update.workers;
        for receipt in update.receipts {
            let is_same = |known: &ReceiptRow| (known.chunk, known.number) == (receipt.chunk, receipt.number);
            if !self.receipts.iter().any(is_same) {
                self.receipts.push_back(receipt);
            }
        }
        self.drop_old_receipts();
        changes
    }

    /// Sorts the receipts and keeps the newest.
    fn drop_old_receipts(&mut self) {
        let order = |receipt: &ReceiptRow| (receipt.at, receipt.chunk, receipt.number);
        self.receipts.make_contiguous().sort_by_key(order);
        let excess = self.receipts.len().saturating_sub(MAX_RECEIPTS);
        self.receipts.drain(..excess);
    }

    /// The chunk with a number.
    pub(super) fn chunk(&self, number: u64) -> Option<&ChunkRow> {
        let at = self.chunks.binary_search_by_key(&number, |known| known.number).ok()?;
        self.chunks.get(at)
    }

    /// How much of the work is done, and how much there is: each item counts once per step.
    pub(super) fn work(&self) -> (u64, u64) {
        let (counts, steps) = (self.header.counts, self.header.steps as u64);
        if steps <= 1 {
            return (counts.processed(), counts.total);
        }
        let done_in = |chunk: &ChunkRow| match chunk.status {
            Status::Done => chunk.counts.total * steps,
            _ => chunk.counts.total * chunk.step as u64 + chunk.counts.processed(),
        };
        (self.chunks.iter().map(done_in).sum(), counts.total * steps)
    }

    /// The number of the first chunk in progress.
    pub(super) fn first_in_progress(&self) -> Option<u64> {
        self.chunks.iter().find(|chunk| chunk.status == Status::InProgress).map(|chunk| chunk.number)
    }

    /// How many chunks are in a status.
    pub(super) fn count_in(&self, status: Status) -> u64 {
        self.chunks.iter().filter(|chunk| chunk.status == status).count() as u64
    }

    /// The worker that holds a chunk.
    pub(super) fn worker_of(&self, chunk: u64) -> Option<&WorkerRow> {
        self.workers.iter().find(|worker| worker.chunk == chunk)
    }

    /// How many digits a chunk's number has.
    pub(super) fn digits(&self) -> usize {
        number_width(self.header.chunks)
    }
}
