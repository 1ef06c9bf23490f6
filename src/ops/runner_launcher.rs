//! The interface through which operations start runners. `work` implements it: operations know no processes.

use crate::error::Result;
use crate::model::id::{TaskId, Token};
use crate::model::quotas::Quotas;
use crate::model::text::excerpt;
use crate::store::StoreRead;

/// Starts runners, one per batch.
pub trait RunnerLauncher: Send + Sync {
    /// Checks that the operator's configuration has a profile, and that it can be started for a batch of a project with
    /// these steps. Returns a note if the caller should know something about how it works the steps.
    ///
    /// # Errors
    /// What is wrong with the profile, the project, the steps or the configuration.
    fn check(&self, profile: &str, project: Option<&str>, steps: &[String]) -> Result<Option<String>>;
    /// How many workers of a profile may run at once by the operator's configuration, and the setting that says so.
    ///
    /// # Errors
    /// What is wrong with the configuration, or that it has no such profile.
    fn worker_limit(&self, profile: &str) -> Result<(u64, String)>;
    /// How much requests may store by the operator's configuration.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn quotas(&self) -> Result<Quotas>;
    /// Whose decisions at a checkpoint count by the operator's configuration.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn review_rules(&self) -> Result<ReviewRules>;
    /// Starts a runner for a batch, unless the batch has one.
    ///
    /// # Errors
    /// Why no runner could be started.
    fn start(&self, batch: &TaskId) -> Result<RunnerStart>;
    /// Where the runner of a batch runs; `None` if the batch has no running one.
    ///
    /// # Errors
    /// If that cannot be determined.
    fn runner_place(&self, tx: &dyn StoreRead, batch: &TaskId) -> Result<Option<RunnerPlace>>;
    /// The state of the process that made the claim with this token in a batch.
    ///
    /// # Errors
    /// If it cannot be determined.
    fn claim_process(&self, tx: &dyn StoreRead, batch: &TaskId, token: &Token) -> Result<ProcessState>;
    /// Whether a batch has a running runner.
    ///
    /// # Errors
    /// If that cannot be determined.
    fn is_running(&self, tx: &dyn StoreRead, batch: &TaskId) -> Result<bool> {
        Ok(self.runner_place(tx, batch)?.is_some())
    }
}

/// Where the runner of a batch runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunnerPlace {
    /// On this machine.
    Here,
    /// On the machine with this name.
    Elsewhere(String),
}

impl RunnerPlace {
    /// The end of a sentence: on which other machine; empty for this one.
    pub fn on_other_host(&self) -> String {
        match self {
            RunnerPlace::Here => String::new(),
            RunnerPlace::Elsewhere(host) => format!(" on host {}", excerpt(host)),
        }
    }
}

/// Whose decisions at a checkpoint count by the operator's configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReviewRules {
    /// Whether every batch takes decisions of persons only.
    pub only_persons: bool,
    /// Whether a command at a terminal counts as a person's.
    pub terminal_counts: bool,
}

/// The result of starting a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunnerStart {
    /// A runner was started; its process id.
    Started(u32),
    /// The batch has a runner already.
    AlreadyRunning(RunnerPlace),
}

/// The state of the process that made a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Alive,
    /// It has ended.
    Dead,
    /// The claim belongs to no process that could be checked: only runners, `tasktally run` and `tasktally work` leave
    /// traces. Only its lease ends.
    Unknown,
}
