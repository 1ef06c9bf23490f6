//! Verification of the receipts' hash chains of a whole store.

use std::collections::HashMap;

use super::content_check::content_problem;
use super::{StoreRead, TaskFilter};
use crate::error::Result;
use crate::model::batch::Chunk;
use crate::model::chain::{ChainHead, ChainVerifier};
use crate::model::limits::PAGE_ROWS;
use crate::model::receipt::Receipt;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::excerpt;

/// The result of a verification.
#[derive(Debug, Default)]
pub struct ChainReport {
    /// How many tasks were read.
    pub tasks: u64,
    /// How many receipts were read.
    pub receipts: u64,
    /// How many items the chunks that were read contain.
    pub items: u64,
    /// How many tasks have no content hash.
    pub unhashed: u64,
    /// The first error that was found.
    pub problem: Option<String>,
}

/// Verifies the hash chain and the content of every task and compares them with `exported_heads`. Stops at the first task
/// that was altered. If none was, compares all counts, item outcomes and statuses with the rows as well.
///
/// # Errors
/// If the store cannot be read.
pub fn verify_chains(tx: &dyn StoreRead, exported_heads: Vec<ChainHead>) -> Result<ChainReport> {
    let mut heads: HashMap<String, ChainHead> =
        exported_heads.into_iter().map(|head| (head.task.to_string(), head)).collect();
    let mut report = ChainReport::default();
    for_each_task(tx, |task| {
        report.tasks += 1;
        let head = heads.remove(task.id.as_str());
        let is_at_head =
            |chain: &ChainVerifier| head.as_ref().is_some_and(|head| head.number == chain.receipt_count());
        let genesis = ChainVerifier::at_genesis();
        let mut hash_at_head = is_at_head(&genesis).then(|| genesis.head_hash());
        let mut notes = ReviewNotes::default();
        let chain = read_chain(tx, task, &mut |chain, receipt| {
            if is_at_head(chain) {
                hash_at_head = Some(chain.head_hash());
            }
            notes.collect(task, receipt);
        })?;
        report.receipts += chain.receipt_count();
        let chunk = tx.chunk(task)?;
        report.items += chunk.as_ref().map_or(0, |chunk| chunk.counts.total);
        let content_hash = tx.content_hash(task)?;
        report.unhashed += u64::from(content_hash.is_none());
        report.problem = if let Some(number) = chain.first_invalid() {
            Some(format!("task {}: receipt {number} is not as it was written", task.id))
        } else if !chain.is_intact(task.receipt_count) {
            Some(format!(
                "task {}: {} of {} receipts are there",
                task.id,
                chain.receipt_count(),
                task.receipt_count
            ))
        } else if let Some(problem) = head
            .as_ref()
            .and_then(|head| compare_with_head(head, hash_at_head.as_deref(), chain.receipt_count()))
        {
            Some(problem)
        } else {
            let content_head = head.as_ref().and_then(|head| head.content.as_ref());
            let content = content_problem(tx, task, content_hash.as_ref(), content_head)?;
            // Chunks without a content hash come from schemas that stored no decisions.
            if content.is_some() || content_hash.is_none() {
                content
            } else {
                notes.problem(task, chunk.as_ref())
            }
        };
        Ok(report.problem.is_none())
    })?;
    if report.problem.is_none()
        && let Some(missing) = heads.into_keys().min()
    {
        report.problem = Some(format!(
            "task {}: it existed when its head was exported, and is missing now",
            excerpt(&missing)
        ));
    }
    if report.problem.is_none() {
        report.problem = tx.first_count_mismatch()?;
    }
    Ok(report)
}

/// How a chain of `receipts` receipts differs from its exported head; `hash` is its hash at the head's number.
fn compare_with_head(head: &ChainHead, hash: Option<&str>, receipts: u64) -> Option<String> {
    match hash {
        None => Some(format!(
            "task {}: {receipts} receipts are there, {} were when its head was exported",
            head.task, head.number
        )),
        Some(hash) if hash != head.hash => Some(format!(
            "task {}: its receipts up to {} were rewritten since its head was exported",
            head.task, head.number
        )),
        Some(_) => None,
    }
}

/// Calls `visit` with every task, until it returns `false`.
///
/// # Errors
/// The error of `visit`, or if the store cannot be read.
pub fn for_each_task(tx: &dyn StoreRead, mut visit: impl FnMut(&Task) -> Result<bool>) -> Result<()> {
    let mut after = None;
    loop {
        let page = tx.list(&TaskFilter::default(), after, PAGE_ROWS)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.priority, last.order, last.row));
        for task in &page {
            if !visit(task)? {
                return Ok(());
            }
        }
    }
}

/// Reads the chain of a task up to its end or to the first altered receipt. Calls `on_receipt` after each receipt.
///
/// # Errors
/// If the store cannot be read.
pub fn read_chain(
    tx: &dyn StoreRead,
    task: &Task,
    on_receipt: &mut dyn FnMut(&ChainVerifier, &Receipt),
) -> Result<ChainVerifier> {
    let mut chain = ChainVerifier::at_genesis();
    loop {
        let page = tx.hashed_receipts(task.row, chain.receipt_count(), PAGE_ROWS)?;
        if page.is_empty() || chain.first_invalid().is_some() {
            return Ok(chain);
        }
        for (receipt, hash) in page {
            chain.verify_next(task.id.as_str(), &receipt, hash);
            on_receipt(&chain, &receipt);
        }
    }
}

/// The texts of the receipts in which a chunk was sent back by a review.
#[derive(Default)]
struct ReviewNotes(String);

impl ReviewNotes {
    fn collect(&mut self, task: &Task, receipt: &Receipt) {
        if task.is_chunk && receipt.decision == Some(Decision::Redo) {
            self.0.push_str(&receipt.text);
            self.0.push('\n');
        }
    }

    /// The next worker of a chunk reads the notes of its reviews as instructions: each line has to stand in a receipt.
    fn problem(&self, task: &Task, chunk: Option<&Chunk>) -> Option<String> {
        let unknown = chunk?.review_note.lines().find(|line| !self.0.contains(line))?;
        Some(format!("task {}: no review wrote the line '{}' of its note", task.id, excerpt(unknown)))
    }
}
