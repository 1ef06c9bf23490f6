//! The messages between a runner and its supervisor processes: one JSON object per line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Sandbox;

/// How the workers of one claim are run: the command, its surroundings and its limits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CommandSpec {
    /// The program and its arguments. No shell interprets them.
    pub(crate) command: Vec<OsString>,
    /// The whole environment; `None` inherits the runner's.
    pub(crate) environment: Option<Vec<(OsString, OsString)>>,
    /// The working directory; `None` inherits the runner's.
    pub(crate) working_dir: Option<PathBuf>,
    /// What the worker may write, read and reach; `None`: what its user may.
    pub(crate) sandbox: Option<Sandbox>,
    /// How long one worker may run.
    pub(crate) timeout: Option<Duration>,
    /// The time between TERM and KILL.
    pub(crate) grace: Duration,
    /// The memory limit of the worker's whole process tree.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// How much of standard output, and of standard error, the log of one attempt keeps.
    pub(crate) output_limit_bytes: u64,
}

/// What one worker gets in addition to the `CommandSpec` of its claim.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LaunchSpec {
    /// The arguments in place of the command's, if they depend on the item.
    pub(crate) arguments: Option<Vec<OsString>>,
    /// Variables added to the environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The text for its standard input.
    pub(crate) stdin: String,
    /// The line that its part of the log files starts with.
    pub(crate) log_title: String,
    /// The log files for its standard output and its standard error.
    pub(crate) log_files: Option<(PathBuf, PathBuf)>,
}

/// A line from the runner to a supervisor process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SupervisorRequest {
    /// Sets the command that later `Start` requests run.
    SetCommand(CommandSpec),
    /// Starts a worker.
    Start(LaunchSpec),
    /// Stops the running worker.
    Stop,
}

/// A line from a supervisor process to the runner: the answer to `Start`, sent once no process of the worker is left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SupervisorReport {
    /// The worker could not be started.
    NotStarted(StartFailure),
    /// The worker has ended.
    Exited(ProcessExit),
}

/// Why a worker could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StartFailure {
    /// The command is the cause. It would fail in every batch.
    Command(String),
    /// A folder is the cause. A worker of this batch may have changed it.
    Folder(String),
}

impl From<String> for StartFailure {
    fn from(why: String) -> Self {
        StartFailure::Command(why)
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProcessExit {
    /// The exit code; `None` if a signal ended the process.
    pub(crate) code: Option<i32>,
    /// The signal that ended the process.
    pub(crate) signal: Option<i32>,
    /// Why the supervisor process stopped the worker; `None` if the worker exited by itself.
    pub(crate) stop_reason: Option<StopReason>,
    /// The end of standard output.
    pub(crate) stdout_tail: String,
    /// Whether standard output was longer than `stdout_tail`.
    pub(crate) stdout_is_cut: bool,
    /// The end of standard error.
    pub(crate) stderr_tail: String,
    /// How long the worker ran.
    pub(crate) duration: Duration,
    /// How many processes of its tree survived KILL.
    pub(crate) unkillable: usize,
}

/// Why a supervisor process stopped a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StopReason {
    /// The runner requested it, or a signal asked the supervisor process itself to exit.
    Requested,
    /// It ran longer than this timeout.
    Timeout(Duration),
    /// Its process tree used more memory than allowed.
    MemoryLimit,
}
