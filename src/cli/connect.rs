//! `tasktally connect`: runs the MCP server that a worker was given. It is for agents that read MCP servers only
//! from their own configuration, and so cannot use the file that `TASKTALLY_MCP_CONFIG` names.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
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

/// Refuses a file that another user could have written: it names a program, which this process becomes.
fn check_written_by_runner(file: &Metadata) -> Result<(), String> {
    let (user, owner, mode) = (rustix::process::geteuid().as_raw(), file.uid(), file.mode() & 0o7777);
    let what = if !file.is_file() {
        "is no regular file".to_owned()
    } else if owner != user && owner != 0 {
        format!("belongs to user {owner}, not to you (user {user}) or root")
    } else if mode & 0o022 != 0 {
        format!("can be written to by others (mode {mode:04o})")
    } else {
        return Ok(());
    };
    Err(format!(
        "{what}, so Tasktally did not write it, and the program that it names is not started; connect is for workers that Tasktally starts"
    ))
}

fn read(path: &Path) -> Result<ServerCommand> {
    let invalid = |what: &str| Error::invalid(format!("connect: {} {what}", path.display()));
    let mut text = String::new();
    // Neither follows a link nor waits for the writer of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| invalid("cannot be opened; has the worker's run ended?").caused_by(error))?;
    let file = File::from(file);
    let facts = file.metadata().map_err(|error| invalid("cannot be read").caused_by(error))?;
    check_written_by_runner(&facts).map_err(|why| invalid(&why))?;
    file.take(MAX_SOURCE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| invalid("cannot be read").caused_by(error))?;
    let mut config: McpConfig = serde_json::from_str(&text)
        .map_err(|error| invalid("is not a list of MCP servers").caused_by(error))?;
    config.servers.remove(SERVER_KEY).ok_or_else(|| invalid(&format!("has no server '{SERVER_KEY}'")))
}
