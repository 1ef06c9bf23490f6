//! Where the store is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use super::program_name::{program_name, with_store};
use super::store_address::{address_text, check_address};
use crate::error::{Error, Result};
use crate::paths::{ends_with_slash, expand_home, resolve};
use crate::store::sqlite::file_error;

/// The name of a store in a folder that was named instead of a file.
const FILE_NAME: &str = "tasktally.db";

/// The path of a named store: absolute, and without symbolic links, so that all processes use one WAL whichever name
/// they were given. A folder means the file in it. `name` is the option or variable, for errors.
///
/// # Errors
/// If the path is empty or cannot be resolved.
pub(super) fn named_store_path(path: &Path, name: &str) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid(format!(
            "{name}: the path is empty; name the store's file, or leave {name} out"
        )));
    }
    if let Some(address) = address_text(path) {
        return check_address(address, name);
    }
    let path = expand_home(path, name)?;
    let means_folder = ends_with_slash(&path) || path.is_dir();
    let file = if means_folder { path.join(FILE_NAME) } else { path };
    resolve(&file).map_err(|error| {
        let next = if file.is_relative() && error.kind() == ErrorKind::NotFound {
            "the current folder was deleted; change to another one, or write the path in full"
        } else {
            "it cannot be resolved; name another path"
        };
        Error::invalid(format!("{name}: {}: {next}", file.display())).caused_by(error)
    })
}

/// The store's file: the path from [`named_store_path`], else one in the user's data folder.
///
/// # Errors
/// If the store is not named and there is no home folder.
pub(super) fn store_path(db: Option<&Path>) -> Result<PathBuf> {
    match db {
        Some(path) => Ok(path.to_owned()),
        None => {
            let folders = etcetera::choose_base_strategy().map_err(|error| {
                Error::invalid(
                    "--db: there is no home folder for a store; name the store's file with --db or TASKTALLY_DB",
                )
                .caused_by(error)
            })?;
            let path = folders.data_dir().join("tasktally").join(FILE_NAME);
            // A link that leads in a circle is reported when the file is opened.
            Ok(resolve(&path).unwrap_or(path))
        }
    }
}

/// The store's file, which must exist.
///
/// # Errors
/// If there is no such file, or its folder cannot be read.
pub(super) fn existing_store_path(db: Option<&Path>) -> Result<PathBuf> {
    let path = store_path(db)?;
    if address_text(&path).is_some() {
        return Ok(path);
    }
    match path.try_exists() {
        Ok(true) => Ok(path),
        Ok(false) => Err(Error::invalid(format!(
            "store {}: there is no such file; {} name the store's file with --db or TASKTALLY_DB",
            path.display(),
            if db.is_some() {
                "check the path, and"
            } else {
                "create_task() and create_batch() create it, or"
            }
        ))),
        Err(error) => Err(file_error(&path, "it cannot be read", error)),
    }
}

/// How a person calls the program for this store: with `--db`, unless it is the default store.
pub(super) fn command_prefix(store: &Path) -> String {
    let is_default = store_path(None).is_ok_and(|default| default == store);
    let program = program_name();
    if is_default && std::env::var_os("TASKTALLY_DB").is_none_or(|value| value.is_empty()) {
        return program;
    }
    with_store(&program, store)
}
