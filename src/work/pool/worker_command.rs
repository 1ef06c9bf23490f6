//! The command that workers run: given at the command line, or by a profile of the operator's configuration.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{ItemArgument, Per, PlaceholderValues, Profile, WorkDir};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::MIB;
use crate::model::retry::RetryPolicy;
use crate::model::run_record::{CommandLimits, StepCommand};
use crate::work::supervisor::{ChildRegistry, CommandSpec};
use crate::work::worktree::{self, Removal};

/// The exit code that asks for a retry: EX_TEMPFAIL of sysexits.h.
const EX_TEMPFAIL: i32 = 75;
/// The time between TERM and KILL for a command without a profile.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);
/// How much of each output the log of one attempt keeps for a command without a profile, in bytes.
const DEFAULT_OUTPUT_LIMIT: u64 = 1024 * 1024;

/// The command that workers run, and what its exit codes mean.
pub(in crate::work) struct WorkerCommand {
    source: CommandSource,
    /// The exit codes that ask for another try.
    pub(super) retry_exit_codes: Vec<i32>,
}

enum CommandSource {
    Arguments(GivenCommand),
    Profile(Box<BatchProfile>),
}

/// A command of the command line.
struct GivenCommand {
    command: ItemCommand,
    /// The commands of steps that have one of their own.
    steps: BTreeMap<String, ItemCommand>,
    folder: PathBuf,
    limits: CommandLimits,
}

/// A program whose arguments may depend on the item.
struct ItemCommand {
    program: OsString,
    arguments: Vec<ItemArgument>,
}

/// A profile together with the batch that it works.
struct BatchProfile {
    profile: Profile,
    batch: TaskId,
    project: Option<String>,
    /// The data folder of the store.
    data: PathBuf,
}

/// Why no process can be started under a claim.
pub(super) enum PrepareFailure {
    /// The profile or the command is the cause.
    Command(Error),
    /// The working directory is the cause. A worker of this batch may have changed it.
    Folder(Error),
}

impl PrepareFailure {
    /// A failure to use the working directory. Errors of the machine, such as a full disk, may pass and pause nothing.
    fn of_folder(error: Error) -> Self {
        match error.code {
            Code::InvalidArgument | Code::Conflict => PrepareFailure::Folder(error),
            _ => PrepareFailure::Command(error),
        }
    }
}

impl From<Error> for PrepareFailure {
    fn from(error: Error) -> Self {
        PrepareFailure::Command(error)
    }
}

/// How processes are started under one claim.
pub(super) struct PreparedCommand {
    /// What the supervisor process runs.
    pub(super) command: CommandSpec,
    /// The folder to clean up once the chunk is done.
    pub(super) work_dir: Option<WorkDir>,
}

impl WorkerCommand {
    /// A command given at the command line, and those of steps that have one of their own. It runs once per item, in
    /// `folder`, with the environment of the runner.
    pub(in crate::work) fn from_arguments(
        command: &[String],
        steps: &[StepCommand],
        folder: &Path,
        limits: CommandLimits,
    ) -> Self {
        let of_step = |of_step: &StepCommand| (of_step.step.clone(), ItemCommand::parse(&of_step.command));
        let source = CommandSource::Arguments(GivenCommand {
            command: ItemCommand::parse(command),
            steps: steps.iter().map(of_step).collect(),
            // A link on the way is the person's own. One that appears later is refused when a worker starts.
            folder: std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()),
            limits,
        });
        WorkerCommand { source, retry_exit_codes: vec![EX_TEMPFAIL] }
    }

    /// The command of a profile, for the chunks of a batch.
    pub(in crate::work) fn from_profile(
        profile: Profile,
        batch: &TaskId,
        project: Option<String>,
        data: &Path,
    ) -> Self {
        let retry_exit_codes = profile.retry_exit_codes.iter().map(|code| i32::from(*code)).collect();
        let (batch, data) = (batch.clone(), data.to_owned());
        let source = CommandSource::Profile(Box::new(BatchProfile { profile, batch, project, data }));
        WorkerCommand { source, retry_exit_codes }
    }

    /// The profile, if the command comes from one.
    pub(in crate::work) fn profile(&self) -> Option<&Profile> {
        match &self.source {
            CommandSource::Arguments(_) => None,
            CommandSource::Profile(batch_profile) => Some(&batch_profile.profile),
        }
    }

    /// When a worker that failed is started again.
    pub(in crate::work) fn retry_policy(&self) -> RetryPolicy {
        match &self.source {
            CommandSource::Arguments(given) => {
                RetryPolicy { retries: given.limits.retries, ..RetryPolicy::PER_ITEM }
            }
            CommandSource::Profile(batch_profile) => batch_profile.profile.retry,
        }
    }

    /// The least time between two starts of the command, over all workers of this process.
    pub(in crate::work) fn start_delay(&self) -> Option<Duration> {
        match &self.source {
            CommandSource::Arguments(given) => given.limits.delay(),
            CommandSource::Profile(_) => None,
        }
    }

    /// The name of the setting that limits how long one run may take.
    pub(super) fn timeout_setting(&self) -> &'static str {
        match &self.source {
            CommandSource::Arguments(_) => "--timeout",
            CommandSource::Profile(_) => "timeout_s",
        }
    }

    /// Whether the command depends on the step.
    pub(super) fn depends_on_step(&self) -> bool {
        match &self.source {
            CommandSource::Arguments(given) => !given.steps.is_empty(),
            CommandSource::Profile(batch_profile) => batch_profile.profile.steps().next().is_some(),
        }
    }

    /// The arguments for an item in a step, or for a task without items, if they depend on its key.
    ///
    /// # Errors
    /// The reason why no program can get these arguments.
    pub(super) fn item_arguments(
        &self,
        step: Option<&str>,
        key: &str,
    ) -> Result<Option<Vec<OsString>>, String> {
        let CommandSource::Arguments(given) = &self.source else { return Ok(None) };
        let arguments = &given.command_for(step).arguments;
        if !arguments.iter().any(ItemArgument::depends_on_item) {
            return Ok(None);
        }
        arguments.iter().map(|argument| argument.fill(key)).collect::<Result<_, _>>().map(Some)
    }

    /// Whether one process works a whole chunk.
    pub(in crate::work) fn runs_per_chunk(&self) -> bool {
        self.profile().is_some_and(|profile| profile.per == Per::Chunk)
    }

    /// How long the process of a chunk may write no receipt.
    pub(super) fn stalled_after(&self) -> Option<Duration> {
        self.profile().and_then(|profile| profile.stalled_after)
    }

    /// Prepares the command for a step of a chunk, or for a task: finds the program, builds the environment with Tasktally's own
    /// `variables`, creates the working directory.
    ///
    /// # Errors
    /// The program does not exist, or the working directory may not be used.
    pub(super) fn prepare(
        &self,
        chunk: &TaskId,
        step: Option<&str>,
        mcp_config: Option<&Path>,
        variables: Vec<(String, OsString)>,
        children: &ChildRegistry,
    ) -> Result<PreparedCommand, PrepareFailure> {
        match &self.source {
            CommandSource::Arguments(given) => {
                Ok(PreparedCommand { command: given.in_own_environment(step)?, work_dir: None })
            }
            CommandSource::Profile(batch_profile) => {
                batch_profile.prepare(chunk, step, mcp_config, variables, children)
            }
        }
    }

    /// Cleans up the working directory of a chunk that is done. Returns a note for a receipt if something stays.
    ///
    /// # Errors
    /// git fails.
    pub(super) fn clean_up(
        &self,
        chunk: &TaskId,
        work_dir: &WorkDir,
        children: &ChildRegistry,
    ) -> Result<Option<String>> {
        match work_dir {
            WorkDir::Worktree { repository, folder } => {
                let removal = children
                    .without_killing_orphans(|| worktree::remove(repository, folder, chunk.as_str()))?;
                Ok(match removal {
                    Removal::Removed => None,
                    Removal::HasChanges { folder, files } => Some(format!(
                        "The worktree {} was kept, because these files are in no commit: {}",
                        folder.display(),
                        files.join(", ")
                    )),
                })
            }
            WorkDir::Folder(folder) => {
                // Only the chunk's own folder, and only if it is empty: other folders are the operator's.
                if folder.file_name() == Some(chunk.as_str().as_ref()) {
                    std::fs::remove_dir(folder).ok();
                }
                Ok(None)
            }
        }
    }
}

impl BatchProfile {
    fn prepare(
        &self,
        chunk: &TaskId,
        step: Option<&str>,
        mcp_config: Option<&Path>,
        variables: Vec<(String, OsString)>,
        children: &ChildRegistry,
    ) -> Result<PreparedCommand, PrepareFailure> {
        let values = PlaceholderValues { batch: &self.batch, chunk, project: self.project.as_deref() };
        let profile = &self.profile;
        let environment = profile.environment(std::env::vars_os(), &values, mcp_config, variables)?;
        let path = environment.get(OsStr::new("PATH"));
        let program = profile.find_program(step, path.map(OsString::as_os_str))?;
        let arguments = profile.arguments(step, &values, mcp_config)?;
        let work_dir = profile.create_work_dir(&values, &self.data).map_err(PrepareFailure::of_folder)?;
        let folder = match &work_dir {
            WorkDir::Folder(folder) => folder.clone(),
            WorkDir::Worktree { repository, folder } => children
                .without_killing_orphans(|| worktree::add(repository, folder, chunk.as_str()))
                .map_err(PrepareFailure::of_folder)?,
        };
        let command = CommandSpec {
            command: [program.into_os_string()].into_iter().chain(arguments).collect(),
            environment: Some(environment.into_iter().collect()),
            sandbox: profile.sandbox(&values, &folder)?,
            working_dir: Some(folder),
            timeout: Some(profile.timeout),
            grace: profile.grace,
            memory_limit_bytes: profile.memory_mb.map(|limit| limit.saturating_mul(MIB)),
            output_limit_bytes: profile.output_limit,
        };
        Ok(PreparedCommand { command, work_dir: Some(work_dir) })
    }
}

impl ItemCommand {
    fn parse(words: &[String]) -> Self {
        ItemCommand {
            program: words.first().map(OsString::from).unwrap_or_default(),
            arguments: words.iter().skip(1).map(|argument| ItemArgument::parse(argument)).collect(),
        }
    }
}

impl GivenCommand {
    fn command_for(&self, step: Option<&str>) -> &ItemCommand {
        step.and_then(|step| self.steps.get(step)).unwrap_or(&self.command)
    }

    /// The command in the runner's own environment. Arguments that depend on the item come with each item.
    fn in_own_environment(&self, step: Option<&str>) -> Result<CommandSpec> {
        let command = self.command_for(step);
        let arguments =
            command.arguments.iter().map(|argument| argument.fill("")).collect::<Result<Vec<_>, _>>();
        let arguments = arguments.map_err(|why| Error::invalid(format!("command: {why}")))?;
        Ok(CommandSpec {
            command: [command.program.clone()].into_iter().chain(arguments).collect(),
            environment: None,
            working_dir: Some(self.folder.clone()),
            sandbox: None,
            timeout: self.limits.timeout(),
            grace: DEFAULT_GRACE,
            memory_limit_bytes: None,
            output_limit_bytes: DEFAULT_OUTPUT_LIMIT,
        })
    }
}
