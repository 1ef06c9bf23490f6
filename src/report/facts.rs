//! What a report tells, part by part, in the order of its pages.

use crate::model::batch::Counts;
use crate::model::receipt::Receipt;
use crate::model::timestamp::Timestamp;
use crate::ops::BatchView;

use super::timeline::Timeline;

/// The batch and its plan.
pub(super) struct Opening {
    /// As `get_batch` shows it.
    pub(super) batch: BatchView,
    pub(super) counts: Counts,
    pub(super) project: Option<String>,
    pub(super) instructions: String,
    pub(super) key: String,
    pub(super) split: String,
    pub(super) max_chunk: i64,
    pub(super) max_parallel: i64,
    pub(super) max_attempts: i64,
    /// The program that `tasktally run` works it with; its arguments may be secret.
    pub(super) program: Option<String>,
    /// The names of its steps, where it has several.
    pub(super) steps: Option<String>,
    /// After what a person is asked, if after anything.
    pub(super) checkpoint: Option<String>,
    /// What becomes of items in doubt.
    pub(super) in_doubt: String,
    pub(super) created: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) updated: Timestamp,
    /// The moment that the report shows.
    pub(super) now: Timestamp,
    /// The store's number of the latest change at that moment.
    pub(super) sequence: u64,
}

impl Opening {
    /// The plan as names and values; what was not set is left out.
    pub(super) fn plan(&self) -> Vec<(&'static str, String)> {
        let mut plan = vec![
            ("items", self.counts.total.to_string()),
            ("chunks", self.batch.chunks.to_string()),
            ("split", self.split.clone()),
            ("items a chunk, at most", self.max_chunk.to_string()),
            ("workers at once, at most", self.max_parallel.to_string()),
            ("claims of a chunk, at most", self.max_attempts.to_string()),
            ("field that names an item", self.key.clone()),
        ];
        let optional = [
            ("project", self.project.clone()),
            ("steps", self.steps.clone()),
            ("a person is asked", self.checkpoint.clone()),
            ("items in doubt", Some(self.in_doubt.clone())),
            ("worked by the profile", self.batch.worker.clone()),
            ("finish task", self.batch.finish.clone()),
            ("worked by tasktally run with", self.program.clone()),
            ("first claim", self.started.map(|at| at.to_string())),
        ];
        plan.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        plan.extend([
            ("created", self.created.to_string()),
            ("last change", self.updated.to_string()),
            ("this report shows", format!("the store at {}, change {}", self.now, self.sequence)),
        ]);
        plan
    }
}

/// A chunk's line in the table, or the sum of all.
pub(super) struct Row {
    /// The number as the files' names have it.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) status: String,
    pub(super) attempts: i64,
    pub(super) counts: Counts,
    pub(super) categories: Vec<(String, u64)>,
    pub(super) worker: Option<String>,
}

/// Something that failed.
pub(super) struct Failure {
    /// The chunk's number.
    pub(super) chunk: String,
    /// The item; none where the chunk itself failed.
    pub(super) item: Option<String>,
    pub(super) category: Option<String>,
    pub(super) reason: String,
}

/// Whose receipts follow.
pub(super) struct Fold {
    /// The chunk's number; none for the batch's own.
    pub(super) chunk: Option<String>,
    pub(super) title: String,
    pub(super) receipts: u64,
}

/// Whether what the store holds adds up.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Chunks seen, and how many the batch says it has.
    pub chunks: (u64, u64),
    /// Items processed: the sum over chunks, the sum over categories, and what the batch says.
    pub processed: (u64, u64, u64),
    /// Receipts read.
    pub receipts: u64,
    /// Tasks whose receipts are not as they were written.
    pub broken: Vec<String>,
}

impl Checks {
    /// Whether all is as it should be.
    pub fn hold(&self) -> bool {
        let (by_chunk, by_category, told) = self.processed;
        self.chunks.0 == self.chunks.1 && by_chunk == told && by_category == told && self.broken.is_empty()
    }

    /// Each check in a sentence, and whether it holds.
    pub(super) fn sentences(&self) -> [(String, bool); 3] {
        let (by_chunk, by_category, told) = self.processed;
        let (seen, planned) = self.chunks;
        let chain = match self.broken.as_slice() {
            [] => format!("{} receipts are as they were written (hash chain)", self.receipts),
            broken => format!("receipts are not as they were written in {}", broken.join(", ")),
        };
        [
            (
                format!("{seen} of {planned} chunks add up to {by_chunk} of {told} items processed"),
                seen == planned && by_chunk == told,
            ),
            (format!("categories add up to {by_category} of {told} items processed"), by_category == told),
            (chain, self.broken.is_empty()),
        ]
    }
}

/// A part of the report.
pub(super) enum Part<'a> {
    Opening(&'a Opening),
    Timeline(&'a Timeline),
    ChunksBegin,
    Chunk(&'a Row),
    /// The sum of all chunks, as the batch has it.
    ChunksEnd(&'a Row),
    FailuresBegin,
    Failure(&'a Failure),
    /// How many there were.
    FailuresEnd(u64),
    ReceiptsBegin,
    FoldBegin(&'a Fold),
    Receipt(&'a Receipt),
    /// The last receipt's hash, and whether the chain up to it is whole.
    FoldEnd {
        head: &'a str,
        whole: bool,
    },
    End(&'a Checks),
}
