//! A git worktree for each chunk, so that workers do not change each other's files.

mod git;
mod git_command;
mod linked;
mod neutral_git_dir;

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use git::{Files, Repository, git};
use git_command::rev_parse;
use linked::{LinkedWorktree, canonical};
use neutral_git_dir::NeutralGitDir;

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
/// No filter runs: a file that Git LFS manages is the text that names it.
///
/// # Errors
/// The folder is not a repository with a commit, the worktree's folder exists and is something else, or git fails.
pub fn add(repository: &Path, folder: &Path, chunk: &str) -> Result<PathBuf> {
    let Repository { common_dir, head } = find(repository)?;
    let parent = folder.parent().unwrap_or(folder);
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(|error| {
        Error::invalid(format!("the folder {} cannot be created", parent.display())).caused_by(error)
    })?;
    if folder.exists() {
        if LinkedWorktree::read(folder).is_ok_and(|linked| linked.common_dir == common_dir) {
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
    let neutral = NeutralGitDir::with_references(&common_dir, &head)?;
    // git still lists a worktree whose folder was deleted by hand, and would refuse to add it again.
    git(&neutral, None, &["worktree".as_ref(), "prune".as_ref()])?;
    let branch = format!("tasktally/{chunk}");
    let reference = format!("refs/heads/{branch}^{{commit}}");
    let existing = git(&neutral, None, &["rev-parse", "--verify", "--quiet", &reference].map(OsStr::new));
    let mut arguments = ["worktree", "add", "--quiet", "--no-checkout"].map(OsStr::new).to_vec();
    let commit = match &existing {
        Ok(commit) => {
            arguments.extend([folder.as_os_str(), OsStr::new(&branch)]);
            commit.trim_end_matches('\n')
        }
        Err(_) => {
            arguments.extend(["-b".as_ref(), OsStr::new(&branch), folder.as_os_str(), OsStr::new(&head)]);
            &head
        }
    };
    git(&neutral, None, &arguments)?;
    let linked = LinkedWorktree::link_to(folder, &common_dir)?;
    let neutral = NeutralGitDir::for_files(&common_dir, commit)?;
    let files = Files { folder, index: &linked.index() };
    git(&neutral, Some(files), &["read-tree", "--reset", "-u", commit].map(OsStr::new))?;
    canonical(folder)
}

/// Removes a worktree, unless it has uncommitted changes. A branch without commits of its own is deleted, too.
///
/// # Errors
/// The folder is not a worktree of the repository, or git fails.
pub fn remove(repository: &Path, folder: &Path, chunk: &str) -> Result<Removal> {
    let Repository { common_dir, head } = find(repository)?;
    if LinkedWorktree::read(folder)?.common_dir != common_dir {
        return Err(Error::new(
            Code::Conflict,
            format!("{} is not a worktree of {}", folder.display(), repository.display()),
        ));
    }
    let files = changes(folder)?;
    if !files.is_empty() {
        return Ok(Removal::HasChanges { folder: folder.to_owned(), files });
    }
    let neutral = NeutralGitDir::with_references(&common_dir, &head)?;
    // Without --force, git would compare the files again, with the repository's configuration.
    git(&neutral, None, &["worktree".as_ref(), "remove".as_ref(), "--force".as_ref(), folder.as_os_str()])?;
    // -d refuses to delete a branch with commits that HEAD does not have. They are the work.
    let branch = format!("tasktally/{chunk}");
    if let Err(error) = git(&neutral, None, &["branch", "--quiet", "-d", &branch].map(OsStr::new)) {
        tracing::debug!(%error, "the branch of a chunk stays");
    }
    Ok(Removal::Removed)
}

/// Files of a worktree that are changed or new, at most ten.
///
/// # Errors
/// The folder is not a worktree, or git fails.
pub fn changes(folder: &Path) -> Result<Vec<String>> {
    let linked = LinkedWorktree::read(folder)?;
    let head = rev_parse(&linked.admin_dir, &["--verify", "--quiet", "HEAD^{commit}"])?;
    let neutral = NeutralGitDir::for_files(&linked.common_dir, &head)?;
    // To look for changes inside a submodule, git would run commands that the submodule's configuration names.
    let status = ["status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=dirty"];
    let files = Files { folder, index: &linked.index() };
    let status = git(&neutral, Some(files), &status.map(OsStr::new))?;
    let names = status.split('\0').filter_map(|entry| entry.get(3..)).filter(|name| !name.is_empty());
    Ok(names.take(MAX_NAMED_FILES).map(crate::model::text::excerpt).collect())
}

/// Checks that a folder is a repository with a commit.
///
/// # Errors
/// It is not, so no worktree can be made of it.
pub fn check_repository(repository: &Path) -> Result<()> {
    find(repository).map(|_| ())
}

fn find(repository: &Path) -> Result<Repository> {
    Repository::find(repository).map_err(|error| {
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
    LinkedWorktree::read(folder).map(|linked| linked.common_dir)
}

#[cfg(test)]
mod tests;
