//! `per = "chunk"`: one process per chunk, usually an agent. The worker prompt is its input; it writes the receipts
//! itself, with the tools of the MCP server in `TASKTALLY_MCP_CONFIG`.

use std::ffi::OsString;

use super::active_claim::ActiveClaim;
use super::context::exited_at_once;
use super::exit_text::{describe_exit, describe_failure};
use super::held_claims::Interruption;
use super::item_result::what_it_said;
use super::job_files::write_mcp_config;
use super::per_item::in_seconds;
use super::process_run::ProcessOutcome;
use super::retry_schedule::AfterFailure;
use super::worker::Worker;
use crate::error::Result;
use crate::model::claim_rules::{ClaimAuthority, claim_authority};
use crate::model::retry::{LastTry, parse_retry_after};
use crate::model::worker_output::PrintedReceipt;
use crate::model::worker_scope::WorkerScope;
use crate::ops::{postpone_claim, prompt_needs};
use crate::prompts::work_chunk;
use crate::work::supervisor::{LaunchSpec, ProcessExit};

/// A chunk as it is in the store.
struct ChunkState {
    /// Whether the claim is still the runner's.
    claim_is_held: bool,
    status: String,
    open_items: u64,
    failed_items: u64,
    receipts: u64,
}

impl Worker<'_> {
    /// Runs a process for a whole chunk. Returns how many items failed: always 0, because the process itself reports
    /// failed items.
    pub(super) fn work_chunk(&mut self, claim: &ActiveClaim) -> Result<u64> {
        let context = self.context;
        let items_left = claim.reply.items_left.unwrap_or_default();
        context.progress.chunk_claimed(claim.id.as_str(), &claim.reply.task.title, items_left);
        let scope = WorkerScope { chunk: claim.id.clone(), token: claim.token.clone() };
        let config = write_mcp_config(context.session.folder(), context.store, &scope)?;
        let variables = [
            ("TASKTALLY_TASK", OsString::from(claim.id.as_str())),
            ("TASKTALLY_BATCH", scope.batch().as_str().into()),
            ("TASKTALLY_JOB", scope.to_string().into()),
            ("TASKTALLY_DB", context.store.into()),
            ("TASKTALLY_MCP_CONFIG", config.path().into()),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.prepare(claim, Some(config.path()), variables)?;
        let before = self.chunk_state(claim)?;
        context.failures.restart_if_resumed(context.session, claim.batch().as_ref())?;
        let needs = prompt_needs(context.session, scope.batch())?.for_one_chunk();
        let launch = LaunchSpec {
            arguments: None,
            environment: Vec::new(),
            stdin: work_chunk(&scope.batch(), needs),
            log_title: String::new(),
            log_files: Some(context.log_files(claim)),
        };
        let outcome = self.run_process(claim, launch)?;
        // Removes the file: its token is of no use without a running process.
        drop(config);
        let exit = match outcome {
            ProcessOutcome::Exited(exit) => exit,
            // Completing the chunk ends the claim, so the claim may look lost although the work is done.
            ProcessOutcome::Interrupted(Interruption::ClaimLost) => {
                return self.handle_ended_claim(claim, &before);
            }
            ProcessOutcome::Interrupted(why) => return self.release_interrupted(claim, why).map(|()| 0),
        };
        let after = self.chunk_state(claim)?;
        let start_failed = after.claim_is_held && exited_at_once(&exit) && after.receipts == before.receipts;
        // A temporary failure says nothing about the profile.
        if !self.is_temporary(&exit) {
            context.record_start(start_failed, || self.failure_of(claim, &exit))?;
        }
        if !after.claim_is_held {
            return self.handle_ended_claim(claim, &before);
        }
        context.progress.items_settled(before.open_items.saturating_sub(after.open_items));
        self.record_outcomes(claim, &before, &after)?;
        if after.open_items == 0 {
            // Every item has its receipt, so the chunk is done even if the process did not complete it.
            return self.complete(claim).map(|()| 0);
        }
        let (count, items) = (after.open_items, if after.open_items == 1 { "item" } else { "items" });
        let how = self.failure_of(claim, &exit);
        let reason = format!("its worker left {count} {items} without a receipt: {how}");
        self.release_failed(claim, &exit, &reason).map(|()| 0)
    }

    /// How the process of a chunk ended, with what it printed.
    fn failure_of(&self, claim: &ActiveClaim, exit: &ProcessExit) -> String {
        let printed = PrintedReceipt::parse(&exit.stdout_tail, exit.stdout_is_cut);
        let how = describe_exit(exit, self.context.command.timeout_setting());
        describe_failure(&how, exit, &what_it_said(&printed, exit), claim.id.as_str())
    }

    /// Whether a worker ended with an exit code that means a temporary failure.
    fn is_temporary(&self, exit: &ProcessExit) -> bool {
        exit.stop_reason.is_none()
            && exit.code.is_some_and(|code| self.context.command.retry_exit_codes.contains(&code))
    }

    /// Releases a chunk whose worker left items. A temporary failure does not count as an attempt.
    fn release_failed(&self, claim: &ActiveClaim, exit: &ProcessExit, reason: &str) -> Result<()> {
        let context = self.context;
        let retry_after = parse_retry_after(&exit.stderr_tail);
        let batch = claim.batch();
        if !self.is_temporary(exit) {
            let attempt = u32::try_from(claim.reply.attempt).unwrap_or(u32::MAX);
            let delay = context.retries.delay(attempt).max(retry_after.unwrap_or_default());
            self.release_attempt(claim, reason, Some(delay))?;
            let last = || format!("chunk {}: {reason}", claim.id);
            return context.record_failure(batch.as_ref(), last);
        }
        match (context.retries.record_failure(&claim.id, "", retry_after, reason), batch) {
            (AfterFailure::RetryIn(delay), _) => {
                context.progress.note(&format!("{}: {reason}; again in {}", claim.id, in_seconds(delay)));
                postpone_claim(context.session, &claim.id, &claim.token, reason, delay)?;
                self.report_released(claim);
            }
            (AfterFailure::Over { last_try: LastTry::BatchPaused, failures, elapsed }, Some(batch)) => {
                let within = in_seconds(elapsed);
                let why = format!("chunk {} failed {failures} times within {within}: {reason}", claim.id);
                context.failures.pause(context.session, &batch, &why)?;
                self.release_interrupted(claim, Interruption::BatchPaused)?;
            }
            (AfterFailure::Over { .. }, _) => self.release_attempt(claim, reason, None)?,
        }
        Ok(())
    }

    /// Records what a process reported on the items of its chunk, for the limit on failures in a row.
    fn record_outcomes(&self, claim: &ActiveClaim, before: &ChunkState, after: &ChunkState) -> Result<()> {
        let (context, batch) = (self.context, claim.batch());
        let failed = after.failed_items.saturating_sub(before.failed_items);
        if before.open_items.saturating_sub(after.open_items) > failed {
            context.retries.record_success();
            context.retries.remove(&claim.id, "");
            context.failures.record_success(batch.as_ref());
            return Ok(());
        }
        for _ in 0..failed {
            let last = || format!("an item of chunk {}, as its worker reported", claim.id);
            context.record_failure(batch.as_ref(), last)?;
        }
        Ok(())
    }

    /// Handles a chunk whose claim is no longer the runner's: the process has completed it, or the claim was lost.
    fn handle_ended_claim(&self, claim: &ActiveClaim, before: &ChunkState) -> Result<u64> {
        let state = self.chunk_state(claim)?;
        match state.status.as_str() {
            "done" | "review" | "failed" | "active" | "blocked" => {
                self.context.record_start(false, String::new)?;
                self.record_outcomes(claim, before, &state)?;
                let items_left = claim.reply.items_left.unwrap_or(0);
                self.context.progress.items_settled(items_left.saturating_sub(state.open_items));
                self.chunk_ended(claim, &state.status).map(|()| 0)
            }
            _ => self.release_interrupted(claim, Interruption::ClaimLost).map(|()| 0),
        }
    }

    fn chunk_state(&self, claim: &ActiveClaim) -> Result<ChunkState> {
        let (id, token) = (claim.id.clone(), claim.token.clone());
        self.context.session.read(move |tx| {
            let task = tx.task(&id)?;
            let counts = tx.chunk(&task)?.map(|chunk| chunk.counts).unwrap_or_default();
            Ok(ChunkState {
                claim_is_held: claim_authority(&task, Some(&token), tx.now()) == ClaimAuthority::LiveToken,
                status: task.status.to_string(),
                open_items: counts.total - counts.processed(),
                failed_items: counts.failed,
                receipts: task.receipt_count,
            })
        })
    }
}
