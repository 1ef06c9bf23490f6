//! Checks whether a profile could be started, without starting it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::sandbox;
use super::this_program::require_process_table;
use super::worktree;
use crate::config::{PlaceholderValues, Profile};
use crate::error::{Error, Result};
use crate::model::id::TaskId;

/// Finds the program and checks the working directory that a chunk would get. Creates nothing. `data` is the data
/// folder of the store. Returns the files of the programs: the command's first, then those of steps.
///
/// # Errors
/// Why no worker could be started.
pub fn check(profile: &Profile, data: &Path) -> Result<Vec<PathBuf>> {
    require_process_table()?;
    if let Some(network) = profile.sandbox_network() {
        sandbox::check_supported(network)
            .map_err(|error| Error::invalid(format!("worker.{}.sandbox: {error}", profile.name)))?;
    }
    let batch = TaskId::stored("check".into());
    let chunk = batch.chunk(1, 2);
    let values = PlaceholderValues { batch: &batch, chunk: &chunk, project: None };
    // A path that depends on the batch, or on its working directory, does not exist yet. It is checked when a worker starts.
    let no_folder = data.join("work").join(chunk.as_str());
    if let Ok(Some(sandbox)) = profile.sandbox(&values, &no_folder) {
        sandbox::check_paths(&sandbox)
            .map_err(|error| Error::invalid(format!("worker.{}.sandbox: {error}", profile.name)))?;
    }
    let mcp_config = data.join("check.json");
    let environment = profile.environment(std::env::vars_os(), &values, Some(&mcp_config), Vec::new())?;
    let path = environment.get(OsStr::new("PATH"));
    let path = path.map(|path| path.as_os_str());
    let mut programs = vec![profile.find_program(None, path)?];
    profile.arguments(None, &values, Some(&mcp_config))?;
    for step in profile.steps() {
        programs.push(profile.find_program(Some(step), path)?);
        profile.arguments(Some(step), &values, Some(&mcp_config))?;
    }
    if let Some(repository) = profile.check_work_dir(&values)? {
        worktree::check_repository(&repository)?;
    }
    Ok(programs)
}
