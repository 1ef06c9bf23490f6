//! The contents of a report.

use crate::model::author::AuthorKind;
use crate::model::batch::ItemCounts;
use crate::model::cost::CostSum;
use crate::model::failures::Failures;
use crate::model::text::{agreeing, counted};
use crate::model::timestamp::Timestamp;
use crate::ops::BatchView;

/// The categories that a line names; the rest is summed up.
const SHOWN_CATEGORIES: usize = 20;

/// The record of a person's acceptance of failures.
pub(super) struct Acceptance {
    pub(super) at: Timestamp,
    /// By whom, what and why, as a sentence.
    pub(super) text: String,
}

/// The batch and its plan.
pub(super) struct Summary {
    /// The batch as `get_batch` returns it.
    pub(super) batch: BatchView,
    pub(super) counts: ItemCounts,
    /// What failed, and whether a person accepted it.
    pub(super) failures: Failures,
    /// Who accepted the failures, with the note; `None` if nobody did, or if the store does not know it.
    pub(super) acceptance: Option<Acceptance>,
    /// Whether the batch has ended.
    pub(super) is_over: bool,
    /// Chunks that were worked to their end.
    pub(super) completed_chunks: u64,
    /// Chunks that contain failed items.
    pub(super) chunks_with_failures: u64,
    /// Whether its workers are commands, whose output is kept.
    pub(super) has_commands: bool,
    /// Where the items of `tasktally run` came from.
    pub(super) source: Option<String>,
    pub(super) project: Option<String>,
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
            ("items from", self.source.clone()),
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

    /// The other results, a sentence each: categories, cost, and what is in the way of the rest.
    pub(super) fn more_results(&self) -> Vec<String> {
        let mut sentences = vec![self.chunks_sentence()];
        sentences.extend(self.failures_sentence());
        let categories = self.categories();
        if !categories.is_empty() {
            sentences.push(format!("Categories: {categories}."));
        }
        if let Some(spent) = &self.batch.spent {
            let CostSum { cost, tokens_in, tokens_out } = spent.all;
            sentences.push(format!("Cost: {cost}; {tokens_in} tokens in, {tokens_out} tokens out."));
        }
        if self.batch.begun > 0 {
            let (begun, doubt) = (self.batch.begun, self.batch.in_doubt);
            sentences.push(format!("Begun and not settled: {begun} items, {doubt} of them in doubt."));
        }
        if let Some(reason) = &self.batch.paused {
            sentences.push(format!("Paused: {reason}"));
        }
        sentences
    }

    /// The number of failed items, and whether they are accepted.
    pub(super) fn failed(&self) -> String {
        let accepted = if self.failures.are_accepted { " (accepted)" } else { "" };
        format!("{} failed{accepted}", self.counts.failed)
    }

    fn chunks_sentence(&self) -> String {
        let failed_items = match self.chunks_with_failures {
            0 => String::new(),
            count => format!(
                "; {} {} failed items",
                counted(count, "chunk"),
                agreeing(count, "contains", "contain")
            ),
        };
        format!("{} of {} chunks completed{failed_items}.", self.completed_chunks, self.batch.chunks)
    }

    /// What was decided about the failures; `None` if nothing failed, or if the batch is still at work.
    pub(super) fn failures_sentence(&self) -> Option<String> {
        if self.failures.is_none() {
            return None;
        }
        match (&self.acceptance, self.failures.are_accepted) {
            (Some(Acceptance { at, text }), true) => Some(format!("Failures accepted, {at}: {text}")),
            (None, true) => Some("The failures were accepted: see Decisions.".to_owned()),
            (_, false) if self.is_over => {
                Some("The failures were neither accepted nor opened again.".to_owned())
            }
            (_, false) => None,
        }
    }

    /// The most frequent categories with their counts, and how many others there are.
    pub(super) fn categories(&self) -> String {
        let all = &self.batch.categories;
        let mut shown: Vec<String> =
            all.iter().take(SHOWN_CATEGORIES).map(|(name, count)| format!("{name} {count}")).collect();
        if all.len() > SHOWN_CATEGORIES {
            let rest: u64 = all.values().skip(SHOWN_CATEGORIES).filter_map(serde_json::Value::as_u64).sum();
            shown.push(format!("{rest} in {} other categories", all.len() - SHOWN_CATEGORIES));
        }
        shown.join(", ")
    }
}

/// A chunk's categories as they are shown: all of a few, or the largest and the sum of the rest.
pub(super) fn shortened(categories: &[(String, u64)]) -> Vec<(String, u64)> {
    let (shown, rest) = categories.split_at(categories.len().min(SHOWN_CATEGORIES));
    let mut shown = shown.to_vec();
    if !rest.is_empty() {
        shown.push((format!("{} others", rest.len()), rest.iter().map(|(_, count)| count).sum()));
    }
    shown
}

/// A chunk's line in the table, or the line with the sums.
pub(super) struct ChunkLine {
    /// The chunk's number, as in the names of the files.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) status: String,
    /// How often it was claimed; `None` for the sums.
    pub(super) attempts: Option<i64>,
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
    /// The number of the receipt that says why; 0 if there is none.
    pub(super) receipt: u64,
    pub(super) reason: String,
}

/// An item with its result.
pub(super) struct ItemLine {
    /// The chunk's number.
    pub(super) chunk: String,
    pub(super) item: String,
    /// Its outcome, or what it is without one.
    pub(super) outcome: &'static str,
    pub(super) category: Option<String>,
    /// The number of the receipt that settled it; 0 if there is none.
    pub(super) receipt: u64,
    pub(super) text: String,
}

/// A decision of a person, a note on the batch, or a chunk that waits for a decision.
pub(super) struct DecisionLine {
    /// The chunk's number; `None` for the batch itself.
    pub(super) chunk: Option<String>,
    /// When it was written; `None` if the decision is still to come.
    pub(super) at: Option<Timestamp>,
    pub(super) author: String,
    /// What the author is; `None` if the store does not know it.
    pub(super) author_kind: Option<AuthorKind>,
    pub(super) text: String,
}

/// What one model, worker or category cost.
pub(super) struct CostLine {
    /// What the sum covers: `all`, `model`, `worker` or `category`.
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) sum: CostSum,
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
            [] => format!(
                "{} {} unchanged (hash chain)",
                counted(self.receipts, "receipt"),
                agreeing(self.receipts, "is", "are")
            ),
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
