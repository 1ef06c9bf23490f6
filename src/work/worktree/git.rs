//! Runs git in repositories that workers may have written to. git must not run a command that such a repository
//! names: hooks, filters, the file-system monitor and submodules are switched off.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};
use crate::model::field::visible_excerpt;
use crate::model::text::excerpt;

/// How many characters of git's error output are shown.
const MAX_ERROR_CHARS: usize = 500;
/// The settings under which a repository can name a command under a name of its choice.
const COMMAND_SETTINGS: &str = "^(filter|hook)\\.";

/// Runs git in a folder and returns its standard output. The user's own filters still run; those of the repository do
/// not.
///
/// # Errors
/// git cannot be started or fails.
pub(super) fn git(folder: &Path, arguments: &[&OsStr]) -> Result<String> {
    let list = ["config", "--show-scope", "-z", "--get-regexp", COMMAND_SETTINGS].map(OsStr::new);
    let found = run(folder, &[], &list)?;
    // Exit code 1 means that no setting matches. Any other code means that the settings are unknown.
    if !matches!(found.status.code(), Some(0 | 1)) {
        return Err(git_failed(folder, &list, &found));
    }
    let found = String::from_utf8_lossy(&found.stdout);
    let overrides = override_repository_commands(&found).map_err(|name| {
        Error::invalid(format!(
            "worktree: the git configuration of {} names a command under '{}', which cannot be switched off because of the '='; rename the setting",
            folder.display(),
            excerpt(&name)
        ))
    })?;
    let output = run(folder, &overrides, arguments)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(git_failed(folder, arguments, &output))
}

/// Settings for the command line that replace every filter and hook that the repository configures by the user's or
/// the machine's value, or by none. `found` is git's list: a scope, then a name and its value.
///
/// # Errors
/// A name with `=`, which cannot be set on the command line.
pub(super) fn override_repository_commands(found: &str) -> Result<Vec<String>, String> {
    const FILTER: [(&str, &str); 4] = [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")];
    const HOOK: [(&str, &str); 1] = [("enabled", "false")];
    let mut parts = found.split('\0');
    let mut trusted = BTreeMap::new();
    let mut of_repository = BTreeSet::new();
    while let (Some(scope), Some(setting)) = (parts.next(), parts.next()) {
        let (name, value) = setting.split_once('\n').unwrap_or((setting, "true"));
        if matches!(scope, "local" | "worktree") {
            of_repository.extend(name.rsplit_once('.').map(|(section, _)| section));
        } else {
            trusted.insert(name.to_owned(), value);
        }
    }
    let mut overrides = Vec::new();
    for section in of_repository {
        if section.contains('=') {
            return Err(section.to_owned());
        }
        for (key, neutral) in if section.starts_with("hook.") { &HOOK[..] } else { &FILTER[..] } {
            let name = format!("{section}.{key}");
            let value = trusted.get(&name).copied().unwrap_or(neutral);
            overrides.push(format!("{name}={value}"));
        }
    }
    Ok(overrides)
}

fn git_failed(folder: &Path, arguments: &[&OsStr], output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let command: Vec<_> = arguments.iter().take(2).map(|argument| argument.to_string_lossy()).collect();
    Error::invalid(format!(
        "git {} in {} failed ({}): {}",
        command.join(" "),
        folder.display(),
        output.status,
        visible_excerpt(stderr.trim(), MAX_ERROR_CHARS)
    ))
}

fn run(folder: &Path, overrides: &[String], arguments: &[&OsStr]) -> Result<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder);
    let fixed = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false"];
    for setting in fixed.into_iter().chain(overrides.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    // Its own process group: the runner handles Ctrl-C in the terminal.
    command.args(arguments).process_group(0).stdin(Stdio::null()).env("LC_ALL", "C");
    // GIT_DIR and the like would select another repository.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    // Reading writes nothing. Nothing is fetched, because the repository would choose the address and the command.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", "");
    command
        .output()
        .map_err(|error| Error::invalid("worktree: git cannot be started; is it installed?").caused_by(error))
}
