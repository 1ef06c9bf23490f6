//! What a runner and its keepers say to each other: a JSON object a line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a keeper runs what it is told to run, until it is told otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CommandSpec {
    /// The program and its arguments; no shell is between.
    pub(crate) command: Vec<OsString>,
    /// The whole environment; none: that of the runner.
    pub(crate) environment: Option<Vec<(OsString, OsString)>>,
    /// Where it is started; none: where the runner is.
    pub(crate) folder: Option<PathBuf>,
    /// How long a worker may take.
    pub(crate) timeout: Option<Duration>,
    /// How long a worker that was asked to end may take for it before it is killed.
    pub(crate) grace: Duration,
    /// The most memory that a worker and all that it starts may hold, in bytes.
    pub(crate) memory: Option<u64>,
    /// How much is kept of each output of a chunk's attempt, in bytes.
    pub(crate) output_limit: u64,
}

/// A line to a keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Says how workers are run from now on.
    Take(CommandSpec),
    /// Starts a worker.
    Run(Launch),
    /// Ends the one that runs.
    End,
}

/// What a worker is started with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// More of the environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Its standard input.
    pub(crate) input: String,
    /// What its output is kept under.
    pub(crate) title: String,
    /// The files that its standard output and standard error are kept in.
    pub(crate) kept_in: Option<(PathBuf, PathBuf)>,
}

/// A line from a keeper: what became of a worker, once nothing of its tree is left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It could not be started, and why.
    NotStarted(String),
    /// It has ended.
    Ended(Ended),
}

/// How a worker ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Its exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Why the keeper ended it.
    pub(crate) because: Option<Because>,
    /// The end of its standard output.
    pub(crate) out: String,
    /// The end of its standard error.
    pub(crate) err: String,
    /// How long it ran.
    pub(crate) took: Duration,
    /// How many processes of its tree could not be ended.
    pub(crate) left: usize,
}

/// Why a keeper ended a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Because {
    /// The runner wanted it.
    Asked,
    /// It took too long.
    Timeout,
    /// It held too much memory.
    Memory,
}
