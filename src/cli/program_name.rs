//! How a person calls this program, for the commands that are printed.

use std::path::Path;

use super::package_runner::PackageRunner;
use crate::terminal::shell_path;

/// The name under which the program is installed.
pub(super) const PROGRAM_NAME: &str = "tasktally";

/// The program as it is called: by a package runner, or by the name under which it is installed.
pub(super) fn program_name() -> String {
    match PackageRunner::detect() {
        Ok(Some(runner)) => runner.words().join(" "),
        _ => PROGRAM_NAME.to_owned(),
    }
}

/// A program with the option that names this store.
pub(super) fn with_store(program: &str, store: &Path) -> String {
    format!("{program} --db {}", shell_path(store))
}
