//! What is known of a batch while it is watched, and what a newer look at it changes.

use std::collections::VecDeque;

use crate::model::batch::{BatchStatus, Counts};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::timestamp::Timestamp;

/// How many receipts are remembered.
const RECEIPTS: usize = 100;

/// The batch as a whole.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) id: TaskId,
    pub(super) title: String,
    pub(super) status: BatchStatus,
    /// The step under way, its number from 1, and how many there are.
    pub(super) step: String,
    pub(super) step_number: usize,
    pub(super) steps: usize,
    /// Why it is paused.
    pub(super) paused: Option<String>,
    pub(super) counts: Counts,
    pub(super) in_doubt: u64,
    /// Most first.
    pub(super) categories: Vec<(String, u64)>,
    pub(super) chunks: u64,
    pub(super) per_minute: Option<f64>,
    pub(super) seconds_left: Option<u64>,
    /// Who runs it in the background, in words.
    pub(super) runner: Option<String>,
    /// When this was read.
    pub(super) now: Timestamp,
}

/// A chunk in a line.
#[derive(Debug, Clone)]
pub(super) struct ChunkRow {
    pub(super) number: u64,
    pub(super) id: TaskId,
    pub(super) title: String,
    pub(super) status: Status,
    pub(super) counts: Counts,
    /// The number of its last change.
    pub(super) changed: u64,
}

impl ChunkRow {
    /// Whether nobody but a person moves it on.
    pub(super) fn needs_person(&self) -> bool {
        matches!(self.status, Status::Review | Status::Failed | Status::Blocked)
    }
}

/// Somebody who holds a chunk.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    pub(super) name: String,
    /// The chunk's number.
    pub(super) chunk: u64,
    /// What it began last, if it says.
    pub(super) item: Option<String>,
    pub(super) since: Timestamp,
    /// When its chunk last changed.
    pub(super) sign: Timestamp,
    /// Whether its lease has run out.
    pub(super) lost: bool,
}

/// A receipt in a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReceiptRow {
    pub(super) at: Timestamp,
    /// The chunk's number; 0 for the batch's own.
    pub(super) chunk: u64,
    pub(super) number: u64,
    pub(super) outcome: Option<&'static str>,
    pub(super) text: String,
}

/// What a look at the store found.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) head: Head,
    /// Chunks that are new or changed.
    pub(super) chunks: Vec<ChunkRow>,
    /// Everybody at work.
    pub(super) workers: Vec<Worker>,
    /// Receipts that may be new.
    pub(super) receipts: Vec<ReceiptRow>,
}

/// Something that happened between two looks.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// A chunk came to another status.
    Chunk(u64),
    /// The batch came to another status.
    Batch,
}

/// All that is known.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) head: Head,
    /// By number.
    pub(super) chunks: Vec<ChunkRow>,
    pub(super) workers: Vec<Worker>,
    /// Newest last.
    pub(super) receipts: VecDeque<ReceiptRow>,
}

impl Board {
    /// What the first look found.
    pub(super) fn new(update: Update) -> Self {
        let Update { head, mut chunks, workers, receipts } = update;
        chunks.sort_by_key(|chunk| chunk.number);
        let mut board = Board { head, chunks, workers, receipts: receipts.into() };
        board.forget();
        board
    }

    /// Takes a later look in; tells what changed its status.
    pub(super) fn apply(&mut self, update: Update) -> Vec<Change> {
        let mut changes = Vec::new();
        for chunk in update.chunks {
            match self.chunks.binary_search_by_key(&chunk.number, |known| known.number) {
                Ok(at) => {
                    if self.chunks[at].status != chunk.status {
                        changes.push(Change::Chunk(chunk.number));
                    }
                    self.chunks[at] = chunk;
                }
                Err(at) => self.chunks.insert(at, chunk),
            }
        }
        if self.head.status != update.head.status {
            changes.push(Change::Batch);
        }
        self.head = update.head;
        self.workers = update.workers;
        for receipt in update.receipts {
            let known = |known: &ReceiptRow| (known.chunk, known.number) == (receipt.chunk, receipt.number);
            if !self.receipts.iter().any(known) {
                self.receipts.push_back(receipt);
            }
        }
        self.forget();
        changes
    }

    /// Keeps the newest receipts, in their order.
    fn forget(&mut self) {
        let in_order = |receipt: &ReceiptRow| (receipt.at, receipt.chunk, receipt.number);
        self.receipts.make_contiguous().sort_by_key(in_order);
        let excess = self.receipts.len().saturating_sub(RECEIPTS);
        self.receipts.drain(..excess);
    }

    /// A chunk by its number.
    pub(super) fn chunk(&self, number: u64) -> Option<&ChunkRow> {
        let at = self.chunks.binary_search_by_key(&number, |known| known.number).ok()?;
        self.chunks.get(at)
    }

    /// How many chunks are in a status.
    pub(super) fn in_status(&self, status: Status) -> u64 {
        self.chunks.iter().filter(|chunk| chunk.status == status).count() as u64
    }

    /// Who holds a chunk.
    pub(super) fn worker_of(&self, chunk: u64) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.chunk == chunk)
    }

    /// How many digits a chunk's number takes.
    pub(super) fn digits(&self) -> usize {
        crate::model::split::number_width(self.head.chunks)
    }
}
