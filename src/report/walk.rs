//! Reads a batch at one moment of the store and hands its report on part by part.

use super::facts::{Checks, Failure, Fold, Opening, Part, Row};
use super::timeline::Timeline;
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::chain::Chain;
use crate::model::id::TaskId;
use crate::model::limits::PAGE;
use crate::model::split::number_width;
use crate::model::status::{Outcome, Status};
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::ops::batch_view;
use crate::ops::{find_batch, for_each_chunk, for_each_item};
use crate::store::Read;

/// Takes each part as it comes.
type Put<'a> = &'a mut dyn FnMut(&Part<'_>) -> Result<()>;

/// Walks over a batch; gives whether what was seen adds up.
pub(super) fn walk(tx: &dyn Read, id: &TaskId, put: Put<'_>) -> Result<Checks> {
    let (task, batch) = find_batch(tx, id)?;
    let walk = Walk { tx, width: number_width(batch.chunks), task: &task, batch: &batch };
    put(&Part::Opening(&walk.opening()?))?;
    put(&Part::Timeline(&walk.timeline()?))?;
    let mut checks = walk.chunks(put)?;
    walk.failures(put)?;
    walk.receipts(put, &mut checks)?;
    put(&Part::End(&checks))?;
    Ok(checks)
}

struct Walk<'a> {
    tx: &'a dyn Read,
    task: &'a Task,
    batch: &'a Batch,
    /// Digits of a chunk's number.
    width: usize,
}

impl Walk<'_> {
    fn opening(&self) -> Result<Opening> {
        let batch = self.batch;
        Ok(Opening {
            batch: batch_view(self.tx, self.task, batch)?,
            counts: batch.counts,
            project: self.task.project.clone(),
            instructions: told(batch),
            key: batch.key.clone(),
            split: batch.split.clone(),
            max_chunk: batch.max_chunk,
            max_parallel: batch.max_parallel,
            max_attempts: batch.max_attempts,
            program: batch.command.as_ref().and_then(|words| words.first().cloned()),
            steps: (batch.steps.count() > 1).then(|| {
                let names: Vec<&str> =
                    (0..batch.steps.count()).map(|number| batch.steps.name(number)).collect();
                names.join(", then ")
            }),
            checkpoint: match batch.checkpoint {
                Checkpoint::None => None,
                Checkpoint::Chunk => Some("after each chunk".to_owned()),
                Checkpoint::Step => Some("after each step".to_owned()),
            },
            in_doubt: batch.in_doubt.to_string(),
            created: self.task.created,
            started: batch.started,
            updated: self.task.updated,
            now: self.tx.now(),
            sequence: self.tx.sequence()?,
        })
    }

    fn name(&self, number: u64) -> String {
        format!("{number:0width$}", width = self.width)
    }

    fn timeline(&self) -> Result<Timeline> {
        let mut timeline = Timeline::default();
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            let mut after = 0;
            loop {
                let page = self.tx.receipts(task.row, after, PAGE)?;
                let Some(last) = page.last() else { return Ok(!timeline.cut) };
                after = last.number;
                page.iter().for_each(|receipt| timeline.take(chunk.number, receipt));
            }
        })?;
        Ok(timeline)
    }

    fn chunks(&self, put: Put<'_>) -> Result<Checks> {
        let mut checks = Checks::default();
        put(&Part::ChunksBegin)?;
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            checks.chunks.0 += 1;
            checks.processed.0 += chunk.counts.processed();
            put(&Part::Chunk(&Row {
                name: self.name(chunk.number),
                title: task.title.clone(),
                status: task.status.to_string(),
                attempts: chunk.attempts,
                counts: chunk.counts,
                categories: self.tx.categories(task.row)?,
                worker: task.claim.as_ref().map(|claim| claim.worker.clone()),
            }))?;
            Ok(true)
        })?;
        let sum = Row {
            name: String::new(),
            title: format!("{} chunks", self.batch.chunks),
            status: self.batch.status(self.task.status, self.tx.is_workable(self.task.row)?).to_string(),
            attempts: 0,
            counts: self.batch.counts,
            categories: self.tx.categories(self.task.row)?,
            worker: None,
        };
        checks.chunks.1 = self.batch.chunks;
        checks.processed.1 = sum.categories.iter().map(|(_, count)| count).sum();
        checks.processed.2 = self.batch.counts.processed();
        put(&Part::ChunksEnd(&sum))?;
        Ok(checks)
    }

    fn failures(&self, put: Put<'_>) -> Result<()> {
        let mut count = 0;
        put(&Part::FailuresBegin)?;
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            let reason = |number: u64| -> Result<String> {
                Ok(self.tx.receipt(task.row, number)?.map(|receipt| receipt.text).unwrap_or_default())
            };
            let mut tell = |item: Option<String>, category: Option<String>, receipt: u64| {
                count += 1;
                let chunk = self.name(chunk.number);
                put(&Part::Failure(&Failure { chunk, item, category, reason: reason(receipt)? }))
            };
            if task.status == Status::Failed {
                tell(None, None, task.receipts)?;
            }
            if chunk.counts.failed == 0 {
                return Ok(true);
            }
            for_each_item(self.tx, task.row, |item| match item.settled {
                Some(settled) if settled.outcome == Outcome::Failed => {
                    tell(Some(item.key), settled.category, settled.receipt)
                }
                _ => Ok(()),
            })?;
            Ok(true)
        })?;
        put(&Part::FailuresEnd(count))
    }

    fn receipts(&self, put: Put<'_>, checks: &mut Checks) -> Result<()> {
        put(&Part::ReceiptsBegin)?;
        if self.task.receipts > 0 {
            self.fold(None, self.task, put, checks)?;
        }
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            self.fold(Some(self.name(chunk.number)), &task, put, checks)?;
            Ok(true)
        })
    }

    fn fold(&self, chunk: Option<String>, task: &Task, put: Put<'_>, checks: &mut Checks) -> Result<()> {
        put(&Part::FoldBegin(&Fold { chunk, title: task.title.clone(), receipts: task.receipts }))?;
        let (mut chain, mut after) = (Chain::begin(), 0);
        loop {
            let page = self.tx.hashed_receipts(task.row, after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = last.number;
            for (receipt, hash) in page {
                chain.take(task.id.as_str(), &receipt, hash);
                put(&Part::Receipt(&receipt))?;
            }
        }
        checks.receipts += chain.number();
        let whole = chain.is_whole(task.receipts);
        // A list of all that is broken could be as long as the batch.
        if !whole && checks.broken.len() < 20 {
            checks.broken.push(task.id.to_string());
        }
        put(&Part::FoldEnd { head: &chain.head(), whole })
    }
}

/// What workers were told: the batch's instructions, then those of each step.
fn told(batch: &Batch) -> String {
    let mut told = batch.instructions.clone();
    for step in (0..).map_while(|number| batch.steps.get(number)) {
        let only: Vec<&str> = step.only_categories.iter().map(|category| category.as_str()).collect();
        let only = if only.is_empty() { String::new() } else { format!(" (only {})", only.join(", ")) };
        told += &format!("\n\nStep '{}'{only}: {}", step.name.as_str(), step.instructions.as_str());
    }
    told
}
