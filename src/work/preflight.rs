//! Whether a profile could be started, without starting it.

use std::path::{Path, PathBuf};

use super::worktree;
use crate::config::{Job, Profile};
use crate::error::Result;
use crate::model::id::TaskId;

/// Looks for the program and looks at the folder that a chunk would get; gives the program's file. Makes nothing. `data` is the folder that Tasktally keeps its own in.
///
/// # Errors
/// What keeps a worker from being started.
pub fn check(profile: &Profile, data: &Path) -> Result<PathBuf> {
    let batch = TaskId::stored("check".into());
    let chunk = batch.chunk(1, 2);
    let job = Job { batch: &batch, chunk: &chunk, project: None };
    let mcp_config = data.join("check.json");
    let environment = profile.environment(std::env::vars_os(), &job, Some(&mcp_config), Vec::new())?;
    let path = environment.get(std::ffi::OsStr::new("PATH"));
    let program = profile.program(path.map(|path| path.as_os_str()))?;
    profile.arguments(&job, Some(&mcp_config))?;
    if let Some(repository) = profile.could_place(&job)? {
        worktree::check_repository(&repository)?;
    }
    Ok(program)
}
