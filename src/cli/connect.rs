//! `tasktally connect`: becomes the MCP server that a worker was given, for agents that take their servers from
//! a configuration of their own and can't be handed `TASKTALLY_MCP_CONFIG`.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::prompts::SERVER_KEY;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Servers {
    #[serde(rename = "mcpServers")]
    servers: std::collections::BTreeMap<String, Server>,
}

#[derive(Debug, Deserialize)]
struct Server {
    command: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
}

/// Replaces this process by the server; comes back only where that fails.
pub(super) fn run() -> Result<u8> {
    let path = std::env::var_os("TASKTALLY_MCP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.ok_or_else(|| {
        Error::invalid("connect: TASKTALLY_MCP_CONFIG is not set; this command is for workers that Tasktally starts once a chunk")
    })?;
    let server = read(&path)?;
    let error = Command::new(&server.command).args(&server.args).envs(&server.env).exec();
    Err(Error::invalid(format!("connect: {} cannot be started", server.command.display())).caused_by(error))
}

fn read(path: &Path) -> Result<Server> {
    let wrong = |what: &str| Error::invalid(format!("connect: {} {what}", path.display()));
    let mut text = String::new();
    let file = File::open(path)
        .map_err(|error| wrong("cannot be opened; has the worker's run ended?").caused_by(error))?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|error| wrong("cannot be read").caused_by(error))?;
    let mut found: Servers =
        serde_json::from_str(&text).map_err(|error| wrong("is no list of MCP servers").caused_by(error))?;
    found.servers.remove(SERVER_KEY).ok_or_else(|| wrong(&format!("has no server '{SERVER_KEY}'")))
}
