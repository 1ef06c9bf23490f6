//! Runs git so that a repository cannot make it start a program, wherever the repository or its configuration come from.
//!
//! Commands that read or write files and references run with the configuration of a [`NeutralGitDir`]. Only
//! `git rev-parse`, which starts no program, reads the repository's own configuration, to find the repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::git_command::{neutral, rev_parse, run};
use super::neutral_git_dir::NeutralGitDir;
use crate::error::{Error, Result};

/// Runs git on a repository with neutral configuration, and returns its standard output. With `files`, on the files and
/// the index of a worktree.
///
/// # Errors
/// git cannot be started or fails.
pub(super) fn git(
    repository: &NeutralGitDir,
    files: Option<Files<'_>>,
    arguments: &[&OsStr],
) -> Result<String> {
    let mut command = neutral();
    command.env("GIT_DIR", repository.path()).current_dir(repository.path());
    if let Some(files) = files {
        command
            .env("GIT_WORK_TREE", files.folder)
            .env("GIT_INDEX_FILE", files.index)
            .current_dir(files.folder);
    }
    command.args(arguments);
    let shown: Vec<_> = arguments.iter().take(2).map(|argument| argument.to_string_lossy()).collect();
    run(command, &shown.join(" "), files.map_or(repository.common_dir(), |files| files.folder))
}

/// The files of a worktree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    /// The folder that holds them.
    pub(super) folder: &'a Path,
    /// The file of git's index for this folder.
    pub(super) index: &'a Path,
}

/// Where a repository is, and its current commit.
#[derive(Debug)]
pub(super) struct Repository {
    /// The folder that all worktrees of the repository share: usually `.git`.
    pub(super) common_dir: PathBuf,
    /// The commit that `HEAD` names.
    pub(super) head: String,
}

impl Repository {
    /// Finds the repository that a folder belongs to.
    ///
    /// # Errors
    /// The folder is in no repository, or the repository has no commit.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let common_dir = rev_parse(folder, &["--path-format=absolute", "--git-common-dir"])?;
        let head = rev_parse(folder, &["--verify", "--quiet", "HEAD^{commit}"])?;
        let common_dir = std::fs::canonicalize(&common_dir)
            .map_err(|error| Error::invalid(format!("{common_dir} cannot be used")).caused_by(error))?;
        Ok(Repository { common_dir, head })
    }
}
