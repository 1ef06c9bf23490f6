//! Where the store is.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::error::{Error, Result};
use crate::store::sqlite::file_error;
use crate::terminal::shell_path;

/// The store's file: the value of `--db` or `TASKTALLY_DB`, else one in the user's data folder.
///
/// # Errors
/// If the store is not named and there is no home folder.
pub(super) fn store_path(db: Option<&Path>) -> Result<PathBuf> {
    match db {
        Some(path) if path.is_dir() => Ok(path.join("tasktally.db")),
        Some(path) => Ok(path.to_owned()),
        None => {
            let folders = etcetera::choose_base_strategy().map_err(|error| {
                Error::invalid(
                    "--db: there is no home folder for a store; name the store's file with --db or TASKTALLY_DB",
                )
                .caused_by(error)
            })?;
            Ok(folders.data_dir().join("tasktally").join("tasktally.db"))
        }
    }
}

/// The store's file, which must exist.
///
/// # Errors
/// If there is no such file, or its folder cannot be read.
pub(super) fn existing_store_path(db: Option<&Path>) -> Result<PathBuf> {
    let path = store_path(db)?;
    match path.try_exists() {
        Ok(true) => Ok(path),
        Ok(false) => Err(Error::invalid(format!(
            "store {}: there is no such file; name the store's file with --db or TASKTALLY_DB",
            path.display()
        ))),
        Err(error) => Err(file_error(&path, "it cannot be read", error)),
    }
}

/// How a person calls the program for this store: with `--db`, unless it is the default store.
pub(super) fn command_prefix(store: &Path) -> String {
    let is_default = store_path(None).is_ok_and(|default| default == store);
    if is_default && std::env::var_os("TASKTALLY_DB").is_none() {
        return "tasktally".to_owned();
    }
    format!("tasktally --db {}", shell_path(store))
}
