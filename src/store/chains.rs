//! The receipts' hash chains of a whole store, followed to their ends.

use std::collections::HashMap;

use super::{StoreRead, TaskFilter};
use crate::error::Result;
use crate::model::chain::{Chain, Head};
use crate::model::limits::PAGE;
use crate::model::task::Task;
use crate::model::text::excerpt;

/// What a walk over all chains came to.
#[derive(Debug, Default)]
pub struct ChainReport {
    /// Tasks that were looked at.
    pub tasks: u64,
    /// Receipts that were looked at.
    pub receipts: u64,
    /// The first thing that is not as it was written.
    pub problem: Option<String>,
}

/// Follows every task's chain, and compares it with heads that were noted elsewhere; ends at the first
/// receipt that is not as it was written. Where all are, looks whether every item is accounted for.
///
/// # Errors
/// Where the store cannot be read.
pub fn verify_chains(tx: &dyn StoreRead, noted: Vec<Head>) -> Result<ChainReport> {
    let mut noted: HashMap<String, Head> =
        noted.into_iter().map(|head| (head.task.to_string(), head)).collect();
    let mut walked = ChainReport::default();
    for_each_task(tx, |task| {
        walked.tasks += 1;
        let head = noted.remove(task.id.as_str());
        let mut then = None;
        let chain = read_chain(tx, task, &mut |chain| {
            if head.as_ref().is_some_and(|head| head.number == chain.number()) {
                then = Some(chain.head());
            }
        })?;
        walked.receipts += chain.number();
        walked.problem = if let Some(number) = chain.bad() {
            Some(format!("task {}: receipt {number} is not as it was written", task.id))
        } else if !chain.is_whole(task.receipts) {
            Some(format!("task {}: {} of {} receipts are there", task.id, chain.number(), task.receipts))
        } else {
            head.and_then(|head| differs(&head, then.as_deref(), chain.number()))
        };
        Ok(walked.problem.is_none())
    })?;
    if walked.problem.is_none()
        && let Some(gone) = noted.into_keys().min()
    {
        walked.problem =
            Some(format!("task {}: it was there when its head was noted, and is gone", excerpt(&gone)));
    }
    if walked.problem.is_none() {
        walked.problem = tx.first_count_mismatch()?;
    }
    Ok(walked)
}

/// How a chain differs from its head of earlier, where it stood `then`.
fn differs(head: &Head, then: Option<&str>, now: u64) -> Option<String> {
    match then {
        None => Some(format!(
            "task {}: {now} receipts are there, {} were when its head was noted",
            head.task, head.number
        )),
        Some(then) if then != head.hash => Some(format!(
            "task {}: its receipts up to {} were written anew since its head was noted",
            head.task, head.number
        )),
        Some(_) => None,
    }
}

/// Calls `visit` with every task, until it says that it has seen enough.
///
/// # Errors
/// What `visit` refused, or where the store cannot be read.
pub fn for_each_task(tx: &dyn StoreRead, mut visit: impl FnMut(&Task) -> Result<bool>) -> Result<()> {
    let mut after = None;
    loop {
        let page = tx.list(&TaskFilter::default(), after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.priority, last.order, last.row));
        for task in &page {
            if !visit(task)? {
                return Ok(());
            }
        }
    }
}

/// Follows a task's chain to its end, or to the first receipt that is not as it was written; shows each step.
///
/// # Errors
/// Where the store cannot be read.
pub fn read_chain(tx: &dyn StoreRead, task: &Task, show: &mut dyn FnMut(&Chain)) -> Result<Chain> {
    let mut chain = Chain::begin();
    loop {
        let page = tx.hashed_receipts(task.row, chain.number(), PAGE)?;
        if page.is_empty() || chain.bad().is_some() {
            return Ok(chain);
        }
        for (receipt, hash) in page {
            chain.take(task.id.as_str(), &receipt, hash);
            show(&chain);
        }
    }
}
