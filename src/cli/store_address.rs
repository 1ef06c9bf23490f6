//! A store whose name is the address of a database, and not the path of a file.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::error::{Error, Result};
use crate::model::content_hash::text_hash;
use crate::private_files::create_private_folders;
use crate::store::postgres::{Address, PasswordCommand};
use crate::store::sqlite::folder_of;
use crate::work::AgentFolders;

/// The address, if the store's name is one.
pub(super) fn address_text(store: &Path) -> Option<&str> {
    store.to_str().filter(|name| Address::is_address(name))
}

/// Checks an address that `--db` or a variable names. It is passed on to other processes on their command lines, which every
/// user of the machine can read.
///
/// # Errors
/// If it contains a password.
pub(super) fn check_address(address: &str, name: &str) -> Result<PathBuf> {
    if Address::has_password(address) {
        return Err(Error::invalid(format!(
            "{name}: the address contains a password, which others could read in the list of processes; leave it out, and put it into the file that PGPASSFILE names (host:port:database:user:password, mode 0600) or into PGPASSWORD"
        )));
    }
    Ok(PathBuf::from(address))
}

/// The address with what it leaves out.
///
/// # Errors
/// If it is malformed.
fn complete_address(address: &str) -> Result<Address> {
    Address::parse(address, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The address to connect to: with the operator's command for the password, if the configuration has one. `agent_folders` are
/// those that agents may write to.
///
/// # Errors
/// If the address is malformed, or the command cannot be used.
pub(super) fn sign_in_address(address: &str, agent_folders: &AgentFolders) -> Result<Address> {
    let address = complete_address(address)?;
    let config = match agent_folders.load_config() {
        Ok(config) => config,
        Err(error) => {
            // Only workers need it, unless it names the command for the password.
            tracing::warn!(%error, "the configuration is not used to sign in to the database");
            return Ok(address);
        }
    };
    Ok(match config.database().password_command(&agent_folders.items)? {
        Some((program, arguments)) => address.with_password_command(PasswordCommand { program, arguments }),
        None => address,
    })
}

/// The folder for this machine's files of a store: the one that contains the store's file, or one in the user's data folder
/// for a database, which need not exist.
///
/// # Errors
/// If there is no home folder.
pub(super) fn data_folder_path(store: &Path) -> Result<PathBuf> {
    let Some(address) = address_text(store) else { return Ok(folder_of(store)) };
    let name: String = text_hash(&complete_address(address)?.to_string())[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folders = etcetera::choose_base_strategy().map_err(|error| {
        Error::invalid("there is no home folder for the logs of workers; set HOME").caused_by(error)
    })?;
    Ok(without_links(&folders.data_dir()).join("tasktally").join("databases").join(name))
}

/// A path without the links in the part of it that exists. A worker's sandbox must not lead through a link, and on some systems
/// the home folder does.
fn without_links(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|existing| {
        let rest = path.strip_prefix(existing).ok()?;
        Some(std::fs::canonicalize(existing).ok()?.join(rest))
    });
    real.unwrap_or_else(|| path.to_owned())
}

/// The same folder, which is made for a database.
///
/// # Errors
/// If there is no home folder, or the folder cannot be made.
pub(super) fn data_folder(store: &Path) -> Result<PathBuf> {
    let folder = data_folder_path(store)?;
    if address_text(store).is_some() {
        create_private_folders(&folder).map_err(|error| {
            Error::internal(
                format!("the folder {} for the logs of workers cannot be made", folder.display()),
                error,
            )
        })?;
    }
    Ok(folder)
}
