//! `per = "chunk"`: one process per chunk, usually an agent. The worker prompt is its input; it writes the receipts
//! itself, with the tools of the MCP server in `TASKTALLY_MCP_CONFIG`.

use std::ffi::OsString;

use super::active_claim::ActiveClaim;
use super::context::exited_at_once;
use super::exit_text::describe_exit_with_errors;
use super::held_claims::Interruption;
use super::mcp_config::write_mcp_config;
use super::process_run::ProcessOutcome;
use super::worker::Worker;
use crate::error::Result;
use crate::model::claim_rules::{ClaimAuthority, claim_authority};
use crate::model::worker_scope::WorkerScope;
use crate::prompts::work_chunk;
use crate::work::supervisor::LaunchSpec;

/// A chunk as it is in the store.
struct ChunkState {
    /// Whether the claim is still the runner's.
    claim_is_held: bool,
    status: String,
    open_items: u64,
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
        let launch = LaunchSpec {
            environment: Vec::new(),
            stdin: work_chunk(&scope.batch()),
            log_title: String::new(),
            log_files: Some(context.log_files(claim)),
        };
        let outcome = self.run_process(claim, launch)?;
        // Removes the file: its token is of no use without a running process.
        drop(config);
        let exit = match outcome {
            ProcessOutcome::Exited(exit) => exit,
            // Completing the chunk ends the claim, so the claim may look lost although the work is done.
            ProcessOutcome::Interrupted(Interruption::ClaimLost) => return self.handle_ended_claim(claim),
            ProcessOutcome::Interrupted(why) => return self.release_interrupted(claim, why).map(|()| 0),
        };
        let after = self.chunk_state(claim)?;
        let start_failed = after.claim_is_held && exited_at_once(&exit) && after.receipts == before.receipts;
        context.record_start(start_failed, || describe_exit_with_errors(&exit))?;
        if !after.claim_is_held {
            return self.handle_ended_claim(claim);
        }
        context.progress.items_settled(before.open_items.saturating_sub(after.open_items));
        if after.open_items == 0 {
            // Every item has its receipt, so the chunk is done even if the process did not complete it.
            return self.complete(claim).map(|()| 0);
        }
        let (count, items) = (after.open_items, if after.open_items == 1 { "item" } else { "items" });
        let how = describe_exit_with_errors(&exit);
        self.release_attempt(claim, &format!("its worker left {count} {items} without a receipt: {how}"))?;
        Ok(0)
    }

    /// Handles a chunk whose claim is no longer the runner's: the process has completed it, or the claim was lost.
    fn handle_ended_claim(&self, claim: &ActiveClaim) -> Result<u64> {
        let state = self.chunk_state(claim)?;
        match state.status.as_str() {
            "done" | "review" | "failed" | "active" | "blocked" => {
                self.context.record_start(false, String::new)?;
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
            let open_items =
                tx.chunk(&task)?.map_or(0, |chunk| chunk.counts.total - chunk.counts.processed());
            Ok(ChunkState {
                claim_is_held: claim_authority(&task, Some(&token), tx.now()) == ClaimAuthority::LiveToken,
                status: task.status.to_string(),
                open_items,
                receipts: task.receipt_count,
            })
        })
    }
}
