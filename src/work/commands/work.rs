//! `tasktally work`: works tasks and chunks that already exist.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::batch_totals::BatchTotals;
use super::command_check::current_folder;
use super::command_help::{SEE_LONG_HELP, command_help};
use super::command_options::CommandOptions;
use super::step_commands::{check_commands, check_steps};
use super::summary::{Summary, print_line};
use crate::error::{Error, Result};
use crate::model::author::AuthorKind;
use crate::model::failure_streak::PauseAfterFailures;
use crate::model::id::TaskId;
use crate::model::limits::{LeaseSeconds, MaxParallel};
use crate::model::text::{LineText, agreeing, counted};
use crate::ops::{
    ClaimTask, GetBatch, Operation as _, RunnerLauncher as _, Session, assign_profile, batch_state,
};
use crate::terminal::with_commands;
use crate::work::background::{AgentFolders, Launcher, RunnerMode, run_batch, start_detached};
use crate::work::pool::{
    FailureGuard, HeldClaims, RetrySchedule, StartPace, WorkContext, WorkTotals, WorkerCommand, WorkerSlots,
    run_workers,
};
use crate::work::process_lock::{self, ProcessLock};
use crate::work::progress::{ProgressMode, RunProgress};
use crate::work::stop_signal::StopSignal;
use crate::work::supervisor::ChildRegistry;
use crate::work::take_over::{keep_taking_over, take_over_from_all};
use crate::work::this_program::require_process_table;

/// Work tasks and chunks that already exist.
#[derive(Debug, clap::Args)]
#[command(after_help = SEE_LONG_HELP, after_long_help = command_help!(
    "  0  Everything that was claimed is done
  1  Items or tasks failed
  2  Bad usage, or CMD or the profile cannot be used
  3  Nothing could be claimed

For a task without items, stdin is the task as JSON. Without CMD, the batch's
profile is used; tasktally config example NAME prints one."
))]
pub struct Work {
    /// Work only on this batch
    #[arg(long)]
    batch: Option<TaskId>,
    /// Work only on tasks of this project
    #[arg(long)]
    project: Option<LineText>,
    /// How many tasks or chunks this process works on at the same time [default: 8; with --batch, its max_parallel, which is also the most]
    #[arg(long)]
    workers: Option<MaxParallel>,
    #[command(flatten)]
    limits: CommandOptions,
    /// Pause a batch after this many failures in a row, or after 5 if nothing in it has succeeded yet; 0: never [default: 10]
    #[arg(long, value_name = "N")]
    pause_after_failures: Option<PauseAfterFailures>,
    /// Print only the summary
    #[arg(long)]
    quiet: bool,
    /// The profile whose workers process the batch [default: the batch's profile]
    #[arg(long, requires = "batch", conflicts_with = "command")]
    worker: Option<LineText>,
    /// Start a background runner, print its process id, and exit
    #[arg(long, requires = "batch", conflicts_with = "command")]
    detach: bool,
    /// Run as the background runner
    #[arg(long, hide = true, requires = "batch", conflicts_with = "command")]
    background: bool,
    /// Run as the standby of a background runner
    #[arg(long, hide = true, requires = "background")]
    standby: bool,
    /// The command. It runs once per item or task, with its JSON on standard input [default with --batch: the profile's command]
    #[arg(last = true, value_name = "CMD", required_unless_present = "batch")]
    command: Vec<String>,
}

impl Work {
    /// Refuses options that do nothing if the batch's profile is used.
    fn refuse_options_of_commands(&self) -> Result<()> {
        let limit = self
            .limits
            .first_given()
            .or(self.pause_after_failures.map(|_| ("pause-after-failures", "pause_after_failures")));
        let why = match (&self.workers, &self.project, limit) {
            (Some(_), ..) => {
                "workers: the profile's max_parallel and the batch's max_parallel apply".to_owned()
            }
            (None, Some(_), _) => "project: --batch already names the batch".to_owned(),
            (None, None, Some((option, setting))) => format!("{option}: the profile's {setting} applies"),
            (None, None, None) => return Ok(()),
        };
        Err(Error::invalid(format!("{why}; leave the option out, or give a command after --")))
    }

    /// Whether the batch's profile is used, and not commands of the command line.
    pub fn is_by_profile(&self) -> bool {
        let needs_profile = self.worker.is_some() || self.detach || self.background;
        self.command.is_empty() && (needs_profile || self.limits.step_commands.is_empty())
    }

    /// Whether this process is a background runner, whose standard error is the runner log.
    pub fn is_in_background(&self) -> bool {
        self.background
    }
}

/// What of a batch waits for a person after the workers have ended, as the end of a message.
fn what_waits(session: &Session, batch: &TaskId) -> Result<String> {
    let reply = GetBatch::progress_of(batch.clone()).run(session)?;
    let waiting = reply.needs_person.map_or(0, |ids| ids.len()) as u64;
    Ok(match reply.next {
        Some(next) if waiting > 0 => {
            let (what, waits) = (counted(waiting, "chunk"), agreeing(waiting, "waits", "wait"));
            format!("; {what} {waits} for a person: {next}")
        }
        _ => String::new(),
    })
}

/// Works ready tasks and chunks until none is left. Returns the exit code. `program` is how tasktally is called for
/// this store, for the commands that are printed.
///
/// # Errors
/// The command cannot be started, the profile cannot be used, or the store cannot be written.
pub fn work(options: Work, session: &Session, store: &Path, program: &str, json: bool) -> Result<u8> {
    require_process_table()?;
    let step_commands = &options.limits.step_commands;
    if let Some(batch) = options.batch.as_ref().filter(|_| options.is_by_profile()) {
        return work_by_profile(&options, session, store, program, batch, json);
    }
    let folder = current_folder()?;
    check_commands(&options.command, step_commands, &folder)?;
    let note = match &options.batch {
        Some(batch) => check_steps(&options.command, step_commands, &batch_state(session, batch)?.steps)?,
        None if step_commands.is_empty() => None,
        None => {
            return Err(Error::invalid("step-command: name the batch whose steps it means with --batch"));
        }
    };
    let stop = StopSignal::install()?;
    let progress = RunProgress::new(ProgressMode::choose(json, options.quiet), 0, 0).with_program(program);
    let mut process = ProcessLock::acquire(session)?;
    let children = ChildRegistry::new_subreaper()?.with_run_marker(&process_lock::run_marker(process.mark()));
    process.watch(&children, &stop)?;
    let session = &session.of_kind(AuthorKind::Runner).with_fence(process.fence());
    take_over_from_all(session, &progress)?;
    note.iter().for_each(|note| progress.note(note));
    let command =
        WorkerCommand::from_arguments(&options.command, step_commands, &folder, options.limits.limits());
    let take_over = || keep_taking_over(session, &progress);
    let context = WorkContext {
        session,
        store: Path::new(""),
        command: &command,
        progress: &progress,
        stop: &stop,
        children,
        claims: HeldClaims::default(),
        retries: RetrySchedule::new(command.retry_policy()),
        pace: StartPace::new(command.start_delay()),
        take_over: &take_over,
        slots: WorkerSlots::default(),
        failures: FailureGuard::new(options.pause_after_failures.unwrap_or(PauseAfterFailures::DEFAULT)),
        limits: None,
    };
    let request = ClaimTask {
        worker: None,
        id: None,
        project: options.project.clone(),
        batch: options.batch.clone(),
        task_type: None,
        priority_max: None,
        tags: Vec::new(),
        lease_seconds: LeaseSeconds::of(1_800),
        request_key: None,
        by_runner: false,
        starts_first_item: command.start_delay().is_none(),
        process: Some(process.mark().clone()),
    };
    let worker_name = format!("work-{}", std::process::id());
    // The pool runs no more workers than the batch's max_parallel.
    let default = if options.batch.is_some() { MaxParallel::of(64) } else { MaxParallel::of(8) };
    let worked = run_workers(&context, &request, &worker_name, options.workers.unwrap_or(default));
    progress.finish();
    process.check()?;
    let totals = worked?;
    let mut message =
        format!("{} tasks or chunks worked, {} tasks or items failed", totals.claimed, totals.failed);
    if let Some(why) = totals.refusal.as_ref().filter(|_| totals.claimed == 0) {
        message.push_str(&format!(". {why}"));
    }
    if context.failures.is_stopped(None) {
        message.push_str(". Stopped after too many failures in a row; fix the cause, then start it again");
    }
    if totals.failed > 0 {
        message.push_str("; get_batch() lists the batches with failures");
    }
    if let Some(batch) = &options.batch {
        message.push_str(&what_waits(session, batch)?);
    }
    if json {
        progress.event(&json!({ "event": "done", "success": totals.failed == 0, "message": message }));
    } else {
        print_line(&with_commands(&message, program));
    }
    Ok(match totals {
        WorkTotals { claimed: 0, .. } => 3,
        WorkTotals { failed: 0, .. } => 0,
        _ => 1,
    })
}

/// Works a batch by its profile, in this process or in a detached one.
fn work_by_profile(
    options: &Work,
    session: &Session,
    store: &Path,
    program: &str,
    batch: &TaskId,
    json: bool,
) -> Result<u8> {
    options.refuse_options_of_commands()?;
    if let Some(worker) = &options.worker
        && !options.background
    {
        let state = batch_state(session, batch)?;
        Launcher::new(store, session.folder(), AgentFolders::default()).check(
            worker.as_str(),
            state.project.as_deref(),
            &state.steps,
        )?;
        assign_profile(session, batch, worker)?;
    }
    if options.detach {
        let reply = start_detached(session, store, batch)?;
        let message = reply["message"].as_str().unwrap_or_default();
        let text = if json { reply.to_string() } else { with_commands(message, program) };
        print_line(&text);
        return Ok(0);
    }
    let started_at = Instant::now();
    let runner_mode = match (options.background, options.standby) {
        (false, _) => RunnerMode::Foreground,
        (true, false) => RunnerMode::Background,
        (true, true) => RunnerMode::Standby,
    };
    let mode =
        if options.background { ProgressMode::Lines } else { ProgressMode::choose(json, options.quiet) };
    let before = BatchTotals::read(session, batch)?;
    let progress = RunProgress::new(mode, before.total, before.processed).with_program(program);
    let exit_code = run_batch(session, store, batch, runner_mode, &progress)?;
    progress.finish();
    if runner_mode == RunnerMode::Foreground {
        let processed = BatchTotals::read(session, batch)?.processed - before.processed;
        let summary = Summary { session, program, batch, mode, store_is_temporary: false };
        summary.print(started_at, processed)?;
    }
    Ok(exit_code)
}

/// Works a batch by its profile until it has ended or waits for a person, to test the profile. Prints nothing, and tries
/// nothing again.
///
/// # Errors
/// The profile cannot be used, or the store cannot be written.
pub fn test_in_foreground(session: &Session, store: &Path, batch: &TaskId) -> Result<()> {
    run_batch(session, store, batch, RunnerMode::Test, &RunProgress::hidden()).map(|_| ())
}
