//! The MCP configuration files of workers that run per chunk. Each names a server that is restricted to one chunk.
//! The context files of workers that run per item are in the same folder.

use std::fs::DirBuilder;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::NamedTempFile;

use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::worker_scope::WorkerScope;
use crate::prompts::SERVER_KEY;
use crate::work::this_program;

/// The folder of the files, in the data folder.
pub(in crate::work) fn mcp_config_folder(data: &Path) -> PathBuf {
    data.join("jobs")
}

/// Writes a configuration file that only its owner can read. The file is removed when the value is dropped.
pub(super) fn write_mcp_config(data: &Path, store: &Path, scope: &WorkerScope) -> Result<NamedTempFile> {
    let folder = mcp_config_folder(data);
    let cannot = |error| {
        Error::internal(format!("an MCP configuration cannot be written to {}", folder.display()), error)
    };
    let program = this_program::installed_file()?;
    let server = json!({
        "command": utf8(&program)?,
        "args": ["--db", utf8(store)?, "serve", "--toolset", "worker"],
        "env": { "TASKTALLY_JOB": scope.to_string() },
    });
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
    // `tempfile` creates the file with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(&format!("{}.", scope.chunk))
        .suffix(".json")
        .tempfile_in(&folder)
        .map_err(cannot)?;
    file.write_all(json!({ "mcpServers": { SERVER_KEY: server } }).to_string().as_bytes()).map_err(cannot)?;
    Ok(file)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(
            Code::InvalidArgument,
            format!("the path {} is not UTF-8, so it cannot be part of an MCP configuration", path.display()),
        )
    })
}

/// Removes the files that an earlier runner of a batch left when it was killed.
///
/// # Errors
/// They cannot be removed.
pub(in crate::work) fn remove_mcp_configs(data: &Path, batch: &TaskId) -> Result<()> {
    remove_files(data, &format!("{batch}."))
}

/// Removes the context files that a killed process left for a task.
///
/// # Errors
/// They cannot be removed.
pub(in crate::work) fn remove_context_files(data: &Path, task: &TaskId) -> Result<()> {
    remove_files(data, &context_file_prefix(task))
}

/// How the name of a context file of a task starts.
pub(super) fn context_file_prefix(task: &TaskId) -> String {
    format!("{task}.context.")
}

fn remove_files(data: &Path, prefix: &str) -> Result<()> {
    let folder = mcp_config_folder(data);
    let cannot = |error| {
        Error::internal(format!("old files of workers in {} cannot be removed", folder.display()), error)
    };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    };
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            std::fs::remove_file(entry.path()).map_err(cannot)?;
        }
    }
    Ok(())
}
