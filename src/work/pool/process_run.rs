//! Runs one process for a worker, under its supervisor process.

use super::active_claim::ActiveClaim;
use super::held_claims::Interruption;
use super::worker::{Worker, release_if_yielded};
use crate::error::{Error, Result};
use crate::work::supervisor::{
    LaunchSpec, ProcessExit, RUN_MARKER_VARIABLE, StartFailure, StopReason, SupervisorHandle,
    SupervisorReport,
};

/// What became of a process.
pub(super) enum ProcessOutcome {
    /// It ended by itself, or at one of its limits.
    Exited(ProcessExit),
    /// It was stopped before it had finished, or was not started.
    Interrupted(Interruption),
}

impl Worker<'_> {
    /// Runs a process under a claim and waits for its end.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(super) fn run_process(
        &mut self,
        claim: &ActiveClaim,
        mut launch: LaunchSpec,
    ) -> Result<ProcessOutcome> {
        let claims = &self.context.claims;
        if let Some(run_marker) = self.context.children.run_marker() {
            launch.environment.push((RUN_MARKER_VARIABLE.to_owned(), run_marker.to_owned()));
        }
        if !self.wait_for_start_limits(claim)? {
            let interruption = claims.set_ended(&claim.id).unwrap_or(Interruption::PermitYielded);
            return Ok(ProcessOutcome::Interrupted(interruption));
        }
        let mut supervisor = self.take_supervisor()?;
        if !claims.set_running(&claim.id, supervisor.stop_handle()) {
            self.supervisor = Some(supervisor);
            let interruption = claims.set_ended(&claim.id).unwrap_or(Interruption::ClaimLost);
            return Ok(ProcessOutcome::Interrupted(interruption));
        }
        let unrun_item = self.unrun_item.take();
        let report = match supervisor.run_worker(launch) {
            Ok(report) => report,
            Err(error) => {
                // The handle is dropped, which kills what the supervisor process has left.
                tracing::warn!(%error, "a worker was interrupted");
                let interruption = claims.set_ended(&claim.id).unwrap_or(Interruption::SupervisorKilled);
                return Ok(ProcessOutcome::Interrupted(interruption));
            }
        };
        let interruption = claims.set_ended(&claim.id);
        let exit = match report {
            SupervisorReport::NotStarted(failure) => {
                self.supervisor = Some(supervisor);
                self.unrun_item = unrun_item;
                return Err(match failure {
                    StartFailure::Command(why) => {
                        self.release_unstarted(claim, Error::invalid(format!("command: {why}")))
                    }
                    StartFailure::Folder(why) => self.release_without_folder(claim, Error::invalid(why)),
                });
            }
            SupervisorReport::Exited(exit) => exit,
        };
        if exit.stop_reason == Some(StopReason::Requested) && interruption.is_none() {
            // This runner did not request it, so the supervisor process received TERM and exits.
            return Ok(ProcessOutcome::Interrupted(Interruption::SupervisorKilled));
        }
        self.supervisor = Some(supervisor);
        if exit.unkillable > 0 {
            tracing::warn!(processes = exit.unkillable, "processes of a worker cannot be killed");
        }
        Ok(match interruption {
            // The result of a process that ended by itself just before the stop request still counts.
            Some(interruption) if exit.stop_reason.is_some() => ProcessOutcome::Interrupted(interruption),
            _ => ProcessOutcome::Exited(exit),
        })
    }

    /// Waits until the runner's limits allow another start. Returns false if the process must not start any more.
    fn wait_for_start_limits(&mut self, claim: &ActiveClaim) -> Result<bool> {
        let context = self.context;
        let Some(limits) = context.limits else { return Ok(true) };
        let permit = &mut self.permit;
        limits.starts.wait_until_allowed(|| {
            Ok(release_if_yielded(permit)?
                || context.stop.is_requested()
                || context.claims.is_interrupted(&claim.id))
        })
    }

    /// The supervisor process, ready to run the command of the current claim. If it was killed meanwhile, another one
    /// is started.
    fn take_supervisor(&mut self) -> Result<SupervisorHandle> {
        let command = self.prepared.as_ref().map(|prepared| prepared.command.clone());
        if let Some(mut supervisor) = self.supervisor.take() {
            let unsent = command.clone().filter(|_| !self.command_is_sent);
            match unsent.map(|command| supervisor.set_command(command)) {
                None | Some(Ok(())) => {
                    self.command_is_sent = true;
                    return Ok(supervisor);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "an idle supervisor process was killed and is replaced");
                }
            }
        }
        let mut supervisor = SupervisorHandle::start(&self.context.children)?;
        command.map_or(Ok(()), |command| supervisor.set_command(command))?;
        self.command_is_sent = true;
        Ok(supervisor)
    }
}
