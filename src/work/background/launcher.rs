//! Starts a background runner for an operation, which may run in a server whose client goes away at any time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize as _;
use serde_json::Value;

use crate::config::{Config, check_program};
use crate::error::{Code, Error, Result};
use crate::model::id::{TaskId, Token};
use crate::model::quotas::Quotas;
use crate::ops::{ProcessState, ReviewRules, RunnerLauncher, RunnerPlace, RunnerStart};
use crate::store::StoreRead;
use crate::work::{claim_process_state, preflight, run_lock, this_program};

/// Starts background runners for the batches of one store.
#[derive(Debug, Clone)]
pub struct Launcher {
    store: PathBuf,
    data: PathBuf,
    agent_folders: AgentFolders,
}

/// The folders that agents may write to, as far as a caller knows them. None for a person's command.
#[derive(Debug, Clone, Default)]
pub struct AgentFolders {
    /// From which they read items. Neither a configuration nor a program of a profile may be inside.
    pub items: Vec<PathBuf>,
    /// For temporary files. No configuration may be inside. Programs may: people build and try them there.
    pub temporary: Vec<PathBuf>,
}

impl AgentFolders {
    /// The operator's configuration.
    ///
    /// # Errors
    /// If it is malformed, or inside one of the folders.
    pub fn load_config(&self) -> Result<Config> {
        Config::load(&[self.items.as_slice(), &self.temporary].concat())
    }
}

impl Launcher {
    /// A launcher for the store in a file, with its data folder.
    pub fn new(store: &Path, data: &Path, agent_folders: AgentFolders) -> Self {
        Launcher { store: store.to_owned(), data: data.to_owned(), agent_folders }
    }
}

impl RunnerLauncher for Launcher {
    fn check(&self, profile: &str, project: Option<&str>, steps: &[String]) -> Result<Option<String>> {
        let config = self.agent_folders.load_config()?;
        let profile = config.profile(profile)?;
        profile.check_project(project)?;
        let note = profile.check_steps(steps)?;
        for program in preflight::check(profile, &self.data)? {
            check_program(&program, &self.agent_folders.items, "a folder that agents write to")?;
        }
        Ok(note)
    }

    fn worker_limit(&self, profile: &str) -> Result<(u64, String)> {
        let config = self.agent_folders.load_config()?;
        let of_profile = config.profile(profile)?.max_parallel;
        let of_all = config.limits().max_parallel;
        Ok(if of_profile < of_all {
            (of_profile as u64, format!("worker.{profile}.max_parallel"))
        } else {
            (of_all as u64, "limits.max_parallel".to_owned())
        })
    }

    fn quotas(&self) -> Result<Quotas> {
        Ok(self.agent_folders.load_config()?.limits().quotas)
    }

    fn review_rules(&self) -> Result<ReviewRules> {
        let settings = self.agent_folders.load_config()?.review();
        Ok(ReviewRules { only_persons: settings.only_persons, terminal_counts: settings.terminal_counts })
    }

    fn runner_place(&self, tx: &dyn StoreRead, batch: &TaskId) -> Result<Option<RunnerPlace>> {
        run_lock::holder(tx, &self.data, batch)
    }

    fn claim_process(&self, tx: &dyn StoreRead, batch: &TaskId, token: &Token) -> Result<ProcessState> {
        claim_process_state(tx, &self.data, batch, token)
    }

    fn start(&self, batch: &TaskId) -> Result<RunnerStart> {
        // Checked here, because the runner does not know the folders of this process's agents.
        self.agent_folders.load_config()?;
        // A process in between starts the runner and exits, so that the runner is not our child and never a zombie.
        let output = Command::new(this_program::running_executable()?)
            .args(["--json".as_ref(), "--db".as_ref(), self.store.as_os_str(), "work".as_ref()])
            .args(["--batch", batch.as_str(), "--detach"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| Error::internal("a runner cannot be started", error))?;
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match (reply.get("pid").and_then(Value::as_u64), reply.get("message").and_then(Value::as_str)) {
            (Some(pid), _) => Ok(RunnerStart::Started(u32::try_from(pid).unwrap_or_default())),
            (None, _) if reply["success"] == true => {
                let host = reply.get("host").and_then(Value::as_str).map(str::to_owned);
                Ok(RunnerStart::AlreadyRunning(host.map_or(RunnerPlace::Here, RunnerPlace::Elsewhere)))
            }
            (None, Some(why)) => {
                let code = Code::deserialize(&reply["code"]).unwrap_or(Code::Internal);
                Err(Error::new(code, why))
            }
            (None, None) => {
                Err(Error::new(Code::Internal, format!("the runner ended with {}", output.status)))
            }
        }
    }
}
