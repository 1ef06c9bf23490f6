//! A task without items: the command runs once, with the task's JSON as its input.

use std::time::Instant;

use super::active_claim::ActiveClaim;
use super::held_claims::Interruption;
use super::item_context::ClaimContext;
use super::item_result::{ItemResult, ItemRun, read_result};
use super::per_item::{after_tries, in_seconds};
use super::process_run::ProcessOutcome;
use super::retry_schedule::AfterFailure;
use super::worker::{Worker, receipt_body};
use crate::error::{Error, Result};
use crate::model::retry::parse_retry_after;
use crate::model::status::{Outcome, ReleaseOutcome};
use crate::ops::{ChunkBrief, CompleteTask, Operation, ReleaseTask};
use crate::work::supervisor::LaunchSpec;

impl Worker<'_> {
    /// Works a task without items. Returns how many tasks failed: 0 or 1.
    pub(super) fn work_task(&mut self, claim: &ActiveClaim) -> Result<u64> {
        let context = self.context;
        let task = &claim.reply.task;
        context.progress.chunk_claimed(claim.id.as_str(), &task.title, 1);
        let ItemResult { outcome, text, .. } = match self.run_task(claim)? {
            Ok(result) => result,
            Err(why) => {
                self.release_interrupted(claim, why)?;
                return Ok(0);
            }
        };
        let has_failed = outcome == Outcome::Failed;
        let text = if text.is_empty() { format!("- {outcome}") } else { text };
        let body = receipt_body(&text)?;
        let (id, token) = (claim.id.clone(), Some(claim.token.clone()));
        if has_failed {
            ReleaseTask {
                id,
                claim: token,
                reason: Some(body),
                outcome: ReleaseOutcome::Failed,
                delay: None,
            }
            .run(context.session)?;
            context.failures.record_failure(context.session, None, || text)?;
        } else {
            CompleteTask { id, claim: token, summary: Some(body), force: false }.run(context.session)?;
            context.failures.record_success(None);
        }
        context.progress.chunk_ended(claim.id.as_str(), &task.title, outcome.as_str());
        self.clean_up(claim)?;
        Ok(u64::from(has_failed))
    }

    /// Runs the command, again after a failure that is retried, until there is a result.
    fn run_task(&mut self, claim: &ActiveClaim) -> Result<Result<ItemResult, Interruption>> {
        let context = self.context;
        let mut input = serde_json::to_value(&claim.reply.task)
            .map_err(|error| Error::internal("a task could not be written as JSON", error))?;
        input["instructions"] = claim.reply.instructions.clone().into();
        let brief = ChunkBrief { instructions: claim.reply.instructions.clone(), ..ChunkBrief::default() };
        let mut task_context = ClaimContext::new(context.session, claim, brief)?;
        let arguments = match context.command.item_arguments(None, claim.id.as_str()) {
            Ok(arguments) => arguments,
            Err(text) => return Ok(Ok(ItemResult { text, ..ItemResult::failed() })),
        };
        loop {
            if let Some(why) = self.wait_for_start(claim)? {
                return Ok(Err(why));
            }
            let launch = LaunchSpec {
                arguments: arguments.clone(),
                environment: task_context.prepare(None)?,
                stdin: input.to_string(),
                log_title: String::new(),
                log_files: Some(context.log_files(claim)),
            };
            let exit = match self.run_process(claim, launch)? {
                ProcessOutcome::Exited(exit) => exit,
                ProcessOutcome::Interrupted(why) => return Ok(Err(why)),
            };
            let (reason, retry_after) = match read_result(&exit, context.command, &claim.id) {
                ItemRun::Settled(result)
                    if result.outcome == Outcome::Failed && context.retries.covers_every_failure() =>
                {
                    (result.text, parse_retry_after(&exit.stderr_tail))
                }
                ItemRun::Settled(result) => {
                    context.retries.remove(&claim.id, "");
                    return Ok(Ok(result));
                }
                ItemRun::Stopped => return Ok(Err(Interruption::RunStopped)),
                ItemRun::Retry { reason, retry_after } => (reason, retry_after),
            };
            match context.retries.record_failure(&claim.id, "", retry_after, &reason) {
                AfterFailure::RetryIn(delay) => {
                    let again = in_seconds(delay);
                    context.progress.note(&format!("{}: {reason}; it is tried again in {again}", claim.id));
                    if let Some(why) = self.wait_for_retry(claim, Instant::now() + delay)? {
                        return Ok(Err(why));
                    }
                }
                AfterFailure::Over { failures, elapsed, .. } => {
                    let text = after_tries(failures, elapsed, &reason);
                    return Ok(Ok(ItemResult { text, ..ItemResult::failed() }));
                }
            }
        }
    }
}
