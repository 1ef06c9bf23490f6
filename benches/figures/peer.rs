//! The fastest peer in the same swarm, where it is installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The peer's program, where the caller named one.
pub fn program() -> Option<std::ffi::OsString> {
    std::env::var_os("DOCKET_FLEETWRIGHT").filter(|path| !path.is_empty())
}

/// Tasks a second that the peer does.
pub fn swarm(program: &std::ffi::OsStr, workers: usize, tasks: usize) -> Result<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/fleetwright.py");
    let ran = Command::new("python3")
        .arg(script)
        .args(["--workers", &workers.to_string(), "--tasks", &tasks.to_string(), "--bin"])
        .arg(program)
        .output()
        .context("python3 does not start")?;
    if !ran.status.success() {
        bail!("the peer's swarm failed: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let said: Value = serde_json::from_slice(&ran.stdout)?;
    said.get("tasks_per_s").and_then(Value::as_f64).context("the peer's swarm tells no tasks_per_s")
}
