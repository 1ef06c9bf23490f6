//! Other task servers in the same swarm, if they are installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The other task servers: name, variable with the path of the program, how to install it, and the number of tasks, chosen
/// so that it takes one or two seconds.
const PEERS: [(&str, &str, &str, usize); 2] = [
    ("fleetwright", "TASKTALLY_FLEETWRIGHT", "pip install fleetwright", 100),
    ("task-graph-mcp", "TASKTALLY_TASK_GRAPH", "cargo install task-graph-mcp", 60),
];

/// An installed task server.
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    program: OsString,
    tasks: usize,
}

fn program(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|path| !path.is_empty())
}

/// The task servers whose program the caller named.
pub fn all() -> Vec<Peer> {
    let named = |(name, variable, _, tasks)| Some(Peer { name, program: program(variable)?, tasks });
    PEERS.into_iter().filter_map(named).collect()
}

/// The task servers that are not installed, and how to install them.
pub fn missing() -> Vec<(&'static str, String)> {
    let missing = PEERS.into_iter().filter(|(_, variable, ..)| program(variable).is_none());
    missing
        .map(|(name, variable, install, _)| (name, format!("`{install}`, then {variable}=path/to/{name}")))
        .collect()
}

impl Peer {
    /// Its tasks per second.
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
        said.get("tasks_per_s").and_then(Value::as_f64).context("the peer's output has no tasks_per_s")
    }
}
