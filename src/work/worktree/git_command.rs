//! Commands of git with a small environment, and those that need no [`super::neutral_git_dir::NeutralGitDir`].

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::config::absolute_folders;
use crate::error::{Error, Result};
use crate::model::field::visible_excerpt;

/// How many characters of git's error output are shown.
const MAX_ERROR_CHARS: usize = 500;
/// Settings for the command line. They have priority over every file.
const FIXED_SETTINGS: [&str; 3] =
    ["core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false"];

/// Answers of `git rev-parse` about a folder, without the line end.
///
/// # Errors
/// git cannot be started or fails.
pub(super) fn rev_parse(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = scrubbed();
    // Only the user's own configuration says which repositories of other users are trusted (safe.directory).
    for name in ["HOME", "XDG_CONFIG_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.arg("-C").arg(folder).arg("rev-parse").args(arguments);
    let output = run(command, "rev-parse", folder)?;
    Ok(output.trim_end_matches('\n').to_owned())
}

/// The plain settings of a repository whose names match an extended regular expression: names in lower case and values.
/// Included files are not read.
///
/// # Errors
/// git cannot be started, or the file is not a configuration.
pub(super) fn plain_settings(config: &Path, pattern: &str) -> Result<Vec<(String, String)>> {
    let mut command = neutral();
    command.args(["config", "--no-includes", "-z", "--file"]).arg(config).args(["--get-regexp", pattern]);
    let output = start(command)?;
    // Exit code 1 means that no setting matches.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(failed("config", config, &output));
    }
    let found = String::from_utf8_lossy(&output.stdout);
    let settings = found.split('\0').filter(|setting| !setting.is_empty());
    Ok(settings
        .map(|setting| setting.split_once('\n').unwrap_or((setting, "true")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// A git command without the configuration of the user and the machine.
pub(super) fn neutral() -> Command {
    let mut command = scrubbed();
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1");
    command
}

/// A git command with a fixed environment: no keys, no sockets of agents, no variables that select another repository.
fn scrubbed() -> Command {
    let mut command = Command::new("git");
    // Its own process group: the runner handles Ctrl-C in the terminal.
    command.env_clear().process_group(0).stdin(Stdio::null()).arg("--no-pager");
    let path = std::env::var_os("PATH").map_or_else(OsString::new, |path| absolute_folders(&path));
    command.env("PATH", path).env("LC_ALL", "C");
    // Reading writes nothing. Nothing is fetched, because the repository would choose the address and the command.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_ALLOW_PROTOCOL", "").env("GIT_NO_LAZY_FETCH", "1");
    for setting in FIXED_SETTINGS {
        command.args(["-c", setting]);
    }
    command
}

/// Runs a command of git on a folder, and returns its standard output.
///
/// # Errors
/// git cannot be started or fails.
pub(super) fn run(command: Command, shown: &str, folder: &Path) -> Result<String> {
    let output = start(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(shown, folder, &output))
}

fn start(mut command: Command) -> Result<Output> {
    command
        .output()
        .map_err(|error| Error::invalid("worktree: git cannot be started; is it installed?").caused_by(error))
}

fn failed(shown: &str, folder: &Path, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    Error::invalid(format!(
        "git {shown} in {} failed ({}): {}",
        folder.display(),
        output.status,
        visible_excerpt(stderr.trim(), MAX_ERROR_CHARS)
    ))
}
