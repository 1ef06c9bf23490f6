//! The requests behind `tasktally run`: create a batch, add items to one, and find the command of an earlier run.

use std::path::{Path, PathBuf};

use super::batch_totals::not_a_batch;
use super::command_check::current_folder;
use super::command_options::CommandOptions;
use super::run_options::Run;
use crate::error::{Code, Error, Result};
use crate::items::ItemSource;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::limits::{MaxChunk, MaxParallel};
use crate::model::run_record::{CommandLimits, RunRecord, StepCommand};
use crate::model::step::{Step, Steps};
use crate::model::text::{LineText, LongText, excerpt};
use crate::ops::{AddItems, CreateBatch, Session, UnfinishedRun, find_failed_run, find_unfinished_run};
use crate::terminal::shell_word;
use crate::work::run_lock;

/// Creates the batch of a new run.
///
/// # Errors
/// The steps cannot be used.
pub(super) fn create_batch_request(options: &Run, run: RunRecord) -> Result<CreateBatch> {
    let steps = steps_of(options)?;
    let source = options.items.clone();
    let name = source.as_ref().map_or("items", |source| match source.path.as_str() {
        "-" => "standard input",
        path => path,
    });
    let title = options.title.clone().or_else(|| excerpt(&format!("Run over {name}")).parse().ok());
    let max_parallel = options.workers.unwrap_or(MaxParallel::of(8));
    let default = if options.resources.is_empty() { OnConflict::Allow } else { OnConflict::Reject };
    let on_conflict = options.on_conflict.unwrap_or(default);
    // A chunk has one worker at a time: with fewer chunks than workers, some of these would have nothing to do. More chunks
    // than the limit demands would be refused if they share resources.
    let is_decided = options.max_chunk.is_some() || on_conflict == OnConflict::Reject;
    let min_chunks = if is_decided { 1 } else { max_parallel.get() as u64 };
    Ok(CreateBatch {
        source,
        key: options.key.clone(),
        on_bad_item: options.on_bad_item,
        split: options.split.clone(),
        max_chunk: options.max_chunk.unwrap_or(MaxChunk::of(50)),
        min_chunks,
        resources: options.resources.clone(),
        on_conflict,
        max_parallel,
        project: options.project.clone(),
        steps,
        run: Some(run),
        ..CreateBatch::new(
            title.unwrap_or(LineText::known("Run")),
            LongText::known("A command of the operator works each item."),
        )
    })
}

/// The steps of a new run: those that have a command, in their order.
fn steps_of(options: &Run) -> Result<Option<Steps>> {
    let given = &options.limits.step_commands;
    if given.is_empty() {
        return Ok(None);
    }
    if !options.command.is_empty() {
        return Err(Error::invalid(
            "command: each step of --step-command has its own, so the command after -- would never run; leave it out",
        ));
    }
    let step = |step: &StepCommand| -> Result<Step, String> {
        let instructions = LongText::known("A command of the operator works each item in this step.");
        Ok(Step { name: step.step.parse()?, instructions, only_categories: Vec::new() })
    };
    let steps = given.iter().map(step).collect::<Result<_, _>>().and_then(Steps::new);
    steps.map(Some).map_err(|why| Error::invalid(format!("step-command: {why}")))
}

/// Adds the items of a resumed run that the batch does not have yet.
pub(super) fn add_items_request(options: &Run, batch: &TaskId) -> AddItems {
    AddItems {
        id: batch.clone(),
        items: None,
        source: options.items.clone(),
        on_bad_item: options.on_bad_item,
        request_key: None,
        only_if_new: true,
    }
}

/// A command and the folder in which it runs.
pub(super) struct RunCommand {
    pub(super) command: Vec<String>,
    /// The commands of steps that have one of their own.
    pub(super) steps: Vec<StepCommand>,
    pub(super) folder: PathBuf,
    pub(super) limits: CommandLimits,
}

impl RunCommand {
    /// The command of the command line, in the current folder.
    ///
    /// # Errors
    /// The current folder was removed.
    pub(super) fn given(options: &Run) -> Result<Self> {
        Ok(RunCommand {
            command: options.command.clone(),
            steps: options.limits.step_commands.clone(),
            folder: current_folder()?,
            limits: options.limits.limits(),
        })
    }

    /// The command that an earlier `tasktally run` recorded in the batch, in the folder in which that run began, with
    /// the limits and the commands of steps of that run unless `given` replaces them.
    ///
    /// # Errors
    /// The task is not a batch, or has no recorded command, or the folder does not exist any more; `forbidden` if an import
    /// brought the command along and `runs_imported` is not set.
    pub(super) fn recorded(
        session: &Session,
        batch: &TaskId,
        given: &CommandOptions,
        runs_imported: bool,
    ) -> Result<Self> {
        let id = batch.clone();
        let run = session.read(move |tx| {
            let task = tx.task(&id)?;
            Ok(tx.batch(task.row)?.ok_or_else(|| not_a_batch(&id))?.run)
        })?;
        let run = run.ok_or_else(|| {
            Error::invalid(format!(
                "resume: batch {batch} was not created by tasktally run, so no command is recorded; give the command after --, or work the batch by its profile with tasktally work --batch {batch}"
            ))
        })?;
        if run.is_imported && !runs_imported {
            return Err(imported_command(batch, &run));
        }
        let folder = run.folder.map_or_else(current_folder, |folder| Ok(PathBuf::from(folder)))?;
        if !folder.is_dir() {
            return Err(Error::invalid(format!(
                "resume: the run of batch {batch} began in {}, which is no folder any more; give the command after -- to run it in the current folder",
                folder.display()
            )));
        }
        let is_replaced = |step: &StepCommand| given.step_commands.iter().any(|new| new.step == step.step);
        let mut steps: Vec<StepCommand> = run.steps.into_iter().filter(|step| !is_replaced(step)).collect();
        steps.extend_from_slice(&given.step_commands);
        Ok(RunCommand { command: run.command, steps, folder, limits: given.limits().or(run.limits) })
    }

    /// What a new batch records.
    pub(super) fn record(&self, source: Option<&ItemSource>) -> RunRecord {
        RunRecord {
            command: self.command.clone(),
            steps: self.steps.clone(),
            folder: self.folder.to_str().map(str::to_owned),
            source: source.and_then(|source| recorded_source(source, &self.folder)),
            is_imported: false,
            limits: self.limits,
        }
    }
}

/// The refusal to run a command that the author of the imported file chose. It shows every command.
fn imported_command(batch: &TaskId, run: &RunRecord) -> Error {
    let line = |words: &[String]| words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
    let mut commands: Vec<String> = Vec::new();
    if !run.command.is_empty() {
        commands.push(line(&run.command));
    }
    commands.extend(run.steps.iter().map(|step| format!("for step {}: {}", step.step, line(&step.command))));
    let folder = run.folder.as_ref().map_or(String::new(), |folder| format!(", in {folder}"));
    Error::new(
        Code::Forbidden,
        format!(
            "resume: the command of batch {batch} came with an import, so the author of the imported file chose it. Nothing was run. Read it: {}{folder}. If you want to run it, add --imported-command; else give a command of your own after --",
            commands.join("; ")
        ),
    )
}

/// A source as it is recorded: with an absolute path. A stream cannot be read again, so it is not recorded.
fn recorded_source(source: &ItemSource, folder: &Path) -> Option<String> {
    let path = folder.join(&source.path);
    let is_stream = source.path == "-" || path.starts_with("/dev") || path.starts_with("/proc");
    if is_stream {
        return None;
    }
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    let source = ItemSource { path: path.to_str()?.to_owned(), ..source.clone() };
    serde_json::to_string(&source).ok()
}

/// Refuses a new run if an earlier one with the same command and the same items is not finished, or has failures that
/// nobody has retried or accepted: it would process finished items again.
///
/// # Errors
/// `conflict` with the command that continues the earlier run, or retries what failed in it.
pub(super) fn refuse_second_run(session: &Session, program: &str, run: &RunRecord) -> Result<()> {
    let Some(UnfinishedRun { batch, total, processed }) = find_unfinished_run(session, run)? else {
        return refuse_after_failures(session, program, run);
    };
    let next = if run_lock::find_holder(session, &batch)?.is_some() {
        format!("Another process works on it now. To watch it: {program} watch {batch}")
    } else {
        format!("To continue it: {program} run --resume {batch}")
    };
    Err(Error::new(
        Code::Conflict,
        format!(
            "batch {batch} has the same items and command and is not finished: {processed} of {total} items are processed. To start over with a new batch, add --new. {next}"
        ),
    ))
}

/// Refuses a new run if what failed in an earlier one can be retried.
fn refuse_after_failures(session: &Session, program: &str, run: &RunRecord) -> Result<()> {
    let Some((batch, failures)) = find_failed_run(session, run)? else { return Ok(()) };
    Err(Error::new(
        Code::Conflict,
        format!(
            "batch {batch} has the same items and command and has ended: {}. To try only these again: {program} control-batch {batch} retry, then {program} run --resume {batch}. To leave them as they are: {program} review-batch {batch} approve. To work all items again in a new batch, add --new",
            failures.summary()
        ),
    ))
}
