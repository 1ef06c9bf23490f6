//! Reads a batch at one moment of the store. Writes the pages of its report, and returns what the first page shows.

use std::io;

use super::first_page::FirstPage;
use super::page::PageFolder;
use super::report_rows::{
    Acceptance, Checks, ChunkLine, CostLine, DecisionLine, FailureLine, ItemLine, Summary,
};
use super::section::{FinishedSection, Section};
use super::sections::{self, Receipts};
use super::timeline::Timeline;
use crate::error::{Error, Result};
use crate::model::author::AuthorKind;
use crate::model::batch::Batch;
use crate::model::chain::ChainVerifier;
use crate::model::cost::{CostGroup, CostSum, Money};
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::receipt::Receipt;
use crate::model::split::number_width;
use crate::model::status::{Outcome, Status};
use crate::model::step::{Checkpoint, Decision};
use crate::model::task::Task;
use crate::model::text::counted;
use crate::ops::batch_view;
use crate::ops::{AwaitingDecision, failures_of, find_batch, for_each_chunk, for_each_item};
use crate::store::StoreRead;

/// The most changed tasks that the checks name: a list of all could be as long as the batch.
const NAMED_TASKS: usize = 20;

/// Reads a batch and writes the pages of its report to `folder`. Returns the contents of the first page.
pub(super) fn read_report(tx: &dyn StoreRead, id: &TaskId, folder: &PageFolder) -> Result<FirstPage> {
    let (task, batch) = find_batch(tx, id)?;
    let number_width = number_width(batch.chunk_count);
    let reader = ReportReader { tx, number_width, task: &task, batch: &batch, folder };
    let mut summary = reader.summary()?;
    let mut checks = Checks::default();
    let ReadReceipts { receipts, decisions, timeline, acceptance } = reader.receipts(&mut checks)?;
    summary.acceptance = acceptance;
    let (chunks, chunks_with_failures) = reader.chunks(&receipts, &mut checks)?;
    summary.chunks_with_failures = chunks_with_failures;
    Ok(FirstPage {
        categories: reader.categories()?,
        failures: reader.failures(&receipts)?,
        items: reader.items(&receipts)?,
        costs: reader.costs()?,
        instructions: sections::instructions(folder, &all_instructions(&batch))
            .map_err(|e| reader.unwritten(e))?,
        summary,
        checks,
        timeline,
        decisions,
        chunks,
        receipts,
    })
}

/// What one pass over the receipts yields.
struct ReadReceipts {
    receipts: FinishedSection,
    decisions: FinishedSection,
    timeline: Timeline,
    /// The last acceptance of failures.
    acceptance: Option<Acceptance>,
}

struct ReportReader<'a> {
    tx: &'a dyn StoreRead,
    task: &'a Task,
    batch: &'a Batch,
    /// Digits of a chunk's number.
    number_width: usize,
    folder: &'a PageFolder,
}

impl ReportReader<'_> {
    fn unwritten(&self, error: io::Error) -> Error {
        Error::internal(format!("the report cannot be written to {}", self.folder.path.display()), error)
    }

    fn summary(&self) -> Result<Summary> {
        let batch = self.batch;
        Ok(Summary {
            batch: batch_view(self.tx, self.task, batch)?,
            counts: batch.counts,
            failures: failures_of(self.tx, self.task, batch)?,
            acceptance: None,
            is_over: batch.ended_chunks >= batch.chunk_count,
            completed_chunks: batch.completed_chunks(),
            chunks_with_failures: 0,
            has_commands: batch.run.is_some() || batch.profile.is_some(),
            source: batch.run.as_ref().and_then(|run| run.source.clone()),
            project: self.task.project.clone(),
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

    /// Writes the receipts in one pass, and collects from them the decisions and the timeline.
    fn receipts(&self, checks: &mut Checks) -> Result<ReadReceipts> {
        let mut receipts = Receipts::new(self.folder);
        let mut decisions = sections::decisions(self.folder);
        let mut timeline = Timeline::default();
        let mut acceptance = None;
        let awaiting = AwaitingDecision::of(self.tx, self.task, &find_batch(self.tx, &self.task.id)?.1)?;
        let mut visit = |chunk: u64, task: &Task| -> Result<()> {
            let name = (chunk > 0).then(|| self.padded(chunk));
            let name = name.as_deref();
            let is_old = self.tx.content_hash(task)?.is_none();
            self.receipts_of(chunk, task, &mut receipts, checks, |receipt| {
                if chunk > 0 {
                    timeline.add(chunk, receipt);
                } else if receipt.decision == Some(Decision::Approve) {
                    // Only an acceptance of failures is a decision on the batch itself. No agent can set that field.
                    let text = sections::shorten(receipt.text.clone(), receipt.number);
                    acceptance = Some(Acceptance { at: receipt.at, text });
                }
                if chunk > 0 && receipt.decision.is_none() && !(is_old && has_form_of_review(receipt)) {
                    return Ok(());
                }
                let line = DecisionLine {
                    chunk: name.map(str::to_owned),
                    at: Some(receipt.at),
                    author: receipt.author.clone(),
                    author_kind: receipt.author_kind,
                    text: receipt.text.clone(),
                };
                sections::add_decision(&mut decisions, receipt.number, line)
            })?;
            if chunk > 0 && awaiting.includes(task) {
                let text = format!(
                    "waits for a decision: tasktally review-batch {} --decision approve --chunk {}",
                    self.task.id, task.id
                );
                let chunk = name.map(str::to_owned);
                let line = DecisionLine { chunk, at: None, author: String::new(), author_kind: None, text };
                sections::add_decision(&mut decisions, 0, line).map_err(|error| self.unwritten(error))?;
            }
            Ok(())
        };
        visit(0, self.task)?;
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| visit(chunk.number, &task).map(|()| true))?;
        let receipts = receipts.finish().map_err(|error| self.unwritten(error))?;
        Ok(ReadReceipts { receipts, decisions: self.finish(decisions)?, timeline, acceptance })
    }

    /// Writes the receipts of a task, and calls `visit` with each.
    fn receipts_of(
        &self,
        chunk: u64,
        task: &Task,
        section: &mut Receipts<'_>,
        checks: &mut Checks,
        mut visit: impl FnMut(&Receipt) -> io::Result<()>,
    ) -> Result<()> {
        let unwritten = |error| self.unwritten(error);
        let (mut chain, mut after) = (ChainVerifier::at_genesis(), 0);
        if task.receipt_count > 0 {
            let name = match chunk {
                0 => "The batch itself".to_owned(),
                number => format!("Chunk {}", self.padded(number)),
            };
            let heading = format!("{name}: {} ({})", task.title, counted(task.receipt_count, "receipt"));
            section.start_task(chunk, &heading).map_err(unwritten)?;
        }
        loop {
            let page = self.tx.hashed_receipts(task.row, after, PAGE_ROWS)?;
            let Some((last, _)) = page.last() else { break };
            after = last.number;
            for (receipt, hash) in page {
                chain.verify_next(task.id.as_str(), &receipt, hash);
                section.row(chunk, &receipt).and_then(|()| visit(&receipt)).map_err(unwritten)?;
            }
        }
        checks.receipts += chain.receipt_count();
        let is_intact = chain.is_intact(task.receipt_count);
        if !is_intact && checks.broken.len() < NAMED_TASKS {
            checks.broken.push(task.id.to_string());
        }
        if task.receipt_count > 0 {
            section.end_task(&chain.head_hash(), is_intact).map_err(unwritten)?;
        }
        Ok(())
    }

    /// Writes the chunks. Returns also how many of them contain failed items.
    fn chunks(&self, receipts: &FinishedSection, checks: &mut Checks) -> Result<(FinishedSection, u64)> {
        let mut section = sections::chunks(self.folder);
        let mut with_failures = 0;
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            with_failures += u64::from(chunk.counts.failed > 0);
            checks.chunks.0 += 1;
            checks.processed.0 += chunk.counts.processed();
            let line = ChunkLine {
                name: self.padded(chunk.number),
                title: task.title.clone(),
                status: task.status.to_string(),
                attempts: Some(chunk.attempts),
                counts: chunk.counts,
                categories: self.tx.category_counts(task.row)?,
                worker: task.claim.as_ref().map(|claim| claim.worker.clone()),
            };
            sections::add_chunk(&mut section, receipts, chunk.number, task.receipt_count > 0, &line)
                .map_err(|error| self.unwritten(error))?;
            Ok(true)
        })?;
        let sums = ChunkLine {
            name: String::new(),
            title: counted(self.batch.chunk_count, "chunk"),
            status: self
                .batch
                .status(self.task.status, self.tx.has_workable_chunk(self.task.row)?)
                .to_string(),
            attempts: None,
            counts: self.batch.counts,
            categories: self.tx.category_counts(self.task.row)?,
            worker: None,
        };
        checks.chunks.1 = self.batch.chunk_count;
        checks.processed.1 = sums.categories.iter().map(|(_, count)| count).sum();
        checks.processed.2 = self.batch.counts.processed();
        sections::add_chunk(&mut section, receipts, 0, false, &sums)
            .map_err(|error| self.unwritten(error))?;
        Ok((self.finish(section)?, with_failures))
    }

    /// The text of a receipt, without the command that prints the whole output: the report names it once.
    fn receipt_text(&self, task: &Task, number: u64) -> Result<String> {
        let text = self.tx.receipt(task.row, number)?.map(|receipt| receipt.text).unwrap_or_default();
        Ok(text.replace(&format!("; whole output: tasktally logs {}", task.id), ""))
    }

    fn items(&self, receipts: &FinishedSection) -> Result<FinishedSection> {
        let mut section = sections::items(self.folder);
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            for_each_item(self.tx, task.row, |item| {
                let (outcome, category, receipt) = match item.settled {
                    Some(settled) => (settled.outcome.as_str(), settled.category, settled.receipt),
                    None if item.started.is_some() => ("started", None, 0),
                    None => ("open", None, 0),
                };
                let line = ItemLine {
                    chunk: self.padded(chunk.number),
                    item: item.key,
                    outcome,
                    category,
                    receipt,
                    text: if receipt > 0 { self.receipt_text(&task, receipt)? } else { String::new() },
                };
                sections::add_item(&mut section, receipts, chunk.number, line)
                    .map_err(|error| self.unwritten(error))
            })?;
            Ok(true)
        })?;
        self.finish(section)
    }

    fn failures(&self, receipts: &FinishedSection) -> Result<FinishedSection> {
        let mut section = sections::failures(self.folder);
        for_each_chunk(self.tx, self.task.row, 0, |chunk, task| {
            let mut add = |item: Option<String>, category: Option<String>, receipt: u64| {
                let reason = self.receipt_text(&task, receipt)?;
                let line = FailureLine { chunk: self.padded(chunk.number), item, category, receipt, reason };
                sections::add_failure(&mut section, receipts, chunk.number, line)
                    .map_err(|error| self.unwritten(error))
            };
            if matches!(task.status, Status::Failed | Status::Blocked | Status::Rejected) {
                add(None, None, task.receipt_count)?;
            }
            if chunk.counts.failed == 0 {
                return Ok(true);
            }
            for_each_item(self.tx, task.row, |item| match item.settled {
                Some(settled) if settled.outcome == Outcome::Failed => {
                    add(Some(item.key), settled.category, settled.receipt)
                }
                _ => Ok(()),
            })?;
            Ok(true)
        })?;
        self.finish(section)
    }

    fn categories(&self) -> Result<FinishedSection> {
        let mut section = sections::categories(self.folder);
        for (name, count) in self.tx.category_counts(self.task.row)? {
            sections::add_category(&mut section, &name, count).map_err(|error| self.unwritten(error))?;
        }
        self.finish(section)
    }

    fn costs(&self) -> Result<FinishedSection> {
        let totals = self.tx.cost_totals(self.task.row)?;
        let mut section = sections::costs(self.folder);
        // The total first, then the models: the workers may be many.
        for group in [CostGroup::All, CostGroup::Model, CostGroup::Category, CostGroup::Worker] {
            let of_group = totals.iter().filter(|(kind, ..)| *kind == group);
            for (_, name, sum) in of_group {
                let line = CostLine { kind: group.as_str(), name: name.clone(), sum: *sum };
                sections::add_cost(&mut section, &line).map_err(|error| self.unwritten(error))?;
            }
            if group == CostGroup::Model
                && let Some(sum) = without_model(&totals)
            {
                let line = CostLine { kind: group.as_str(), name: "(not named)".to_owned(), sum };
                sections::add_cost(&mut section, &line).map_err(|error| self.unwritten(error))?;
            }
        }
        self.finish(section)
    }

    fn finish(&self, section: Section<'_>) -> Result<FinishedSection> {
        section.finish().map_err(|error| self.unwritten(error))
    }
}

/// What receipts cost that name no model; `None` if there are no such receipts.
fn without_model(totals: &[(CostGroup, String, CostSum)]) -> Option<CostSum> {
    let sum_of = |group: CostGroup| {
        let sums = totals.iter().filter(|(kind, ..)| *kind == group).map(|(.., sum)| sum);
        sums.fold((0, 0, 0), |(cost, tokens_in, tokens_out), sum| {
            (cost + sum.cost.millionths(), tokens_in + sum.tokens_in, tokens_out + sum.tokens_out)
        })
    };
    let (all, named) = (sum_of(CostGroup::All), sum_of(CostGroup::Model));
    let rest = CostSum {
        cost: Money::from_millionths(all.0 - named.0),
        tokens_in: all.1 - named.1,
        tokens_out: all.2 - named.2,
    };
    (all != named).then_some(rest)
}

/// Whether a receipt of a chunk has the form of a review. Schemas before 15 have no field for that.
fn has_form_of_review(receipt: &Receipt) -> bool {
    let by = format!(" by '{}'", receipt.author);
    let first = receipt.text.lines().next().unwrap_or_default();
    let is_decision = ["Approved", "Rejected", "Redo of "].iter().any(|what| first.starts_with(what));
    receipt.item.is_none()
        && receipt.author_kind != Some(AuthorKind::Worker)
        && ((is_decision && first.contains(&by) && first.contains(" after step '"))
            || first.starts_with("Approved automatically: "))
}

/// The instructions of the batch, then those of each step.
fn all_instructions(batch: &Batch) -> String {
    let mut text = batch.instructions.clone();
    for step in batch.steps.iter() {
        let only: Vec<&str> = step.only_categories.iter().map(|category| category.as_str()).collect();
        let only = if only.is_empty() { String::new() } else { format!(" (only {})", only.join(", ")) };
        text += &format!("\n\nStep '{}'{only}: {}", step.name.as_str(), step.instructions.as_str());
    }
    text
}
