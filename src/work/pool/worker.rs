//! One worker of the pool: claims a chunk or task, runs the command for it, completes it, and starts again.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::active_claim::ActiveClaim;
use super::context::WorkContext;
use super::worker_command::{PrepareFailure, PreparedCommand};
use crate::error::{Code, Error, Result};
use crate::model::status::Status;
use crate::model::text::ReceiptText;
use crate::ops::{
    ClaimTask, CompleteTask, Operation, UpdateTask, batch_state, chunk_brief, release_claim,
    waits_for_resources,
};
use crate::work::limits::ConcurrencyPermit;
use crate::work::supervisor::SupervisorHandle;

/// How often a worker asks again for a chunk whose resources another chunk uses.
const RESOURCE_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How much a worker or a whole pool has done.
#[derive(Debug, Default, Clone)]
pub(in crate::work) struct WorkTotals {
    /// Tasks or chunks that were claimed.
    pub(in crate::work) claimed: u64,
    /// Items or tasks that failed.
    pub(in crate::work) failed: u64,
    /// Why nothing more could be claimed.
    pub(in crate::work) refusal: Option<String>,
}

impl WorkTotals {
    /// Adds what another worker has done.
    pub(super) fn add(&mut self, worked: WorkTotals) {
        self.claimed += worked.claimed;
        self.failed += worked.failed;
        self.refusal = worked.refusal.or(self.refusal.take());
    }
}

/// One worker of the pool.
pub(super) struct Worker<'a> {
    pub(super) context: &'a WorkContext<'a>,
    /// The supervisor process, kept for the next claim.
    pub(super) supervisor: Option<SupervisorHandle>,
    /// How processes are started under the current claim.
    pub(super) prepared: Option<PreparedCommand>,
    /// The step of the current claim, if the command depends on it.
    pub(super) step: Option<String>,
    /// Whether the supervisor process knows the command of the current claim.
    pub(super) command_is_sent: bool,
    pub(super) permit: Option<ConcurrencyPermit<'a>>,
    /// The item that is marked as started and whose command has not run: it is not in doubt if the worker stops now.
    pub(super) unrun_item: Option<String>,
    /// How many runs in a row failed temporarily.
    pub(super) temporary_failures: u32,
    /// Whether it has given up its slot, because more workers ran than may.
    pub(super) has_given_up: bool,
    /// Before this time the worker starts nothing, because of temporary failures.
    pub(super) next_start: Option<Instant>,
}

impl<'a> Worker<'a> {
    /// A worker without a claim and without a supervisor process.
    pub(super) fn new(context: &'a WorkContext<'a>) -> Self {
        Worker {
            context,
            supervisor: None,
            prepared: None,
            step: None,
            command_is_sent: false,
            permit: None,
            unrun_item: None,
            temporary_failures: 0,
            has_given_up: false,
            next_start: None,
        }
    }

    /// Works until nothing is left to claim, or until a person stops the run.
    ///
    /// # Errors
    /// The next claim would fail as well: a command that cannot be started, a store that cannot be written.
    pub(super) fn run(&mut self, request: &ClaimTask) -> Result<WorkTotals> {
        let context = self.context;
        let mut totals = WorkTotals::default();
        while !context.stop.is_requested()
            && !context.failures.is_stopped(None)
            && !self.gives_up_slot()
            && self.acquire_permit(request)?
        {
            let reply = match request.clone().run(context.session) {
                Ok(reply) => reply,
                Err(error) if error.code == Code::NothingToClaim && self.wait_for_resource(request)? => {
                    self.yield_permit()?;
                    continue;
                }
                Err(error) if matches!(error.code, Code::NothingToClaim | Code::Cancelled | Code::Paused) => {
                    totals.refusal = Some(error.to_string());
                    break;
                }
                Err(error) => return Err(error),
            };
            totals.claimed += 1;
            let claim = ActiveClaim::from_reply(reply, request.starts_first_item);
            context.claims.add(&claim.id, &claim.token, claim.reply.claim.generation);
            let result = self.work_claim(&claim);
            context.claims.remove(&claim.id);
            self.prepared = None;
            match result {
                Ok(failed) => totals.failed += failed,
                // Another worker has the chunk now and continues with the receipts written so far.
                Err(error) if error.code == Code::ClaimLost => {
                    context.progress.note_error(&error);
                    context.progress.chunk_ended(claim.id.as_str(), &claim.reply.task.title, "claim lost");
                }
                Err(error) => {
                    // Printed now, because the other workers may run for hours.
                    context.progress.note_error(&error);
                    let reason = "the worker stopped after an error";
                    if let Err(other) = release_claim(context.session, &claim.id, &claim.token, reason, None)
                    {
                        context
                            .progress
                            .note(&format!("the claim of {} cannot be released: {other}", claim.id));
                    }
                    self.report_released(&claim);
                    return Err(error);
                }
            }
            self.yield_permit()?;
        }
        Ok(totals)
    }

    /// Whether this worker has to end, because more workers run than may.
    pub(super) fn gives_up_slot(&mut self) -> bool {
        self.has_given_up = self.has_given_up || self.context.slots.give_up_if_too_many();
        self.has_given_up
    }

    /// Waits a moment if the batch has chunks that wait only for a resource that another chunk uses. Returns whether
    /// it does.
    fn wait_for_resource(&self, request: &ClaimTask) -> Result<bool> {
        let Some(batch) = &request.batch else { return Ok(false) };
        let waits = waits_for_resources(self.context.session, batch)?;
        if waits {
            std::thread::sleep(RESOURCE_POLL_INTERVAL);
        }
        Ok(waits)
    }

    /// Waits for a concurrency permit, if the runner shares a limit with other batches. Returns false if there is
    /// nothing left to claim.
    fn acquire_permit(&mut self, request: &ClaimTask) -> Result<bool> {
        let context = self.context;
        let (Some(limits), Some(batch)) = (context.limits, &request.batch) else { return Ok(true) };
        if context.profile_is_outdated(batch)? {
            return Ok(false);
        }
        if self.permit.is_none() {
            let gives_up =
                || Ok(context.stop.is_requested() || !batch_state(context.session, batch)?.is_claimable);
            self.permit = limits.permits.acquire(gives_up)?;
        }
        Ok(self.permit.is_some())
    }

    /// Releases the permit if another batch has fewer workers than its fair share. Returns whether it was released.
    pub(super) fn yield_permit(&mut self) -> Result<bool> {
        release_if_yielded(&mut self.permit)
    }

    /// Works a claim. Returns how many items failed.
    fn work_claim(&mut self, claim: &ActiveClaim) -> Result<u64> {
        self.unrun_item = claim.first_item().filter(|_| claim.first_doubt().is_none()).map(str::to_owned);
        if self.context.command.runs_per_chunk() {
            return self.work_chunk(claim);
        }
        self.prepare(claim, None, Vec::new())?;
        if claim.reply.items.is_some() { self.work_items(claim) } else { self.work_task(claim) }
    }

    /// Prepares the command, its environment and its working directory for a claim.
    pub(super) fn prepare(
        &mut self,
        claim: &ActiveClaim,
        mcp_config: Option<&Path>,
        variables: Vec<(String, OsString)>,
    ) -> Result<()> {
        let context = self.context;
        self.command_is_sent = false;
        self.step = None;
        if context.command.depends_on_step() && claim.reply.items.is_some() {
            self.step = Some(chunk_brief(context.session, &claim.id)?.step_name());
        }
        match context.command.prepare(
            &claim.id,
            self.step.as_deref(),
            mcp_config,
            variables,
            &context.children,
        ) {
            Ok(prepared) => self.prepared = Some(prepared),
            Err(PrepareFailure::Command(error)) => return Err(self.release_unstarted(claim, error)),
            Err(PrepareFailure::Folder(error)) => return Err(self.release_without_folder(claim, error)),
        }
        Ok(())
    }

    /// Completes the task of a claim.
    pub(super) fn complete(&self, claim: &ActiveClaim) -> Result<()> {
        let request = CompleteTask {
            id: claim.id.clone(),
            claim: Some(claim.token.clone()),
            summary: None,
            force: false,
        };
        let reply = request.run(self.context.session)?;
        let status = reply.task.map_or_else(|| "done".to_owned(), |task| task.status);
        self.chunk_ended(claim, &status)
    }

    /// Reports the status in which a chunk was left, and cleans up its working directory. An active chunk has another
    /// step: another worker may have claimed it by now and use the directory.
    pub(super) fn chunk_ended(&self, claim: &ActiveClaim, status: &str) -> Result<()> {
        self.context.progress.chunk_ended(claim.id.as_str(), &claim.reply.task.title, status);
        if status == Status::Active.as_str() { Ok(()) } else { self.clean_up(claim) }
    }

    /// Removes the working directory of a claim. If files have to stay, a receipt names them.
    pub(super) fn clean_up(&self, claim: &ActiveClaim) -> Result<()> {
        let context = self.context;
        let Some(work_dir) = self.prepared.as_ref().and_then(|prepared| prepared.work_dir.as_ref()) else {
            return Ok(());
        };
        if let Some(note) = context.command.clean_up(&claim.id, work_dir, &context.children)? {
            UpdateTask::note(claim.id.clone(), receipt_body(&note)?).run(context.session)?;
        }
        Ok(())
    }
}

/// Releases a permit if another batch has fewer workers than its fair share. Returns whether it was released.
pub(super) fn release_if_yielded(permit: &mut Option<ConcurrencyPermit<'_>>) -> Result<bool> {
    let yields = permit.as_mut().map_or(Ok(false), ConcurrencyPermit::yields)?;
    if yields {
        *permit = None;
    }
    Ok(yields)
}

/// A text as the body of a receipt.
pub(super) fn receipt_body(text: &str) -> Result<ReceiptText> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
