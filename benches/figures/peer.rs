//! Peers in the same swarm, where they are installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Which peers there are: name, variable with the program's path, how it is installed, the tasks
/// that it gets (the slower it is, the fewer, for it to take about a second or two).
const PEERS: [(&str, &str, &str, usize); 2] = [
    ("fleetwright", "TASKTALLY_FLEETWRIGHT", "pip install fleetwright", 100),
    ("task-graph-mcp", "TASKTALLY_TASK_GRAPH", "cargo install task-graph-mcp", 60),
];

/// A peer that is there.
pub struct Peer {
    /// What it is called.
    pub name: &'static str,
    program: OsString,
    tasks: usize,
}

fn program(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|path| !path.is_empty())
}

/// All that the caller named a program of.
pub fn all() -> Vec<Peer> {
    let named = |(name, variable, _, tasks)| Some(Peer { name, program: program(variable)?, tasks });
    PEERS.into_iter().filter_map(named).collect()
}

/// Those that are not there, and how they would be.
pub fn missing() -> Vec<(&'static str, String)> {
    let missing = PEERS.into_iter().filter(|(_, variable, ..)| program(variable).is_none());
    missing
        .map(|(name, variable, install, _)| (name, format!("`{install}`, then {variable}=path/to/{name}")))
        .collect()
}

impl Peer {
    /// Tasks a second that it does.
    pub fn swarm(&self, workers: usize) -> Result<f64> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/peers/{}.py", self.name));
        let ran = Command::new("python3")
            .arg(script)
            .args(["--workers", &workers.to_string(), "--tasks", &self.tasks.to_string(), "--bin"])
            .arg(&self.program)
            .output()
            .context("python3 does not start")?;
        if !ran.status.success() {
            bail!("{}'s swarm failed: {}", self.name, String::from_utf8_lossy(&ran.stderr));
        }
        let said: Value = serde_json::from_slice(&ran.stdout)?;
        said.get("tasks_per_s").and_then(Value::as_f64).context("a peer's swarm tells no tasks_per_s")
    }
}
