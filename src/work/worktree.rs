//! A git worktree for each chunk: workers that change files don't change each other's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::{Code, Error, Result};

/// How much of git's answer is shown, in characters.
const SHOWN: usize = 500;

/// What became of a worktree once its chunk was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It was clean and is gone; its branch stays where it has commits of its own.
    Removed,
    /// It holds changes that are in no commit, the first of them named; it is left as it is.
    Changed {
        /// The worktree.
        folder: PathBuf,
        /// Files that are changed or new, at most ten.
        files: Vec<String>,
    },
}

/// Makes the chunk's worktree, on a branch `tasktally/CHUNK` that starts at the repository's `HEAD`. One that is
/// there already, from an earlier attempt at the chunk, is used again as it stands. Gives its folder.
///
/// # Errors
/// No repository, a repository without a commit, or what git says.
pub fn add(repository: &Path, folder: &Path, chunk: &str) -> Result<PathBuf> {
    check_repository(repository)?;
    let parent = folder.parent().unwrap_or(folder);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|error| Error::invalid(format!("{} cannot be made", parent.display())).caused_by(error))?;
    if folder.exists() {
        let (theirs, ours) = (repository_of(folder)?, repository_of(repository)?);
        if theirs == ours {
            return real(folder);
        }
        return Err(Error::new(
            Code::Conflict,
            format!(
                "{} is there and is no worktree of {}; move it away, then start the worker again",
                folder.display(),
                repository.display()
            ),
        ));
    }
    // A folder that was removed by hand is still on git's list.
    git(repository, &["worktree".as_ref(), "prune".as_ref()])?;
    let branch = format!("tasktally/{chunk}");
    let known = git(
        repository,
        &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")].map(OsStr::new),
    );
    let mut add = vec!["worktree".as_ref(), "add".as_ref(), "--quiet".as_ref()];
    if known.is_ok() {
        add.extend([folder.as_os_str(), OsStr::new(&branch)]);
    } else {
        add.extend(["-b".as_ref(), OsStr::new(&branch), folder.as_os_str(), OsStr::new("HEAD")]);
    }
    git(repository, &add)?;
    real(folder)
}

/// Removes a worktree that holds nothing but what is in a commit; leaves any other as it is. A branch on which
/// nothing was committed goes with it.
///
/// # Errors
/// What git says.
pub fn remove(repository: &Path, folder: &Path, chunk: &str) -> Result<Left> {
    let files = changes(folder)?;
    if !files.is_empty() {
        return Ok(Left::Changed { folder: folder.to_owned(), files });
    }
    git(repository, &["worktree".as_ref(), "remove".as_ref(), folder.as_os_str()])?;
    // -d refuses a branch with commits that HEAD has not: those are the work.
    if let Err(error) =
        git(repository, &["branch", "--quiet", "-d", &format!("tasktally/{chunk}")].map(OsStr::new))
    {
        tracing::debug!(%error, "the chunk's branch is kept");
    }
    Ok(Left::Removed)
}

/// Files of a worktree that are changed or new, at most ten.
///
/// # Errors
/// What git says.
pub fn changes(folder: &Path) -> Result<Vec<String>> {
    // What a submodule's own configuration names would be run to look into it.
    let status = ["status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=dirty"];
    let status = git(folder, &status.map(OsStr::new))?;
    let names = status.split('\0').filter_map(|entry| entry.get(3..)).filter(|name| !name.is_empty());
    Ok(names.take(10).map(crate::model::text::excerpt).collect())
}

/// Refuses what is no repository with a commit in it.
///
/// # Errors
/// Why no worktree can be made of it.
pub fn check_repository(repository: &Path) -> Result<()> {
    git(repository, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"].map(OsStr::new)).map(|_| ()).map_err(
        |error| {
            Error::invalid(format!(
                "worktree: {} is no git repository with a commit in it; git init and commit there, or take worktree out of the profile",
                repository.display()
            ))
            .caused_by(error)
        },
    )
}

/// The repository that a worktree belongs to.
///
/// # Errors
/// What git says: it is no worktree, or its repository is gone.
pub fn repository_of(folder: &Path) -> Result<PathBuf> {
    let told = git(folder, &["rev-parse", "--path-format=absolute", "--git-common-dir"].map(OsStr::new))?;
    real(Path::new(told.trim_end_matches('\n')))
}

fn real(folder: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(folder)
        .map_err(|error| Error::invalid(format!("{} cannot be used", folder.display())).caused_by(error))
}

/// Runs git in a folder. Workers may have written to the repository: none of its hooks is run, nor anything
/// else that its configuration names a command for on the way, and no variable says which repository it is.
fn git(folder: &Path, arguments: &[&OsStr]) -> Result<String> {
    let look = ["config", "--show-scope", "-z", "--get-regexp", NAMES_COMMANDS];
    let found = run(folder, &[], &look.map(OsStr::new))?;
    // It lists nothing and ends with 1 where there is nothing; with another code it has not looked.
    if !matches!(found.status.code(), Some(0 | 1)) {
        return Err(failed(folder, &look.map(OsStr::new), &found));
    }
    let settings = without_own_commands(&String::from_utf8_lossy(&found.stdout)).map_err(|name| {
        Error::invalid(format!(
            "worktree: the configuration of {} names a command under '{}', which cannot be left out; rename it without '='",
            folder.display(),
            crate::model::text::excerpt(&name)
        ))
    })?;
    let output = run(folder, &settings, arguments)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(folder, arguments, &output))
}

/// What git runs by names of anybody's choosing.
const NAMES_COMMANDS: &str = "^(filter|hook)\\.";

/// Settings that leave of those found (a scope, then a name and its value) what the user or the machine says,
/// and nothing of what the repository itself does.
///
/// # Errors
/// A name that no setting on the command line can stand for.
fn without_own_commands(found: &str) -> Result<Vec<String>, String> {
    const FILTER: [(&str, &str); 4] = [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")];
    const HOOK: [(&str, &str); 1] = [("enabled", "false")];
    let mut parts = found.split('\0');
    let mut trusted = BTreeMap::new();
    let mut own = BTreeSet::new();
    while let (Some(scope), Some(setting)) = (parts.next(), parts.next()) {
        let (name, value) = setting.split_once('\n').unwrap_or((setting, "true"));
        if matches!(scope, "local" | "worktree") {
            own.extend(name.rsplit_once('.').map(|(whose, _)| whose));
        } else {
            trusted.insert(name.to_owned(), value);
        }
    }
    let mut settings = Vec::new();
    for whose in own {
        if whose.contains('=') {
            return Err(whose.to_owned());
        }
        for (what, nothing) in if whose.starts_with("hook.") { &HOOK[..] } else { &FILTER[..] } {
            let name = format!("{whose}.{what}");
            let value = trusted.get(&name).copied().unwrap_or(nothing);
            settings.push(format!("{name}={value}"));
        }
    }
    Ok(settings)
}

fn failed(folder: &Path, arguments: &[&OsStr], output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let words: Vec<_> = arguments.iter().take(2).map(|argument| argument.to_string_lossy()).collect();
    Error::invalid(format!(
        "git {} in {} failed ({}): {}",
        words.join(" "),
        folder.display(),
        output.status,
        crate::model::field::visible(said.trim(), SHOWN)
    ))
}

fn run(folder: &Path, settings: &[String], arguments: &[&OsStr]) -> Result<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    let fixed = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false"];
    for setting in fixed.into_iter().chain(settings.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    // A group of its own: Ctrl-C in the terminal is the runner's to handle.
    command.args(arguments).process_group(0).stdin(Stdio::null()).env("LC_ALL", "C");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    // Looking writes nothing, and nothing is fetched on the way: whence and by what command would be the repository's to say.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", "");
    command
        .output()
        .map_err(|error| Error::invalid("worktree: git cannot be started; is it installed?").caused_by(error))
}

#[cfg(test)]
mod tests;
