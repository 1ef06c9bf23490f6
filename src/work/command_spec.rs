//! How workers are started: by a command that a person gave, or by a profile of the operator's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::item_command::RETRY;
use super::supervisor::{ChildRegistry, CommandSpec};
use super::worktree;
use crate::config::{Job, Per, Place, Profile};
use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::limits::MIB;

/// How long a worker that was asked to end may take for it.
const GRACE: Duration = Duration::from_secs(5);
/// How much is kept of each output of a chunk's attempt, in bytes.
const OUTPUT_LIMIT: u64 = 1024 * 1024;

/// How workers are started, and what their ends mean.
pub(super) struct Method {
    by: By,
    /// The exit codes that ask for another try.
    pub(super) retry: Vec<i32>,
}

enum By {
    Command(Vec<OsString>),
    Profile(Box<ByProfile>),
}

/// What is known of all workers of a profile in a batch.
struct ByProfile {
    profile: Profile,
    batch: TaskId,
    project: Option<String>,
    /// The folder that Tasktally keeps its own in.
    data: PathBuf,
}

/// Where a chunk's worker is, and how it is started.
pub(super) struct WorkDir {
    /// What its keeper is told.
    pub(super) trade: CommandSpec,
    /// What is to be cleared away once the chunk is done.
    pub(super) place: Option<Place>,
}

impl Method {
    /// A command that is run once an item, with the environment of whoever gave it.
    pub(super) fn of_command(command: &[String]) -> Self {
        Method { by: By::Command(command.iter().map(OsString::from).collect()), retry: vec![RETRY] }
    }

    /// A profile, for the chunks of a batch.
    pub(super) fn of_profile(profile: Profile, batch: &TaskId, project: Option<String>, data: &Path) -> Self {
        let retry = profile.retry_exit_codes.iter().map(|code| i32::from(*code)).collect();
        let (batch, data) = (batch.clone(), data.to_owned());
        Method { by: By::Profile(Box::new(ByProfile { profile, batch, project, data })), retry }
    }

    /// The profile, where there is one.
    pub(super) fn profile(&self) -> Option<&Profile> {
        match &self.by {
            By::Command(_) => None,
            By::Profile(by) => Some(&by.profile),
        }
    }

    /// Whether a worker gets a whole chunk.
    pub(super) fn is_per_chunk(&self) -> bool {
        self.profile().is_some_and(|profile| profile.per == Per::Chunk)
    }

    /// How long a chunk's worker may go without a receipt.
    pub(super) fn stalled_after(&self) -> Option<Duration> {
        self.profile().and_then(|profile| profile.stalled_after)
    }

    /// Prepares the ground for the workers of a chunk or task; `told` is what Tasktally tells them in their
    /// environment.
    ///
    /// # Errors
    /// A folder that may not be used, a program that isn't there.
    pub(super) fn ground(
        &self,
        chunk: &TaskId,
        mcp_config: Option<&Path>,
        told: Vec<(String, OsString)>,
        family: &ChildRegistry,
    ) -> Result<WorkDir> {
        let by = match &self.by {
            By::Command(command) => {
                return Ok(WorkDir {
                    trade: CommandSpec {
                        command: command.clone(),
                        environment: None,
                        folder: None,
                        timeout: None,
                        grace: GRACE,
                        memory: None,
                        output_limit: OUTPUT_LIMIT,
                    },
                    place: None,
                });
            }
            By::Profile(by) => by,
        };
        let job = Job { batch: &by.batch, chunk, project: by.project.as_deref() };
        let profile = &by.profile;
        let environment = profile.environment(std::env::vars_os(), &job, mcp_config, told)?;
        let path = environment.get(std::ffi::OsStr::new("PATH"));
        let program = profile.program(path.map(OsString::as_os_str))?;
        let arguments = profile.arguments(&job, mcp_config)?;
        let place = profile.place(&job, &by.data)?;
        let folder = match &place {
            Place::Folder(folder) => folder.clone(),
            Place::Worktree { repository, folder } => {
                family.meanwhile(|| worktree::add(repository, folder, chunk.as_str()))?
            }
        };
        Ok(WorkDir {
            trade: CommandSpec {
                command: [program.into_os_string()].into_iter().chain(arguments).collect(),
                environment: Some(environment.into_iter().collect()),
                folder: Some(folder),
                timeout: Some(profile.timeout),
                grace: profile.grace,
                memory: profile.memory_mb.map(|most| most.saturating_mul(MIB)),
                output_limit: profile.output_limit,
            },
            place: Some(place),
        })
    }

    /// Clears a chunk's ground away once it is done; says what was left, and why.
    ///
    /// # Errors
    /// What git says.
    pub(super) fn clear(
        &self,
        chunk: &TaskId,
        place: &Place,
        family: &ChildRegistry,
    ) -> Result<Option<String>> {
        match place {
            Place::Worktree { repository, folder } => {
                Ok(match family.meanwhile(|| worktree::remove(repository, folder, chunk.as_str()))? {
                    worktree::Left::Removed => None,
                    worktree::Left::Changed { folder, files } => Some(format!(
                        "Its worktree {} is left: in no commit are {}",
                        folder.display(),
                        files.join(", ")
                    )),
                })
            }
            Place::Folder(folder) => {
                // Its own folder, where it left nothing in it; any other is somebody's.
                if folder.file_name() == Some(chunk.as_str().as_ref()) {
                    std::fs::remove_dir(folder).ok();
                }
                Ok(None)
            }
        }
    }
}
