//! Checks a command that was given at the command line, before anything is created or claimed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::config::{check_placeholders, find_program};
use crate::error::{Error, Result};

/// Checks that the program of a command exists and can be run from `folder`, and where the command has `{}`. The program
/// itself is not run.
///
/// # Errors
/// `invalid_argument` with the reason.
pub(super) fn check_command(command: &[String], folder: &Path) -> Result<()> {
    check_placeholders(command)?;
    let program = command.first().map_or("", String::as_str);
    let path = std::env::var_os("PATH");
    find_program(OsStr::new(program), path.as_deref(), Some(folder))
        .map(drop)
        .map_err(|why| Error::invalid(format!("command: {why}; nothing was created or run")))
}

/// The current folder, in which the command runs.
///
/// # Errors
/// The folder was removed.
pub(super) fn current_folder() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::internal("the current folder cannot be read; change to one that exists", error)
    })
}
