//! The parts of a report, in the order of its pages.

use super::timeline::Timeline;
use crate::model::batch::ItemCounts;
use crate::model::receipt::Receipt;
use crate::model::timestamp::Timestamp;
use crate::ops::BatchView;

/// The batch and its plan.
pub(super) struct Summary {
    /// The batch as `get_batch` returns it.
    pub(super) batch: BatchView,
    pub(super) counts: ItemCounts,
    pub(super) project: Option<String>,
    pub(super) instructions: String,
    pub(super) key: String,
    pub(super) split: String,
    pub(super) max_chunk: i64,
    pub(super) max_parallel: i64,
    pub(super) max_attempts: i64,
    /// The program that `tasktally run` starts for each item. Its arguments are left out: they may be secret.
    pub(super) program: Option<String>,
    /// The names of the steps, if there are several.
    pub(super) steps: Option<String>,
    /// When the batch waits for a person, if it does.
    pub(super) checkpoint: Option<String>,
    /// What happens to items in doubt.
    pub(super) in_doubt: String,
    pub(super) created: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) updated: Timestamp,
    /// The moment that the report shows.
    pub(super) now: Timestamp,
    /// The number of the store's latest change at that moment.
    pub(super) change: u64,
}

impl Summary {
    /// The plan as names and values, without the settings that the batch does not have.
    pub(super) fn plan(&self) -> Vec<(&'static str, String)> {
        let mut plan = vec![
            ("items", self.counts.total.to_string()),
            ("chunks", self.batch.chunks.to_string()),
            ("split", self.split.clone()),
            ("most items per chunk", self.max_chunk.to_string()),
            ("most workers at once", self.max_parallel.to_string()),
            ("most claims per chunk", self.max_attempts.to_string()),
            ("key field", self.key.clone()),
        ];
        let optional = [
            ("project", self.project.clone()),
            ("steps", self.steps.clone()),
            ("checkpoint", self.checkpoint.clone()),
            ("items in doubt", Some(self.in_doubt.clone())),
            ("worker profile", self.batch.worker.clone()),
            ("finish task", self.batch.finish.clone()),
            ("program of tasktally run", self.program.clone()),
            ("first claim", self.started.map(|at| at.to_string())),
        ];
        plan.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        plan.extend([
            ("created", self.created.to_string()),
            ("last change", self.updated.to_string()),
            ("this report shows", format!("the store at {}, change {}", self.now, self.change)),
        ]);
        plan
    }
}

/// A chunk's line in the table, or the line with the sums.
pub(super) struct ChunkLine {
    /// The chunk's number, as in the names of the files.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) status: String,
    pub(super) attempts: i64,
    pub(super) counts: ItemCounts,
    pub(super) categories: Vec<(String, u64)>,
    pub(super) worker: Option<String>,
}

/// A failed item or chunk.
pub(super) struct FailureLine {
    /// The chunk's number.
    pub(super) chunk: String,
    /// The item; `None` if the chunk itself failed.
    pub(super) item: Option<String>,
    pub(super) category: Option<String>,
    pub(super) reason: String,
}

/// The heading above the receipts of one task.
pub(super) struct ReceiptsHeading {
    /// The chunk's number; `None` for the batch itself.
    pub(super) chunk: Option<String>,
    pub(super) title: String,
    pub(super) receipts: u64,
}

/// Whether the numbers in the store are consistent.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Chunks that were read, and chunks that the batch should have.
    pub chunks: (u64, u64),
    /// Processed items: the sum over chunks, the sum over categories, and the batch's own counter.
    pub processed: (u64, u64, u64),
    /// Receipts that were read.
    pub receipts: u64,
    /// Tasks whose receipts were changed.
    pub broken: Vec<String>,
}

impl Checks {
    /// Whether all checks pass.
    pub fn pass(&self) -> bool {
        self.sentences().iter().all(|(_, passes)| *passes)
    }

    /// Each check as a sentence, and whether it passes.
    pub(super) fn sentences(&self) -> [(String, bool); 3] {
        let (by_chunk, by_category, total) = self.processed;
        let (read, planned) = self.chunks;
        let chain = match self.broken.as_slice() {
            [] => format!("{} receipts are unchanged (hash chain)", self.receipts),
            broken => format!("receipts were changed after they were written in {}", broken.join(", ")),
        };
        [
            (
                format!("{read} of {planned} chunks add up to {by_chunk} of {total} processed items"),
                read == planned && by_chunk == total,
            ),
            (format!("categories add up to {by_category} of {total} processed items"), by_category == total),
            (chain, self.broken.is_empty()),
        ]
    }
}

/// A part of the report.
pub(super) enum ReportPart<'a> {
    Summary(&'a Summary),
    Timeline(&'a Timeline),
    ChunksStart,
    Chunk(&'a ChunkLine),
    /// The sums of all chunks, as the batch counts them.
    ChunksEnd(&'a ChunkLine),
    FailuresStart,
    Failure(&'a FailureLine),
    /// The number of failures.
    FailuresEnd(u64),
    ReceiptsStart,
    ReceiptsHeading(&'a ReceiptsHeading),
    Receipt(&'a Receipt),
    /// The end of one task's receipts: the last hash, and whether the chain up to it is intact.
    ReceiptsEnd {
        head: &'a str,
        is_intact: bool,
    },
    End(&'a Checks),
}
