//! `tasktally connect`: runs the MCP server that a worker was given. It is for agents that read MCP servers only
//! from their own configuration, and so cannot use the file that `TASKTALLY_MCP_CONFIG` names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::prompts::SERVER_KEY;

/// The largest configuration that is read, in bytes.
const MAX_SOURCE_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
struct McpConfig {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<String, ServerCommand>,
}

#[derive(Debug, Deserialize)]
struct ServerCommand {
    command: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// Replaces this process with the server. Returns only if that fails.
pub(super) fn run() -> Result<u8> {
    let path = std::env::var_os("TASKTALLY_MCP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.ok_or_else(|| {
        Error::invalid("connect: TASKTALLY_MCP_CONFIG is not set; only workers that Tasktally starts once per chunk can use this command")
    })?;
    let server = read(&path)?;
    let error = Command::new(&server.command).args(&server.args).envs(&server.env).exec();
    Err(Error::invalid(format!("connect: {} cannot be started", server.command.display())).caused_by(error))
}

fn read(path: &Path) -> Result<ServerCommand> {
    let invalid = |what: &str| Error::invalid(format!("connect: {} {what}", path.display()));
    let mut text = String::new();
    let file = File::open(path)
        .map_err(|error| invalid("cannot be opened; has the worker's run ended?").caused_by(error))?;
    file.take(MAX_SOURCE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| invalid("cannot be read").caused_by(error))?;
    let mut config: McpConfig = serde_json::from_str(&text)
        .map_err(|error| invalid("is not a list of MCP servers").caused_by(error))?;
    config.servers.remove(SERVER_KEY).ok_or_else(|| invalid(&format!("has no server '{SERVER_KEY}'")))
}
