//! `tasktally run`: creates a batch from items and works it in this process.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::batch_totals::BatchTotals;
use super::run_options::Run;
use super::run_requests::{RunCommand, add_items_request, create_batch_request, refuse_second_run};
use super::step_commands::{check_commands, check_steps};
use super::summary::{Summary, print_line};
use crate::error::{Code, Error, Result};
use crate::model::author::AuthorKind;
use crate::model::batch::BatchStatus;
use crate::model::failure_streak::PauseAfterFailures;
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::text::{LineText, counted};
use crate::ops::{
    BadItems, ClaimTask, Operation, Plan, Session, batch_max_parallel, batch_state, end_pause,
    release_runner_claims, set_batch_max_parallel,
};
use crate::terminal::with_commands;
use crate::work::pool::{
    FailureGuard, HeldClaims, RetrySchedule, StartPace, WorkContext, WorkTotals, WorkerCommand, WorkerSlots,
    run_workers,
};
use crate::work::progress::{ProgressMode, RunProgress};
use crate::work::run_lock;
use crate::work::stop_signal::StopSignal;
use crate::work::supervisor::{ChildRegistry, kill_marked_processes};
use crate::work::take_over::{keep_taking_over, run_marker, take_over_from_workers};
use crate::work::this_program::require_process_table;

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// The batch.
    pub batch: TaskId,
    /// The exit code.
    pub exit_code: u8,
}

/// Creates or resumes a batch and works it. Returns the exit code. `program` is how tasktally is called for this store,
/// for the commands that are printed.
///
/// # Errors
/// The batch cannot be created or is worked by another process, the command cannot be started, or the store cannot be
/// written.
pub fn run(options: Run, session: &Session, program: &str, json: bool) -> Result<u8> {
    run_until(options, session, program, json, &StopSignal::install()?).map(|end| end.exit_code)
}

/// The same for a caller that waits for signals already.
///
/// # Errors
/// As for [`run`].
pub fn run_until(
    options: Run,
    session: &Session,
    program: &str,
    json: bool,
    stop: &StopSignal,
) -> Result<RunEnd> {
    require_process_table()?;
    let started_at = Instant::now();
    let mode = ProgressMode::choose(json, options.quiet);
    let command = match &options.resume {
        Some(id) if options.command.is_empty() => {
            RunCommand::recorded(session, id, &options.limits, options.imported_command)?
        }
        _ => RunCommand::given(&options)?,
    };
    check_commands(&command.command, &command.steps, &command.folder)?;
    if let Some(id) = &options.resume {
        check_steps(&command.command, &command.steps, &batch_state(session, id)?.steps)?;
    }
    let (batch, plan) = match &options.resume {
        None => {
            let run = command.record(options.items.as_ref());
            if !options.new {
                refuse_second_run(session, program, &run)?;
            }
            let plan = create_batch_request(&options, run)?.run(session).map_err(with_option_names)?;
            (TaskId::stored(plan.batch.id.clone().unwrap_or_default()), Some(plan))
        }
        Some(id) => (id.clone(), None),
    };
    refuse_cancelled(session, &batch)?;
    // Held until this process ends in any way, so that no other process takes its claims for those of a killed run.
    let mut run_lock = run_lock::acquire(session, &batch)?;
    let children = ChildRegistry::new_subreaper()?.with_run_marker(&run_marker(&batch));
    run_lock.watch(&children, stop)?;
    let session = &session.with_fence(run_lock.fence());
    let added = match (&options.resume, &options.items) {
        (Some(_), Some(_)) => {
            Some(add_items_request(&options, &batch).run(session).map_err(with_option_names)?)
        }
        _ => None,
    };
    // The commands of a killed run may still be within their grace. They must not run beside the new ones.
    kill_marked_processes(&run_marker(&batch));
    release_runner_claims(session, &batch)?;
    if options.resume.is_some() {
        end_pause(session, &batch)?;
        if let Some(workers) = options.workers {
            set_batch_max_parallel(session, &batch, workers)?;
        }
    }
    let before = BatchTotals::read(session, &batch)?;
    let progress = RunProgress::new(mode, before.total, before.processed).with_program(program);
    report_start(&progress, mode, program, &batch, plan.as_ref(), &before);
    if let Some(added) = &added {
        let event =
            json!({ "event": "added", "batch": added.batch, "added": added.added, "known": added.known });
        progress.event(&with_bad_items(event, added.bad_items.as_ref()));
        if mode != ProgressMode::Json {
            progress.note(&with_commands(&added.message, program));
        }
        list_bad_items(&progress, mode, program, added.bad_items.as_ref());
    }
    progress.note(&describe_work(&batch, &before, batch_max_parallel(session, &batch)?));
    let note = check_steps(&command.command, &command.steps, &batch_state(session, &batch)?.steps)?;
    note.iter().for_each(|note| progress.note(note));
    let session = &session.of_kind(AuthorKind::Runner);
    take_over_from_workers(session, &progress)?;
    let command =
        WorkerCommand::from_arguments(&command.command, &command.steps, &command.folder, command.limits);
    let take_over = || keep_taking_over(session, &progress);
    let context = WorkContext {
        session,
        store: Path::new(""),
        command: &command,
        progress: &progress,
        stop,
        children,
        claims: HeldClaims::default(),
        retries: RetrySchedule::new(command.retry_policy()),
        pace: StartPace::new(command.start_delay()),
        take_over: &take_over,
        slots: WorkerSlots::default(),
        failures: FailureGuard::new(options.pause_after_failures.unwrap_or(PauseAfterFailures::DEFAULT)),
        limits: None,
    };
    let starts_first = command.start_delay().is_none();
    let request = ClaimTask::for_runner(LineText::known("run"), batch.clone(), starts_first);
    let worker_name = format!("run-{}", std::process::id());
    let worked = run_workers(&context, &request, &worker_name, MaxParallel::of(64));
    progress.finish();
    run_lock.check()?;
    let after = BatchTotals::read(session, &batch)?;
    let summary =
        Summary { session, program, batch: &batch, mode, store_is_temporary: options.store_is_temporary };
    summary.print(started_at, after.processed - before.processed)?;
    // The other workers may have finished the batch after one of them could not go on.
    let totals = match worked {
        Err(error) if after.processed < after.total => return Err(error),
        worked => worked.unwrap_or_default(),
    };
    if mode != ProgressMode::Json {
        let next = (!options.store_is_temporary).then(|| format!("{program} run --resume {batch}"));
        report_open_items(&after, &totals, stop, program, next.as_deref());
    }
    let nothing_to_do = totals.claimed == 0 && options.resume.is_some();
    let exit_code = match after.status {
        BatchStatus::Done if after.failed == 0 && nothing_to_do => 3,
        BatchStatus::Done if after.failed == 0 => 0,
        _ => 1,
    };
    Ok(RunEnd { batch, exit_code })
}

/// Names the source of the items as the option of `run`.
fn with_option_names(mut error: Error) -> Error {
    if let Some(rest) = error.message.strip_prefix("source: ") {
        error.message = format!("items: {rest}");
    }
    error
}

/// Says how many items are to do, and how many workers can work on them: a chunk has one worker at a time.
fn describe_work(batch: &TaskId, before: &BatchTotals, max_parallel: MaxParallel) -> String {
    let workers = before.open_chunks.min(max_parallel.get() as u64);
    format!(
        "Batch {batch}: {} of {} to do in {}, {}",
        before.total - before.processed,
        counted(before.total, "item"),
        counted(before.open_chunks, "chunk"),
        counted(workers, "worker")
    )
}

/// Refuses to work a batch that was cancelled.
fn refuse_cancelled(session: &Session, batch: &TaskId) -> Result<()> {
    if BatchTotals::read(session, batch)?.status != BatchStatus::Cancelled {
        return Ok(());
    }
    Err(Error::new(
        Code::Cancelled,
        format!(
            "resume: batch {batch} was cancelled; control_batch(id=\"{batch}\", action=\"recreate\") makes a new batch of what is not done"
        ),
    ))
}

/// Says why items are left, and with which command to continue, if that is possible.
fn report_open_items(
    after: &BatchTotals,
    totals: &WorkTotals,
    stop: &StopSignal,
    program: &str,
    next: Option<&str>,
) {
    if after.processed >= after.total {
        return;
    }
    let why = match (&after.pause_reason, &totals.refusal) {
        _ if stop.is_requested() => "Stopped.".to_owned(),
        (Some(why), _) => format!("Paused: {why}"),
        (None, Some(why)) => why.clone(),
        (None, None) => "Items are left.".to_owned(),
    };
    print_line(&with_commands(&why, program));
    if let Some(next) = next {
        print_line(&format!("To continue: {next}"));
    }
}

/// Reports that a batch was created, or how far a resumed one has come.
fn report_start(
    progress: &RunProgress,
    mode: ProgressMode,
    program: &str,
    batch: &TaskId,
    plan: Option<&Plan>,
    before: &BatchTotals,
) {
    let Some(plan) = plan else {
        let (processed, total) = (before.processed, before.total);
        let event = json!({ "event": "resumed", "batch": batch, "processed": processed, "total": total });
        return progress.event(&event);
    };
    let mut event = json!({ "event": "created", "batch": plan.batch, "mode": plan.mode });
    if let Some(dates) = &plan.dates {
        event["dates"] = json!(dates);
    }
    progress.event(&with_bad_items(event, plan.bad_items.as_ref()));
    if let Some(dates) = plan.dates.as_ref().filter(|_| mode != ProgressMode::Json) {
        progress.note(&format!("Dates: {} to {}", dates.first, dates.last));
        if let Some(warning) = &dates.warning {
            print_line(warning);
        }
    }
    list_bad_items(progress, mode, program, plan.bad_items.as_ref());
}

fn with_bad_items(mut event: serde_json::Value, bad_items: Option<&BadItems>) -> serde_json::Value {
    if let Some(bad_items) = bad_items {
        event["bad_items"] = json!(bad_items);
    }
    event
}

/// Lists the bad items that were left out. Quiet mode prints their number, JSON mode has them in its event.
fn list_bad_items(progress: &RunProgress, mode: ProgressMode, program: &str, bad_items: Option<&BadItems>) {
    let Some(bad_items) = bad_items.filter(|_| mode != ProgressMode::Json) else { return };
    let ignored_unlisted = bad_items.ignored - bad_items.ignored_listed.len() as u64;
    for (count, listed, unlisted, what) in [
        (bad_items.count, &bad_items.listed, bad_items.unlisted, "Bad items left out"),
        (bad_items.ignored, &bad_items.ignored_listed, ignored_unlisted, "Entries of the folder left out"),
    ] {
        if count == 0 {
            continue;
        }
        let line = format!("{what}: {count}");
        if mode == ProgressMode::Quiet {
            print_line(&line);
            continue;
        }
        progress.note(&line);
        for item in listed {
            progress.note(&format!("  {}", with_commands(item, program)));
        }
        if unlisted > 0 {
            progress.note(&format!("  and {unlisted} more"));
        }
    }
}
