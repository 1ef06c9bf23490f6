//! Reads a batch at one moment of the store, and emits its report part by part.

use super::parts::{Checks, ChunkLine, FailureLine, ReceiptsHeading, ReportPart, Summary};
use super::timeline::Timeline;
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::chain::ChainVerifier;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::split::number_width;
use crate::model::status::{Outcome, Status};
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::ops::batch_view;
use crate::ops::{find_batch, for_each_chunk, for_each_item};
use crate::store::StoreRead;

/// The most changed tasks that the checks name: a list of all could be as long as the batch.
const NAMED_TASKS: usize = 20;

/// Receives the parts in order.
type Emit<'a> = &'a mut dyn FnMut(&ReportPart<'_>) -> Result<()>;

/// Reads a batch, emits the parts of its report, and returns the result of the checks.
pub(super) fn read_report(tx: &dyn StoreRead, id: &TaskId, emit: Emit<'_>) -> Result<Checks> {
    let (task, batch) = find_batch(tx, id)?;
    let reader =
        ReportReader { tx, number_width: number_width(batch.chunk_count), task: &task, batch: &batch };
    emit(&ReportPart::Summary(&reader.summary()?))?;
    emit(&ReportPart::Timeline(&reader.timeline()?))?;
    let mut checks = reader.chunks(emit)?;
    reader.failures(emit)?;
    reader.receipts(emit, &mut checks)?;
    emit(&ReportPart::End(&checks))?;
    Ok(checks)
}

struct ReportReader<'a> {
    tx: &'a dyn StoreRead,
    task: &'a Task,
    batch: &'a Batch,
    /// Digits of a chunk's number.
    number_width: usize,
}

impl ReportReader<'_> {
    fn summary(&self) -> Result<Summary> {
        let batch = self.batch;
        Ok(Summary {
            batch: batch_view(self.tx, self.task, batch)?,
            counts: batch.counts,
            project: self.task.project.clone(),
            instructions: all_instructions(batch),
            key: batch.key_field.clone(),
            split: batch.split.clone(),
            max_chunk: batch.max_chunk,
            max_parallel: batch.max_parallel,
            max_attempts: batch.max_attempts,
            program: batch.run.as_ref().and_then(|run| run.command.first().cloned()),
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
            change: self.tx.latest_change_number()?,
        })
    }

    fn padded(&self, number: u64) -> String {
        format!("{number:0width$}", width = self.number_width)
    }

    fn timeline(&self) -> Result<Timeline> {
        let mut timeline = Timeline::default();
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            let mut after = 0;
            loop {
                let page = self.tx.receipts(task.row, after, PAGE_ROWS)?;
                let Some(last) = page.last() else { return Ok(!timeline.is_truncated) };
                after = last.number;
                page.iter().for_each(|receipt| timeline.add(chunk.number, receipt));
            }
        })?;
        Ok(timeline)
    }

    fn chunks(&self, emit: Emit<'_>) -> Result<Checks> {
        let mut checks = Checks::default();
        emit(&ReportPart::ChunksStart)?;
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            checks.chunks.0 += 1;
            checks.processed.0 += chunk.counts.processed();
            emit(&ReportPart::Chunk(&ChunkLine {
                name: self.padded(chunk.number),
                title: task.title.clone(),
                status: task.status.to_string(),
                attempts: chunk.attempts,
                counts: chunk.counts,
                categories: self.tx.category_counts(task.row)?,
                worker: task.claim.as_ref().map(|claim| claim.worker.clone()),
            }))?;
            Ok(true)
        })?;
        let sums = ChunkLine {
            name: String::new(),
            title: format!("{} chunks", self.batch.chunk_count),
            status: self
                .batch
                .status(self.task.status, self.tx.has_workable_chunk(self.task.row)?)
                .to_string(),
            attempts: 0,
            counts: self.batch.counts,
            categories: self.tx.category_counts(self.task.row)?,
            worker: None,
        };
        checks.chunks.1 = self.batch.chunk_count;
        checks.processed.1 = sums.categories.iter().map(|(_, count)| count).sum();
        checks.processed.2 = self.batch.counts.processed();
        emit(&ReportPart::ChunksEnd(&sums))?;
        Ok(checks)
    }

    fn failures(&self, emit: Emit<'_>) -> Result<()> {
        let mut count = 0;
        emit(&ReportPart::FailuresStart)?;
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            let mut emit_failure = |item: Option<String>, category: Option<String>, receipt: u64| {
                count += 1;
                let receipt = self.tx.receipt(task.row, receipt)?;
                emit(&ReportPart::Failure(&FailureLine {
                    chunk: self.padded(chunk.number),
                    item,
                    category,
                    reason: receipt.map(|receipt| receipt.text).unwrap_or_default(),
                }))
            };
            if matches!(task.status, Status::Failed | Status::Blocked | Status::Rejected) {
                emit_failure(None, None, task.receipt_count)?;
            }
            if chunk.counts.failed == 0 {
                return Ok(true);
            }
            for_each_item(self.tx, task.row, |item| match item.settled {
                Some(settled) if settled.outcome == Outcome::Failed => {
                    emit_failure(Some(item.key), settled.category, settled.receipt)
                }
                _ => Ok(()),
            })?;
            Ok(true)
        })?;
        emit(&ReportPart::FailuresEnd(count))
    }

    fn receipts(&self, emit: Emit<'_>, checks: &mut Checks) -> Result<()> {
        emit(&ReportPart::ReceiptsStart)?;
        if self.task.receipt_count > 0 {
            self.receipts_of(None, self.task, emit, checks)?;
        }
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            self.receipts_of(Some(self.padded(chunk.number)), &task, emit, checks)?;
            Ok(true)
        })
    }

    fn receipts_of(
        &self,
        chunk: Option<String>,
        task: &Task,
        emit: Emit<'_>,
        checks: &mut Checks,
    ) -> Result<()> {
        let heading = ReceiptsHeading { chunk, title: task.title.clone(), receipts: task.receipt_count };
        emit(&ReportPart::ReceiptsHeading(&heading))?;
        let (mut chain, mut after) = (ChainVerifier::at_genesis(), 0);
        loop {
            let page = self.tx.hashed_receipts(task.row, after, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { break };
            after = last.number;
            for (receipt, hash) in page {
                chain.verify_next(task.id.as_str(), &receipt, hash);
                emit(&ReportPart::Receipt(&receipt))?;
            }
        }
        checks.receipts += chain.receipt_count();
        let is_intact = chain.is_intact(task.receipt_count);
        if !is_intact && checks.broken.len() < NAMED_TASKS {
            checks.broken.push(task.id.to_string());
        }
        emit(&ReportPart::ReceiptsEnd { head: &chain.head_hash(), is_intact })
    }
}

/// The instructions of the batch, then those of each step.
fn all_instructions(batch: &Batch) -> String {
    let mut text = batch.instructions.clone();
    for step in (0..).map_while(|number| batch.steps.get(number)) {
        let only: Vec<&str> = step.only_categories.iter().map(|category| category.as_str()).collect();
        let only = if only.is_empty() { String::new() } else { format!(" (only {})", only.join(", ")) };
        text += &format!("\n\nStep '{}'{only}: {}", step.name.as_str(), step.instructions.as_str());
    }
    text
}
