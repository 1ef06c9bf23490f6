//! A git worktree for each chunk, so that workers do not change each other's files.

mod git;

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use git::git;

use crate::error::{Code, Error, Result};

/// How many changed files are named.
const MAX_NAMED_FILES: usize = 10;

/// What became of a worktree whose chunk is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It had no uncommitted changes and was removed. Its branch stays if it has commits of its own.
    Removed,
    /// It has uncommitted changes and stays as it is.
    HasChanges {
        /// The worktree.
        folder: PathBuf,
        /// Files that are changed or new, at most ten.
        files: Vec<String>,
    },
}

/// Creates the worktree of a chunk, on a branch `tasktally/CHUNK` that starts at the repository's `HEAD`. A worktree
/// from an earlier attempt at the chunk is used again, with its changes. Returns its folder.
///
/// # Errors
/// The folder is not a repository with a commit, the worktree's folder exists and is something else, or git fails.
pub fn add(repository: &Path, folder: &Path, chunk: &str) -> Result<PathBuf> {
    check_repository(repository)?;
    let parent = folder.parent().unwrap_or(folder);
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| {
        Error::invalid(format!("the folder {} cannot be created", parent.display())).caused_by(error)
    })?;
    if folder.exists() {
        if repository_of(folder)? == repository_of(repository)? {
            return canonical(folder);
        }
        return Err(Error::new(
            Code::Conflict,
            format!(
                "{} exists and is not a worktree of {}; move it away, then start the worker again",
                folder.display(),
                repository.display()
            ),
        ));
    }
    // git still lists a worktree whose folder was deleted by hand, and would refuse to add it again.
    git(repository, &["worktree".as_ref(), "prune".as_ref()])?;
    let branch = format!("tasktally/{chunk}");
    let reference = format!("refs/heads/{branch}");
    let existing = git(repository, &["rev-parse", "--verify", "--quiet", &reference].map(OsStr::new));
    let mut arguments = vec!["worktree".as_ref(), "add".as_ref(), "--quiet".as_ref()];
    if existing.is_ok() {
        arguments.extend([folder.as_os_str(), OsStr::new(&branch)]);
    } else {
        arguments.extend(["-b".as_ref(), OsStr::new(&branch), folder.as_os_str(), OsStr::new("HEAD")]);
    }
    git(repository, &arguments)?;
    canonical(folder)
}

/// Removes a worktree, unless it has uncommitted changes. A branch without commits of its own is deleted, too.
///
/// # Errors
/// git fails.
pub fn remove(repository: &Path, folder: &Path, chunk: &str) -> Result<Removal> {
    let files = changes(folder)?;
    if !files.is_empty() {
        return Ok(Removal::HasChanges { folder: folder.to_owned(), files });
    }
    git(repository, &["worktree".as_ref(), "remove".as_ref(), folder.as_os_str()])?;
    // -d refuses to delete a branch with commits that HEAD does not have. They are the work.
    if let Err(error) =
        git(repository, &["branch", "--quiet", "-d", &format!("tasktally/{chunk}")].map(OsStr::new))
    {
        tracing::debug!(%error, "the branch of a chunk stays");
    }
    Ok(Removal::Removed)
}

/// Files of a worktree that are changed or new, at most ten.
///
/// # Errors
/// git fails.
pub fn changes(folder: &Path) -> Result<Vec<String>> {
    // To look for changes inside a submodule, git would run commands that the submodule's configuration names.
    let status = ["status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=dirty"];
    let status = git(folder, &status.map(OsStr::new))?;
    let names = status.split('\0').filter_map(|entry| entry.get(3..)).filter(|name| !name.is_empty());
    Ok(names.take(MAX_NAMED_FILES).map(crate::model::text::excerpt).collect())
}

/// Checks that a folder is a repository with a commit.
///
/// # Errors
/// It is not, so no worktree can be made of it.
pub fn check_repository(repository: &Path) -> Result<()> {
    let arguments = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
    git(repository, &arguments.map(OsStr::new)).map(|_| ()).map_err(|error| {
        Error::invalid(format!(
            "worktree: {} is not a git repository with a commit in it; run git init and commit there, or remove worktree from the profile",
            repository.display()
        ))
        .caused_by(error)
    })
}

/// The repository of a worktree.
///
/// # Errors
/// The folder is not a worktree, or its repository was deleted.
pub fn repository_of(folder: &Path) -> Result<PathBuf> {
    let output = git(folder, &["rev-parse", "--path-format=absolute", "--git-common-dir"].map(OsStr::new))?;
    canonical(Path::new(output.trim_end_matches('\n')))
}

fn canonical(folder: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(folder).map_err(|error| {
        Error::invalid(format!("the folder {} cannot be used", folder.display())).caused_by(error)
    })
}

#[cfg(test)]
mod tests;
