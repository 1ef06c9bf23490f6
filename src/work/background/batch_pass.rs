//! One pass over a batch: works it by its profile until it has ended. The caller holds the run lock.

use std::path::Path;
use std::time::Duration;

use super::previous_runner::end_previous_runner;
use super::runner_heartbeat::with_heartbeat;
use super::runner_mode::RunnerMode;
use super::standby_runner::StandbyRunner;
use crate::config::{Config, Limits, Profile};
use crate::error::{Code, Error, Result};
use crate::host::host_name;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::text::LineText;
use crate::ops::{
    BatchState, ClaimTask, Session, batch_state, pause_profile, register_runner, unregister_runner,
};
use crate::work::limits::{ConcurrencyPermits, RunnerLimits, StartLimits};
use crate::work::pool::{
    FailureGuard, HeldClaims, RetrySchedule, StartPace, WorkContext, WorkerCommand, WorkerSlots, run_workers,
};
use crate::work::progress::RunProgress;
use crate::work::stop_signal::StopSignal;
use crate::work::supervisor::{ChildRegistry, kill_marked_processes};
use crate::work::take_over::{keep_taking_over, run_marker, take_over_from_workers};

/// How often the batch is read while there is nothing to claim.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What a pass needs.
pub(super) struct BatchPass<'a> {
    pub(super) session: &'a Session,
    pub(super) store: &'a Path,
    pub(super) batch: &'a TaskId,
    pub(super) mode: RunnerMode,
    pub(super) progress: &'a RunProgress,
    pub(super) stop: &'a StopSignal,
    pub(super) standby: &'a StandbyRunner<'a>,
    pub(super) children: &'a ChildRegistry,
}

/// Why the work by one version of a profile has ended.
enum ProfileEnd {
    /// The batch has ended, or the runner was stopped.
    BatchEnded(BatchState),
    /// The profile has to be read again.
    ProfileChanged,
}

impl BatchPass<'_> {
    /// Works the batch until it has ended or the runner was stopped.
    ///
    /// # Errors
    /// The batch has no profile, the configuration is bad, or the store cannot be read or written.
    pub(super) fn run(&self) -> Result<BatchState> {
        let state = batch_state(self.session, self.batch)?;
        // First of all: if this process is killed from now on, another one takes over.
        if !state.status.is_over() {
            self.standby.ensure_running();
        }
        // Needed even if the batch has ended or no worker may start.
        kill_marked_processes(&run_marker(self.batch));
        end_previous_runner(self.session, self.batch, state.row, self.progress)?;
        take_over_from_workers(self.session, self.progress)?;
        if state.status.is_over() { Ok(state) } else { self.work_by_profiles() }
    }

    /// Works the batch by its profile. Reads the profile again whenever it was paused or replaced.
    fn work_by_profiles(&self) -> Result<BatchState> {
        let mut is_first = true;
        loop {
            let state = batch_state(self.session, self.batch)?;
            let name = state.worker.clone().ok_or_else(|| {
                let batch = self.batch;
                Error::invalid(format!(
                    "worker: batch {batch} has no profile; name one with tasktally work --batch {batch} --worker NAME (tasktally config lists them), or give a command after --"
                ))
            })?;
            let end = match load_profile(&name, &state) {
                Ok((mut profile, limits)) => {
                    if self.mode == RunnerMode::Test {
                        profile.retry.total = Duration::ZERO;
                    }
                    self.work_by_profile(state, &name, &profile, &limits)?
                }
                Err(error) if is_first => return Err(error),
                Err(error) => {
                    pause_profile(self.session, self.batch, &name, &error.to_string())?;
                    self.wait_for_change(&name)?
                }
            };
            is_first = false;
            if let ProfileEnd::BatchEnded(state) = end {
                return Ok(state);
            }
        }
    }

    /// Works the batch by one version of its profile, under a new record and a new run marker.
    fn work_by_profile(
        &self,
        state: BatchState,
        name: &str,
        profile: &Profile,
        limits: &Limits,
    ) -> Result<ProfileEnd> {
        let (session, row) = (self.session, state.row);
        let run_marker = register_runner(session, row, name, std::process::id(), &host_name())?;
        let starts = StartLimits::new(session, self.batch, profile, limits);
        let permits = ConcurrencyPermits::new(session, row, limits.max_parallel as u64);
        let command =
            WorkerCommand::from_profile(profile.clone(), self.batch, state.project, session.folder());
        let take_over = || keep_taking_over(session, self.progress);
        let context = WorkContext {
            session,
            store: self.store,
            command: &command,
            progress: self.progress,
            stop: self.stop,
            children: self.children.clone().with_run_marker(&run_marker),
            claims: HeldClaims::default(),
            retries: RetrySchedule::new(command.retry_policy()),
            pace: StartPace::new(command.start_delay()),
            take_over: &take_over,
            slots: WorkerSlots::default(),
            failures: FailureGuard::new(profile.pause_after_failures),
            limits: Some(RunnerLimits { permits: &permits, starts: &starts }),
        };
        let waits_for = || starts.waits_for().or_else(|| context.retries.waits_for());
        let end = with_heartbeat(session, row, &waits_for, self.standby, || {
            self.run_pools(&context, &permits, &starts, profile.max_parallel, name)
        });
        // Only a killed supervisor process leaves anything.
        kill_marked_processes(&run_marker);
        let recorded = unregister_runner(session, row, &run_marker);
        end.and_then(|end| recorded.map(|()| end))
    }

    /// Runs a worker pool whenever there is something to claim, until the batch has ended or the profile has to be
    /// read again.
    fn run_pools(
        &self,
        context: &WorkContext<'_>,
        permits: &ConcurrencyPermits<'_>,
        starts: &StartLimits<'_>,
        max_parallel: usize,
        name: &str,
    ) -> Result<ProfileEnd> {
        let per_item = !context.command.runs_per_chunk();
        let request = ClaimTask::for_runner(LineText::known("runner"), self.batch.clone(), per_item);
        let worker_name = format!("runner-{}", std::process::id());
        let count = MaxParallel::of(i64::try_from(max_parallel).unwrap_or(i64::MAX));
        loop {
            let state = batch_state(self.session, self.batch)?;
            // A runner in the foreground returns, so that the person sees what the batch waits for.
            let waits_for_person = matches!(state.status, BatchStatus::Paused | BatchStatus::Waiting);
            if self.stop.is_requested()
                || state.status.is_over()
                || (waits_for_person && !self.mode.is_detached())
            {
                return Ok(ProfileEnd::BatchEnded(state));
            }
            if state.status == BatchStatus::Paused || state.worker.as_deref() != Some(name) {
                return self.wait_for_change(name);
            }
            if state.status == BatchStatus::Running && state.is_claimable {
                let result = run_workers(context, &request, &worker_name, count);
                permits.clear_waiting()?;
                match result {
                    Ok(_) => {}
                    Err(error) if self.stop.is_requested() || error_may_pass(&error) => return Err(error),
                    // The batch was paused already, because of its folders.
                    Err(_) if context.failures.is_stopped(Some(self.batch)) => {}
                    // A person has to fix the cause. Receipts that were written stay.
                    Err(error) => starts.pause(&error.to_string())?,
                }
                if starts.is_paused() {
                    return self.wait_for_change(name);
                }
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until a paused batch is resumed or another profile is named for it.
    fn wait_for_change(&self, name: &str) -> Result<ProfileEnd> {
        loop {
            let state = batch_state(self.session, self.batch)?;
            // A runner in the foreground would wait for the person who waits for its end.
            let ends_now = state.status == BatchStatus::Paused && !self.mode.is_detached();
            if self.stop.is_requested() || state.status.is_over() || ends_now {
                return Ok(ProfileEnd::BatchEnded(state));
            }
            if state.status != BatchStatus::Paused || state.worker.as_deref() != Some(name) {
                return Ok(ProfileEnd::ProfileChanged);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Reads a profile and the limits from the configuration, and checks the profile for the batch's project.
fn load_profile(name: &str, state: &BatchState) -> Result<(Profile, Limits)> {
    let config = Config::load(&[])?;
    let profile = config.profile(name)?.clone();
    profile.check_project(state.project.as_deref())?;
    profile.check_steps(&state.steps)?;
    Ok((profile, config.limits().clone()))
}

/// Whether an error is the machine's and may pass, in contrast to a wrong request or configuration.
pub(super) fn error_may_pass(error: &Error) -> bool {
    matches!(error.code, Code::Internal | Code::Busy | Code::ReadOnly)
}
