//! How a person calls this program, for the commands that are printed.

use std::ffi::OsStr;
use std::path::Path;

use super::package_runner::{PROGRAM_NAME, PackageRunner};
use super::store_address::address_text;
use crate::terminal::{shell_path, shell_word};

/// The program as it is called: by a package runner, or by the name under which it is installed.
pub(super) fn program_name() -> String {
    match PackageRunner::detect() {
        Ok(Some(runner)) => runner.words().join(" "),
        _ => PROGRAM_NAME.to_owned(),
    }
}

/// The program as this process was called: like [`program_name`], or by a path if a path was typed.
pub(super) fn typed_name() -> String {
    let typed = std::env::args_os().next().unwrap_or_default();
    match PackageRunner::detect() {
        Ok(None) if is_path(&typed) => shell_word(&typed.to_string_lossy()),
        _ => program_name(),
    }
}

fn is_path(word: &OsStr) -> bool {
    word.as_encoded_bytes().contains(&b'/')
}

/// A program with the option that names this store.
pub(super) fn with_store(program: &str, store: &Path) -> String {
    let store = address_text(store).map_or_else(|| shell_path(store), shell_word);
    format!("{program} --db {store}")
}
