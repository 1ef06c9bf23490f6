//! `tasktally run`: makes a batch and works it here. `tasktally work`: works what others made.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::background::{How, Launcher, detach, runner};
use super::claim_heartbeat::ClaimHeartbeat;
use super::command_spec::Method;
use super::interrupt::Stop;
use super::progress::{Manner, Progress};
use super::runner_lock;
use super::supervisor::{ChildRegistry, end_strays};
use super::table::table;
use super::worker::Worked;
use super::worker_pool::WorkerPool;
use crate::error::{Error, Result};
use crate::items::Source;
use crate::model::batch::BatchStatus;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::in_doubt::InDoubt;
use crate::model::limits::{LeaseSeconds, MaxAttempts, MaxChunk, MaxParallel};
use crate::model::split::Split;
use crate::model::step::Checkpoint;
use crate::model::text::{Line, Long, excerpt};
use crate::ops::views::intermediate_state;
use crate::ops::{
    AddItems, BadItems, ClaimTask, CreateBatch, GetBatch, OnBadItem, Operation, RunnerLauncher as _, Session,
    assign_profile, batch_state, release_runner_claims,
};

/// Make a batch from items and work it here.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The items: a JSONL or CSV file, or a folder; with --resume, what is new in them is added
    #[arg(long, required_unless_present = "resume")]
    items: Option<Source>,
    /// How to split: size, FIELD by category:FIELD, or day|week|month|quarter|year:FIELD
    #[arg(long, default_value = "size")]
    split: Split,
    /// The field that names an item
    #[arg(long, default_value = "key")]
    key: Line,
    /// What is done with bad items: reject (nothing is made) or skip (they are left out and listed)
    #[arg(long, default_value = "reject")]
    on_bad_item: OnBadItem,
    /// The most items a chunk holds
    #[arg(long, default_value = "50")]
    max_chunk: MaxChunk,
    /// The fields that name what an item touches [default: files]
    #[arg(long, value_delimiter = ',', conflicts_with = "resume")]
    resources: Vec<Line>,
    /// Where chunks touch the same: reject, merge, serialize or allow [default: allow, for you chose the split; with --resources reject]
    #[arg(long, conflicts_with = "resume")]
    on_conflict: Option<OnConflict>,
    /// Chunks worked on at once
    #[arg(long, default_value = "8")]
    workers: MaxParallel,
    /// The batch's title
    #[arg(long)]
    title: Option<Line>,
    /// The batch's project
    #[arg(long)]
    project: Option<Line>,
    /// Go on with a batch from its receipts
    #[arg(long, value_name = "BATCH")]
    resume: Option<TaskId>,
    /// Show nothing but the end
    #[arg(long)]
    quiet: bool,
    /// The command: run once an item, its JSON on standard input
    #[arg(last = true, value_name = "CMD", required_unless_present = "resume")]
    command: Vec<String>,
}

/// Work what others made.
#[derive(Debug, clap::Args)]
pub struct Work {
    /// Only this batch
    #[arg(long)]
    batch: Option<TaskId>,
    /// Only this project
    #[arg(long)]
    project: Option<Line>,
    /// Tasks or chunks worked on at once
    #[arg(long, default_value = "8")]
    workers: MaxParallel,
    /// Show nothing but the end
    #[arg(long)]
    quiet: bool,
    /// By a profile of the configuration [default: that of the batch]
    #[arg(long, requires = "batch", conflicts_with = "command")]
    worker: Option<Line>,
    /// In the background: says as which process, and leaves it
    #[arg(long, requires = "batch", conflicts_with = "command")]
    detach: bool,
    /// The runner that was detached
    #[arg(long, hide = true, requires = "batch", conflicts_with = "command")]
    background: bool,
    /// Takes over where the one at work dies
    #[arg(long, hide = true, requires = "background")]
    standby: bool,
    /// The command: run once an item (or task), its JSON on standard input [default: a profile's, with --batch]
    #[arg(last = true, value_name = "CMD", required_unless_present = "batch")]
    command: Vec<String>,
}

impl Work {
    /// Whether it is a detached runner, whose standard error is its log.
    pub fn is_in_background(&self) -> bool {
        self.background
    }
}

/// Makes or resumes a batch and works it; gives the exit code. `called` is what `tasktally` is called as over this
/// store, for what is printed to be copied.
///
/// # Errors
/// What keeps it from starting or going on.
pub fn run(request: Run, session: &Session, called: &str, json: bool) -> Result<u8> {
    let stop = Stop::on_signals()?;
    let begun = Instant::now();
    let manner = Manner::choose(json, request.quiet);
    let (batch, command, made) = match &request.resume {
        None => {
            let plan = create(&request).run(session)?;
            let id = plan.batch.id.clone().unwrap_or_default();
            (TaskId::stored(id), request.command.clone(), Some(plan))
        }
        Some(id) => {
            let command = if request.command.is_empty() {
                recorded_command(session, id)?
            } else {
                request.command.clone()
            };
            (id.clone(), command, None)
        }
    };
    // Held until this process ends, however it ends: nobody else may take its claims for a dead run's.
    let _only = runner_lock::take(session.folder(), &batch)?;
    let added = match (&request.resume, &request.items) {
        (Some(_), Some(_)) => Some(add(&request, &batch).run(session)?),
        _ => None,
    };
    // A run that was killed gives its commands some grace: they must not go on beside the next ones.
    end_strays(&mark_of(&batch));
    release_runner_claims(session, &batch)?;
    let before = status(session, &batch)?;
    let progress = Progress::new(manner, before.total, before.processed);
    match &made {
        Some(plan) => {
            let mut event = json!({ "event": "created", "batch": plan.batch, "mode": plan.mode });
            if let Some(bad) = &plan.bad_items {
                event["bad_items"] = json!(bad);
            }
            progress.event(&event);
            tell_left_out(&progress, manner, plan.bad_items.as_ref());
        }
        None => progress.event(&json!({ "event": "resumed", "batch": batch, "processed": before.processed, "total": before.total })),
    }
    if let Some(added) = &added {
        let mut event =
            json!({ "event": "added", "batch": added.batch, "added": added.added, "known": added.known });
        if let Some(bad) = &added.bad_items {
            event["bad_items"] = json!(bad);
        }
        progress.event(&event);
        if manner != Manner::Json {
            progress.say(&added.message);
        }
        tell_left_out(&progress, manner, added.bad_items.as_ref());
    }
    progress.say(&format!(
        "Batch {batch}: {} of {} items to do, {} workers",
        before.total - before.processed,
        before.total,
        request.workers
    ));
    let worker = format!("run-{}", std::process::id());
    let claim = ClaimTask::of_batch(Line::known("run"), batch.clone(), true);
    let method = Method::of_command(&command);
    let family = ChildRegistry::found()?.marked(&mark_of(&batch));
    let worked = crew(session, &method, &progress, &stop, family).work(&claim, &worker, request.workers)?;
    progress.finish();
    let after = status(session, &batch)?;
    finish(session, called, &batch, manner, begun, after.processed - before.processed)?;
    if after.processed < after.total && stop.is_asked() {
        say(&format!("Stopped. To go on: {called} run --resume {batch}"));
    }
    Ok(match after.state {
        BatchStatus::Done if after.failed == 0 && worked.claimed == 0 && request.resume.is_some() => 3,
        BatchStatus::Done if after.failed == 0 => 0,
        _ => 1,
    })
}

/// Works ready tasks and chunks until none is left; gives the exit code.
///
/// # Errors
/// What keeps it from starting or going on.
pub fn work(request: Work, session: &Session, store: &Path, called: &str, json: bool) -> Result<u8> {
    if let Some(batch) = request.batch.as_ref().filter(|_| request.command.is_empty()) {
        return work_by_profile(&request, session, store, called, batch, json);
    }
    let stop = Stop::on_signals()?;
    let progress = Progress::new(Manner::choose(json, request.quiet), 0, 0);
    let claim = ClaimTask {
        worker: None,
        id: None,
        project: request.project.clone(),
        batch: request.batch.clone(),
        kind: None,
        priority_max: None,
        tags: Vec::new(),
        lease_seconds: LeaseSeconds::of(1_800),
        by_runner: false,
        begins: true,
    };
    let worker = format!("work-{}", std::process::id());
    let method = Method::of_command(&request.command);
    let worked = crew(session, &method, &progress, &stop, ChildRegistry::found()?).work(
        &claim,
        &worker,
        request.workers,
    )?;
    progress.finish();
    let message = format!("{} worked on, {} failed", worked.claimed, worked.failed);
    if json {
        progress.event(&json!({ "event": "done", "success": worked.failed == 0, "message": message }));
    } else {
        say(&message);
    }
    Ok(match worked {
        Worked { claimed: 0, .. } => 3,
        Worked { failed: 0, .. } => 0,
        _ => 1,
    })
}

/// Works a batch by a profile, here or in the background.
fn work_by_profile(
    request: &Work,
    session: &Session,
    store: &Path,
    called: &str,
    batch: &TaskId,
    json: bool,
) -> Result<u8> {
    let store = &std::path::absolute(store)
        .map_err(|error| Error::internal("the store's path cannot be made absolute", error))?;
    if let Some(worker) = &request.worker
        && !request.background
    {
        let project = batch_state(session, batch)?.project;
        Launcher::new(store, session.folder(), Vec::new()).check(worker.as_str(), project.as_deref())?;
        assign_profile(session, batch, worker)?;
    }
    if request.detach {
        let reply = detach(session, store, batch)?;
        say(&if json { reply.to_string() } else { reply["message"].as_str().unwrap_or_default().to_owned() });
        return Ok(0);
    }
    let how = match (request.background, request.standby) {
        (false, _) => How::InFront,
        (true, false) => How::Behind,
        (true, true) => How::StandingBy,
    };
    let manner = if request.background { Manner::Lines } else { Manner::choose(json, request.quiet) };
    let before = status(session, batch)?;
    let progress = Progress::new(manner, before.total, before.processed);
    let code = runner(session, store, batch, how, &progress)?;
    progress.finish();
    if how == How::InFront {
        finish(
            session,
            called,
            batch,
            manner,
            Instant::now(),
            status(session, batch)?.processed - before.processed,
        )?;
    }
    Ok(code)
}

/// Works a batch by its profile until it has ended or waits for a person, without a word.
///
/// # Errors
/// What keeps it from starting or going on.
pub fn work_here(session: &Session, store: &Path, batch: &TaskId) -> Result<()> {
    let before = status(session, batch)?;
    let progress = Progress::new(Manner::Quiet, before.total, before.processed);
    runner(session, store, batch, How::InFront, &progress).map(|_| ())
}

fn create(request: &Run) -> CreateBatch {
    let source = request.items.clone();
    let name = source.as_ref().map_or("items", |source| source.path.as_str());
    CreateBatch {
        title: request
            .title
            .clone()
            .or_else(|| excerpt(&format!("Run over {name}")).parse().ok())
            .unwrap_or(Line::known("Run")),
        instructions: Long::known("A command of the operator's works each item."),
        items: None,
        source,
        query: None,
        key: request.key.clone(),
        on_bad_item: request.on_bad_item,
        split: request.split.clone(),
        max_chunk: request.max_chunk,
        resources: request.resources.clone(),
        on_conflict: request.on_conflict.unwrap_or(if request.resources.is_empty() {
            OnConflict::Allow
        } else {
            OnConflict::Reject
        }),
        max_parallel: request.workers,
        max_attempts: MaxAttempts::of(3),
        project: request.project.clone(),
        request_key: None,
        steps: None,
        checkpoint: Checkpoint::None,
        auto_approve_after: None,
        in_doubt: InDoubt::Retry,
        worker: None,
        max_failures: None,
        finish: None,
        dry_run: false,
        command: Some(request.command.clone()),
    }
}

/// What is new in the items that a resumed run names.
fn add(request: &Run, batch: &TaskId) -> AddItems {
    AddItems {
        id: batch.clone(),
        items: None,
        source: request.items.clone(),
        on_bad_item: request.on_bad_item,
        request_key: None,
        only_if_new: true,
    }
}

fn recorded_command(session: &Session, batch: &TaskId) -> Result<Vec<String>> {
    let id = batch.clone();
    let recorded = session.read(move |tx| {
        let task = tx.task(&id)?;
        let batch = tx
            .batch(task.row)?
            .ok_or_else(|| Error::invalid(format!("resume: {id} is a task, not a batch")))?;
        Ok(batch.command)
    })?;
    recorded.ok_or_else(|| {
        Error::invalid(format!("resume: batch {batch} was not made by tasktally run; name the command after --, or tasktally work --batch {batch} works it by its profile"))
    })
}

/// Lists what was left out; it must not go missing unsaid.
fn tell_left_out(progress: &Progress, manner: Manner, bad: Option<&BadItems>) {
    // An event has said it already.
    let Some(bad) = bad.filter(|_| manner != Manner::Json) else { return };
    if manner == Manner::Quiet {
        return say(&format!("Bad items left out: {}", bad.count));
    }
    progress.say(&format!("Bad items left out: {}", bad.count));
    for line in &bad.listed {
        progress.say(&format!("  {line}"));
    }
    let more = bad.count - bad.listed.len() as u64;
    if more > 0 {
        progress.say(&format!("  and {more} more"));
    }
}

struct Standing {
    total: u64,
    processed: u64,
    failed: u64,
    state: BatchStatus,
}

fn status(session: &Session, batch: &TaskId) -> Result<Standing> {
    let id = batch.clone();
    session.read(move |tx| {
        let task = tx.task(&id)?;
        let batch = tx
            .batch(task.row)?
            .ok_or_else(|| Error::invalid(format!("resume: {id} is a task, not a batch")))?;
        Ok(Standing {
            total: batch.counts.total,
            processed: batch.counts.processed(),
            failed: batch.counts.failed,
            state: batch.status(task.status, tx.is_workable(task.row)?),
        })
    })
}

fn crew<'a>(
    session: &'a Session,
    method: &'a Method,
    progress: &'a Progress,
    stop: &'a Stop,
    family: ChildRegistry,
) -> WorkerPool<'a> {
    let (in_hand, store) = (ClaimHeartbeat::default(), Path::new(""));
    WorkerPool { session, store, method, progress, stop, family, in_hand, background: None }
}

/// What marks the commands of a run of a batch, for the run that goes on with it.
fn mark_of(batch: &TaskId) -> String {
    format!("run-{batch}")
}

fn finish(
    session: &Session,
    called: &str,
    batch: &TaskId,
    manner: Manner,
    begun: Instant,
    now_done: u64,
) -> Result<()> {
    if manner == Manner::Json {
        let reply = GetBatch::progress_of(batch.clone()).run(session)?;
        let mut event = serde_json::to_value(reply)
            .map_err(|error| Error::internal("the reply could not be written as JSON", error))?;
        if let Value::Object(map) = &mut event {
            map.insert("event".into(), "done".into());
        }
        say(&event.to_string());
        return Ok(());
    }
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of items")]
    let rate = now_done as f64 / seconds.max(0.001);
    say(&table(session, batch)?);
    say(&format!(
        "{now_done} items in {seconds:.1} s, {rate:.0} a second. Receipts: {called} get-task {batch}.01. Files: {}",
        intermediate_state::folder(session, batch).display()
    ));
    Ok(())
}

fn say(text: &str) {
    // A reader that went away does not undo what is done.
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
