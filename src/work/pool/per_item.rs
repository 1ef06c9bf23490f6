//! `per = "item"`: one process per item. The item's JSON is its input, the end of its output the receipt.

use std::time::{Duration, Instant};

use super::active_claim::ActiveClaim;
use super::held_claims::Interruption;
use super::item_context::ClaimContext;
use super::item_queue::{ItemQueue, QueuedItem};
use super::item_result::{ItemResult, ItemRun, read_result};
use super::process_run::ProcessOutcome;
use super::retry_schedule::AfterFailure;
use super::worker::{Worker, receipt_body};
use crate::error::{Error, Result};
use crate::model::receipt::default_item_text;
use crate::model::retry::{LastTry, parse_retry_after};
use crate::model::status::Outcome;
use crate::model::text::LineText;
use crate::ops::{ItemReceipt, Operation, UpdateTask, chunk_brief, worker_items};
use crate::work::supervisor::{LaunchSpec, ProcessExit};

/// What follows the run of an item's command.
enum ItemEnd {
    /// The item has its receipt. The next item, if there is one, was marked as started in the same commit.
    Settled { has_failed: bool, next: Option<Box<QueuedItem>>, interruption: Option<Interruption> },
    /// The item is tried again later.
    PutBack,
}

impl Worker<'_> {
    /// Works the items of a chunk. Returns how many failed.
    pub(super) fn work_items(&mut self, claim: &ActiveClaim) -> Result<u64> {
        let context = self.context;
        let reply = &claim.reply;
        context.progress.chunk_claimed(claim.id.as_str(), &reply.task.title, reply.items_left.unwrap_or(0));
        context.failures.restart_if_resumed(context.session, claim.batch().as_ref())?;
        let brief = chunk_brief(context.session, &claim.id)?;
        let mut item_context = ClaimContext::new(context.session, claim, brief)?;
        let mut queue = self.read_queue(claim)?;
        let (mut failed, mut next) = (0, None);
        loop {
            let item = match next.take() {
                Some(item) => Ok(Some(item)),
                None => self.take_item(claim, &mut queue)?,
            };
            let end = match item {
                Ok(Some(item)) => self.work_item(claim, item, &mut queue, &mut item_context)?,
                Ok(None) => break,
                Err(why) => Err(why),
            };
            match end {
                Ok(ItemEnd::Settled { has_failed, next: following, interruption }) => {
                    failed += u64::from(has_failed);
                    next = following.map(|item| *item);
                    if let Some(why) = interruption.filter(|_| !queue.is_empty()) {
                        self.release_interrupted(claim, why)?;
                        return Ok(failed);
                    }
                }
                Ok(ItemEnd::PutBack) => {}
                Err(why) => {
                    self.release_interrupted(claim, why)?;
                    return Ok(failed);
                }
            }
        }
        // The context file is gone before others see that the chunk is done.
        drop(item_context);
        self.complete(claim)?;
        Ok(failed)
    }

    /// The open items of a claim. The claim has marked the first one as started.
    fn read_queue(&self, claim: &ActiveClaim) -> Result<ItemQueue> {
        let mut queue = ItemQueue::default();
        queue.set_next_page(Some(0));
        self.read_page(claim, &mut queue)?;
        Ok(queue)
    }

    /// Reads the next page of items if no untried item is left.
    fn read_page(&self, claim: &ActiveClaim, queue: &mut ItemQueue) -> Result<()> {
        while let Some(after) = queue.missing_page() {
            let (items, next_page) = worker_items(self.context.session, &claim.id, after)?;
            queue.set_next_page(next_page);
            for mut item in items {
                let is_first = claim.first_item() == Some(item.key.as_str());
                if is_first {
                    // The mark of this claim has replaced the one that the item was in doubt by.
                    item.in_doubt = claim.first_doubt();
                }
                let due_at = self.context.retries.due_at(&claim.id, &item.key);
                queue.add(item, is_first, due_at);
            }
        }
        Ok(())
    }

    /// Takes the next item and marks it as started. Waits if each item that is left failed temporarily. Returns the
    /// interruption if the worker has to stop first.
    fn take_item(
        &mut self,
        claim: &ActiveClaim,
        queue: &mut ItemQueue,
    ) -> Result<Result<Option<QueuedItem>, Interruption>> {
        loop {
            self.read_page(claim, queue)?;
            if queue.is_empty() {
                return Ok(Ok(None));
            }
            if let Some(why) = self.interruption(claim)? {
                return Ok(Err(why));
            }
            let now = Instant::now();
            let next_start = self.next_start.filter(|at| *at > now);
            let ready = if next_start.is_none() { queue.take(now) } else { None };
            match ready {
                Some(mut item) => {
                    if let Some(why) = self.wait_for_start(claim)? {
                        return Ok(Err(why));
                    }
                    if !item.is_started {
                        let key = parse_line(&item.item.key)?;
                        UpdateTask::item_started(claim.id.clone(), claim.token.clone(), key)
                            .run(self.context.session)?;
                        item.is_started = true;
                    }
                    return Ok(Ok(Some(item)));
                }
                None => {
                    let Some(until) = next_start.or_else(|| queue.next_due()) else { return Ok(Ok(None)) };
                    if let Some(why) = self.wait_for_retry(claim, until)? {
                        return Ok(Err(why));
                    }
                }
            }
        }
    }

    /// Runs the command for an item and writes its receipt. The same commit marks the next item as started, unless the
    /// worker has to stop. Returns the interruption if the process was interrupted.
    fn work_item(
        &mut self,
        claim: &ActiveClaim,
        item: QueuedItem,
        queue: &mut ItemQueue,
        item_context: &mut ClaimContext,
    ) -> Result<Result<ItemEnd, Interruption>> {
        let is_in_doubt = item.item.in_doubt.is_some();
        self.unrun_item = Some(item.item.key.clone()).filter(|_| !is_in_doubt && !item.was_tried());
        let arguments = match self.context.command.item_arguments(self.step.as_deref(), &item.item.key) {
            Ok(arguments) => arguments,
            Err(text) => {
                self.unrun_item = None;
                let result = ItemResult { text, ..ItemResult::failed() };
                return self.settle_item(claim, &item, result, None, queue).map(Ok);
            }
        };
        let launch = LaunchSpec {
            arguments,
            environment: item_context.prepare(Some(&item.item))?,
            stdin: item.item.json.clone(),
            log_title: format!("── {}\n", item.item.key),
            log_files: Some(self.context.log_files(claim)),
        };
        let exit = match self.run_process(claim, launch)? {
            ProcessOutcome::Exited(exit) => exit,
            ProcessOutcome::Interrupted(why) => return Ok(Err(why)),
        };
        let (failed, retry_after, is_temporary) = match read_result(&exit, self.context.command, &claim.id) {
            ItemRun::Stopped => return Ok(Err(Interruption::RunStopped)),
            ItemRun::Retry { reason, retry_after } => {
                (ItemResult { text: reason, ..ItemResult::failed() }, retry_after, true)
            }
            ItemRun::Settled(result)
                if result.outcome == Outcome::Failed && self.context.retries.covers_every_failure() =>
            {
                (result, parse_retry_after(&exit.stderr_tail), false)
            }
            ItemRun::Settled(result) => {
                return self.settle_item(claim, &item, result, Some(&exit), queue).map(Ok);
            }
        };
        let (context, key) = (self.context, item.item.key.clone());
        let reason = failed.text.as_str();
        match context.retries.record_failure(&claim.id, &key, retry_after, reason) {
            AfterFailure::RetryIn(delay) => {
                let again = in_seconds(delay);
                context
                    .progress
                    .note(&format!("{} '{key}': {reason}; it is tried again in {again}", claim.id));
                if is_temporary {
                    self.record_temporary_failure();
                }
                queue.put_back(item, Instant::now() + delay);
                Ok(Ok(ItemEnd::PutBack))
            }
            AfterFailure::Over { last_try, failures, elapsed } => {
                let text = after_tries(failures, elapsed, reason);
                match (last_try, claim.batch()) {
                    (LastTry::BatchPaused, Some(batch)) => {
                        let why = format!("item '{key}' of {} {text}", claim.id);
                        context.failures.pause(context.session, &batch, &why)?;
                        Ok(Err(Interruption::BatchPaused))
                    }
                    _ => {
                        let result = ItemResult { text, ..failed };
                        self.settle_item(claim, &item, result, Some(&exit), queue).map(Ok)
                    }
                }
            }
        }
    }

    /// After a second temporary failure in a row, the worker itself waits before its next start, whatever the item: the
    /// cause is probably not the item.
    fn record_temporary_failure(&mut self) {
        self.temporary_failures += 1;
        if let Some(failures) = self.temporary_failures.checked_sub(1).filter(|failures| *failures > 0) {
            self.next_start = Some(Instant::now() + self.context.retries.delay(failures));
        }
    }

    /// Writes the receipt of an item. `exit` is how its command ended, if it could be run.
    fn settle_item(
        &mut self,
        claim: &ActiveClaim,
        item: &QueuedItem,
        result: ItemResult,
        exit: Option<&ProcessExit>,
        queue: &mut ItemQueue,
    ) -> Result<ItemEnd> {
        let context = self.context;
        let key = item.item.key.as_str();
        let ItemResult { outcome, category, text, cost } = result;
        let text =
            if text.is_empty() { default_item_text(key, outcome.into(), category.as_deref()) } else { text };
        let has_failed = outcome == Outcome::Failed;
        (self.temporary_failures, self.next_start) = (0, None);
        context.retries.remove(&claim.id, key);
        self.read_page(claim, queue)?;
        let interruption = self.interruption(claim)?;
        // After a failure the batch may be paused: then no further item is started.
        // A start that has to wait is marked when the wait is over.
        let starts_next = !has_failed && interruption.is_none() && !context.pace.is_limited();
        let mut next = if starts_next { queue.take(Instant::now()) } else { None };
        let unmarked = next.as_mut().filter(|next| !next.is_started);
        let marked = match unmarked {
            Some(next) => {
                next.is_started = true;
                Some(parse_line(&next.item.key)?)
            }
            None => None,
        };
        let receipt = ItemReceipt {
            item: parse_line(key)?,
            outcome,
            category: category.as_deref().map(parse_line).transpose()?,
            body: receipt_body(&text)?,
            cost,
        };
        let request = UpdateTask::item_receipt(claim.id.clone(), claim.token.clone(), receipt, marked);
        let number = request.run(context.session)?.receipt.map_or(0, |receipt| receipt.number);
        let start_failed = has_failed && exit.is_some_and(|exit| context.item_start_failed(exit));
        context.record_start(start_failed, || text.clone())?;
        context.progress.item_settled(claim.id.as_str(), key, outcome.as_str(), category.as_deref(), number);
        if has_failed {
            let last = || format!("item '{key}' of {}: {text}", claim.id);
            context.record_failure(claim.batch().as_ref(), last)?;
        } else {
            context.retries.record_success();
            context.failures.record_success(claim.batch().as_ref());
        }
        Ok(ItemEnd::Settled { has_failed, next: next.map(Box::new), interruption })
    }
}

/// The reason of a failure after the last try.
pub(super) fn after_tries(failures: u32, elapsed: Duration, reason: &str) -> String {
    match failures {
        1 => reason.to_owned(),
        more => format!("failed {more} times within {}; {reason}", in_seconds(elapsed)),
    }
}

/// A duration for a message.
pub(super) fn in_seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
}

fn parse_line(text: &str) -> Result<LineText> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
