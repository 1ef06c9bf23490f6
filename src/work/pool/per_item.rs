//! `per = "item"`: one process per item. The item's JSON is its input, its last line of output the receipt. Also one
//! process for a task that has no items.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value};

use super::active_claim::ActiveClaim;
use super::held_claims::Interruption;
use super::item_environment::ItemEnvironment;
use super::item_result::{ItemResult, ItemRun, read_result};
use super::process_run::ProcessOutcome;
use super::worker::{Worker, is_in_doubt, receipt_body};
use crate::error::{Error, Result};
use crate::model::receipt::default_item_text;
use crate::model::status::{Outcome, ReleaseOutcome};
use crate::model::text::LineText;
use crate::ops::{CompleteTask, ItemReceipt, Operation, ReleaseTask, UpdateTask, open_items_page};
use crate::work::supervisor::LaunchSpec;

/// How often a command may ask for a retry of the same item before the item has failed.
const MAX_TRIES: u32 = 3;
/// The pause before the first retry. The second one is twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// An item with a receipt.
struct SettledItem {
    has_failed: bool,
    /// Why the next item was not started.
    interruption: Option<Interruption>,
}

/// The last run of an item's command.
struct FinishedRun {
    result: ItemResult,
    /// Whether the command failed before it did anything.
    start_failed: bool,
}

impl Worker<'_> {
    /// Works the items of a chunk. Returns how many failed.
    pub(super) fn work_items(&mut self, claim: &ActiveClaim, items: Vec<Map<String, Value>>) -> Result<u64> {
        let context = self.context;
        let reply = &claim.reply;
        context.progress.chunk_claimed(claim.id.as_str(), &reply.task.title, reply.items_left.unwrap_or(0));
        let mut failed = 0;
        let (mut queue, mut next_page) = (VecDeque::from(items), reply.next_items_after);
        while let Some(item) = queue.pop_front() {
            if let Some(after) = next_page.filter(|_| queue.is_empty()) {
                let (page, following) = open_items_page(context.session, &claim.id, after)?;
                queue.extend(page);
                next_page = following;
            }
            let next_key = queue.front().map(key_of);
            match self.work_item(claim, &item, next_key)? {
                Ok(settled) => {
                    failed += u64::from(settled.has_failed);
                    if let Some(why) = settled.interruption.filter(|_| next_key.is_some()) {
                        self.release_interrupted(claim, why)?;
                        return Ok(failed);
                    }
                }
                Err(why) => {
                    self.release_interrupted(claim, why)?;
                    return Ok(failed);
                }
            }
        }
        self.complete(claim)?;
        Ok(failed)
    }

    /// Runs the command for an item and writes its receipt. The same commit marks the next item as started, unless the
    /// worker has to stop. Returns the interruption if the process was interrupted.
    fn work_item(
        &mut self,
        claim: &ActiveClaim,
        item: &Map<String, Value>,
        next_key: Option<&str>,
    ) -> Result<Result<SettledItem, Interruption>> {
        let context = self.context;
        let key = key_of(item);
        self.may_have_happened = is_in_doubt(item);
        let doubt = |field: &str| item.get("in_doubt").and_then(|doubt| doubt.get(field)?.as_str());
        let environment = ItemEnvironment {
            task: claim.id.as_str(),
            batch: claim.reply.task.parent.as_deref().unwrap_or_default(),
            item: key,
            in_doubt: doubt("since").zip(doubt("by")),
        };
        let input = serde_json::to_string(item)
            .map_err(|error| Error::internal("an item could not be written as JSON", error))?;
        let FinishedRun { result, start_failed } =
            match self.run_until_settled(claim, &environment, &input)? {
                Ok(finished) => finished,
                Err(why) => return Ok(Err(why)),
            };
        let ItemResult { outcome, category, text, cost } = result;
        let text =
            if text.is_empty() { default_item_text(key, outcome.into(), category.as_deref()) } else { text };
        let interruption = if context.stop.is_requested() {
            Some(Interruption::RunStopped)
        } else {
            self.yield_permit()?.then_some(Interruption::PermitYielded)
        };
        let next_item = next_key.filter(|_| interruption.is_none()).map(parse_line).transpose()?;
        let receipt = ItemReceipt {
            item: parse_line(key)?,
            outcome,
            category: category.as_deref().map(parse_line).transpose()?,
            body: receipt_body(&text)?,
            cost,
        };
        let request = UpdateTask::item_receipt(claim.id.clone(), claim.token.clone(), receipt, next_item);
        let number = request.run(context.session)?.receipt.map_or(0, |receipt| receipt.number);
        context.record_start(start_failed, || text)?;
        context.progress.item_settled(claim.id.as_str(), key, outcome.as_str(), category.as_deref(), number);
        Ok(Ok(SettledItem { has_failed: outcome == Outcome::Failed, interruption }))
    }

    /// Runs the command, again if it asks for a retry, until there is a result. Returns the interruption if the
    /// process was interrupted.
    fn run_until_settled(
        &mut self,
        claim: &ActiveClaim,
        environment: &ItemEnvironment<'_>,
        input: &str,
    ) -> Result<Result<FinishedRun, Interruption>> {
        let context = self.context;
        let item = environment.item;
        let log_title = if item.is_empty() { String::new() } else { format!("── {item}\n") };
        let mut tries = 1;
        loop {
            let launch = LaunchSpec {
                environment: environment.variables(),
                stdin: input.to_owned(),
                log_title: log_title.clone(),
                log_files: Some(context.log_files(claim)),
            };
            let exit = match self.run_process(claim, launch)? {
                ProcessOutcome::Exited(exit) => exit,
                ProcessOutcome::Interrupted(why) => return Ok(Err(why)),
            };
            match read_result(&exit, &context.command.retry_exit_codes) {
                ItemRun::Settled(result) => {
                    let start_failed = result.outcome == Outcome::Failed && context.item_start_failed(&exit);
                    return Ok(Ok(FinishedRun { result, start_failed }));
                }
                ItemRun::Stopped => return Ok(Err(Interruption::RunStopped)),
                ItemRun::Retry(_) if context.stop.is_requested() => return Ok(Err(Interruption::RunStopped)),
                ItemRun::Retry(text) if tries == MAX_TRIES => {
                    let text = format!("asked for a retry {MAX_TRIES} times; {text}");
                    let result = ItemResult { text, ..ItemResult::failed() };
                    return Ok(Ok(FinishedRun { result, start_failed: false }));
                }
                ItemRun::Retry(_) => {
                    std::thread::sleep(RETRY_PAUSE * tries);
                    tries += 1;
                }
            }
        }
    }

    /// Works a task without items: the command runs once, with the task's JSON as its input.
    pub(super) fn work_task(&mut self, claim: &ActiveClaim) -> Result<u64> {
        let context = self.context;
        let task = &claim.reply.task;
        context.progress.chunk_claimed(claim.id.as_str(), &task.title, 1);
        let mut input = serde_json::to_value(task)
            .map_err(|error| Error::internal("a task could not be written as JSON", error))?;
        input["instructions"] = claim.reply.instructions.clone().into();
        let environment = ItemEnvironment { task: claim.id.as_str(), batch: "", item: "", in_doubt: None };
        let ItemResult { outcome, text, .. } =
            match self.run_until_settled(claim, &environment, &input.to_string())? {
                Ok(finished) => finished.result,
                Err(why) => {
                    self.release_interrupted(claim, why)?;
                    return Ok(0);
                }
            };
        let has_failed = outcome == Outcome::Failed;
        let text = receipt_body(&if text.is_empty() { format!("- {outcome}") } else { text })?;
        let (id, token) = (claim.id.clone(), Some(claim.token.clone()));
        if has_failed {
            ReleaseTask { id, claim: token, reason: Some(text), outcome: ReleaseOutcome::Failed }
                .run(context.session)?;
        } else {
            CompleteTask { id, claim: token, summary: Some(text), force: false }.run(context.session)?;
        }
        context.progress.chunk_ended(claim.id.as_str(), &task.title, outcome.as_str());
        self.clean_up(claim)?;
        Ok(u64::from(has_failed))
    }
}

fn key_of(item: &Map<String, Value>) -> &str {
    item.get("key").and_then(Value::as_str).unwrap_or_default()
}

fn parse_line(text: &str) -> Result<LineText> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
