//! A profile: a worker command that the operator wrote, with its limits.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::build_environment;
use super::per::Per;
use super::profile_name::ProfileName;
use super::program::find_program;
use super::sandbox::{Sandbox, SandboxSetting};
use super::table_reader::Setting;
use super::template::{PlaceholderValues, Template};
use super::trusted_program::check_program;
use crate::error::{Error, Result};
use crate::model::failure_streak::PauseAfterFailures;
use crate::model::retry::RetryPolicy;
use crate::model::step::{UnknownStep, steps_without_own_command};
use crate::model::text::excerpt;

/// The `cwd` or `worktree` setting of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WorkDirSetting {
    /// Neither is set: a folder for each chunk, in the data folder.
    Default,
    /// `cwd`: a folder inside an allowed root.
    Folder(Template),
    /// `worktree`: a git worktree for each chunk, of the repository at this path.
    Worktree(Template),
}

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(super) struct ProfileCommand {
    pub(super) program: String,
    pub(super) arguments: Vec<Template>,
}

/// A worker command with its limits: `[worker.NAME]`.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// What one run processes.
    pub per: Per,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long a worker may write no receipt; `None` if it runs per item.
    pub stalled_after: Option<Duration>,
    /// The time between TERM and KILL.
    pub grace: Duration,
    /// How many workers of the profile run at once.
    pub max_parallel: usize,
    /// How many workers start per minute.
    pub max_starts_per_minute: Option<u32>,
    /// The memory limit of a worker's process tree, in MiB.
    pub memory_mb: Option<u64>,
    /// How much of each output the log of one attempt keeps, in bytes.
    pub output_limit: u64,
    /// The exit codes that ask for another try.
    pub retry_exit_codes: Vec<u8>,
    /// When a worker that failed temporarily is started again.
    pub retry: RetryPolicy,
    /// After how many failures in a row the batch is paused.
    pub pause_after_failures: PauseAfterFailures,
    pub(super) command: ProfileCommand,
    /// The commands of steps that have one of their own, by the names of the steps.
    pub(super) steps: BTreeMap<String, ProfileCommand>,
    pub(super) allowed_variables: Vec<String>,
    pub(super) set_variables: Vec<(String, Template)>,
    pub(super) work_dir: WorkDirSetting,
    pub(super) sandbox: Option<SandboxSetting>,
    pub(super) roots: Vec<PathBuf>,
    pub(super) settings: Vec<Setting>,
}

impl Profile {
    /// Each setting with its value in the file, or its default.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The steps that have a command of their own.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    /// Checks the steps of the profile against the names of a batch's steps. Returns a note if one command works several
    /// steps, once per item: it has to do something else in each of them.
    ///
    /// # Errors
    /// The batch has no step of that name.
    pub fn check_steps(&self, of_batch: &[String]) -> Result<Option<String>> {
        let with_own: Vec<&String> = self.steps.keys().collect();
        let shared = steps_without_own_command(of_batch, &with_own).map_err(|UnknownStep { name, known }| {
            self.refusal(&format!(
                "steps: the batch has no step '{name}', its steps are {known}; give the step the same name in the profile and in the batch"
            ))
        })?;
        Ok((self.per == Per::Item && shared.len() > 1).then(|| {
            format!(
                "profile '{0}' runs the same command for {1} of the steps and gives it TASKTALLY_STEP; the table worker.{0}.steps.STEP gives a step a command of its own",
                self.name,
                shared.len()
            )
        }))
    }

    /// The command for a step, and the setting that it comes from.
    fn command_for(&self, step: Option<&str>) -> (&ProfileCommand, String) {
        match step.and_then(|step| Some((step, self.steps.get(step)?))) {
            Some((step, command)) => (command, format!("steps.{}.command", excerpt(step))),
            None => (&self.command, "command".to_owned()),
        }
    }

    /// The file of the program for a step. A name without a path is searched for in the absolute folders of `path`, the
    /// worker's `PATH`, as a shell does.
    ///
    /// # Errors
    /// There is no such program, the file cannot be executed, the interpreter of a script does not exist, or a user
    /// other than the operator could change the file.
    pub fn find_program(&self, step: Option<&str>, path: Option<&OsStr>) -> Result<PathBuf> {
        let (command, setting) = self.command_for(step);
        let file = find_program(OsStr::new(&command.program), path, None)
            .map_err(|why| self.refusal(&format!("{setting}: {why}")))?;
        check_program(&file, &self.roots, "one of [paths] roots, where workers write")
            .map_err(|why| self.refusal(&format!("{setting}: {why}")))?;
        Ok(file)
    }

    /// The arguments of the command for a step of one chunk, without the program.
    ///
    /// # Errors
    /// A placeholder has no value, or a project is not a plain name.
    pub fn arguments(
        &self,
        step: Option<&str>,
        values: &PlaceholderValues<'_>,
        mcp_config: Option<&Path>,
    ) -> Result<Vec<OsString>> {
        let (command, _) = self.command_for(step);
        command.arguments.iter().map(|argument| argument.fill(values, mcp_config)).collect()
    }

    /// The whole environment of a worker: what the profile allows of the runner's environment, then its fixed values,
    /// then Tasktally's own variables, which start with `TASKTALLY_`.
    ///
    /// # Errors
    /// As [`Profile::arguments`].
    pub fn environment(
        &self,
        of_runner: impl IntoIterator<Item = (OsString, OsString)>,
        values: &PlaceholderValues<'_>,
        mcp_config: Option<&Path>,
        own_variables: Vec<(String, OsString)>,
    ) -> Result<BTreeMap<OsString, OsString>> {
        let set = self
            .set_variables
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.fill(values, mcp_config)?)))
            .collect::<Result<_>>()?;
        Ok(build_environment(of_runner, &self.allowed_variables, set, own_variables))
    }

    /// The sandbox of a worker in a working directory, if the profile has one.
    ///
    /// # Errors
    /// As [`Profile::arguments`].
    pub fn sandbox(&self, values: &PlaceholderValues<'_>, working_dir: &Path) -> Result<Option<Sandbox>> {
        self.sandbox.as_ref().map(|setting| setting.fill(values, working_dir)).transpose()
    }

    /// Whether the profile has a sandbox, and whether its workers may use the network.
    pub fn sandbox_network(&self) -> Option<bool> {
        self.sandbox.as_ref().map(|sandbox| sandbox.network)
    }

    /// An error that starts with the name of the profile.
    pub(super) fn refusal(&self, why: &str) -> Error {
        Error::invalid(format!("worker.{}.{why}", self.name))
    }
}
