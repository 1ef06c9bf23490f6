//! Checks that only the operator can change what is read: owner and mode of files and folders, and where they are.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The mode bit of shared folders such as `/tmp`, where only the owner of a file may rename or remove it.
const STICKY: u32 = 0o1000;
/// The entries that mark the top folder of a project. Agents write to projects.
const PROJECT_MARKERS: [&str; 5] = [".git", ".hg", ".jj", ".svn", ".bzr"];

/// The user whose rights this process has on files.
pub(super) fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Checks a folder on the path to the file. A sticky folder that everybody may write to is allowed, unless it contains
/// the file itself (`is_parent`).
pub(super) fn check_folder(folder: &Path, user: u32, is_parent: bool) -> Result<()> {
    let metadata = std::fs::metadata(folder).map_err(|error| {
        Error::invalid(format!("the folder {} cannot be read", folder.display())).caused_by(error)
    })?;
    check_owner(folder, &metadata, user)?;
    let is_sticky = metadata.mode() & STICKY != 0;
    if metadata.mode() & 0o022 != 0 && (is_parent || !is_sticky) {
        return Err(writable_by_others("folder ", folder, &metadata));
    }
    Ok(())
}

/// Checks the file itself.
pub(super) fn check_file(file: &Path, metadata: &Metadata, user: u32) -> Result<()> {
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a folder" } else { "not a regular file" };
        return Err(Error::invalid(format!(
            "{} is {kind}; replace it by a file, or name another one with TASKTALLY_CONFIG",
            file.display()
        )));
    }
    check_owner(file, metadata, user)?;
    if metadata.mode() & 0o022 != 0 {
        return Err(writable_by_others("", file, metadata));
    }
    Ok(())
}

/// Checks that a file, folder or link belongs to the user or to root.
pub(super) fn check_owner(path: &Path, metadata: &Metadata, user: u32) -> Result<()> {
    let owner = metadata.uid();
    if owner == user || owner == 0 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} belongs to user {owner}, not to you (user {user}) or root, so that user could choose the commands that workers run; change its owner with chown, or name another file with TASKTALLY_CONFIG",
        path.display()
    )))
}

fn writable_by_others(kind: &str, path: &Path, metadata: &Metadata) -> Error {
    let who = if metadata.mode() & 0o002 != 0 { "everybody" } else { "its group" };
    // chmod would take a shared folder such as /tmp away from the other users.
    let next_step = if metadata.mode() & STICKY != 0 {
        "move the file to a folder of your own, for example ~/.config/tasktally".to_owned()
    } else {
        format!("run chmod go-w {}", path.display())
    };
    Error::invalid(format!(
        "{kind}{} can be written to by {who} (mode {:04o}), so others could choose the commands that workers run; {next_step}",
        path.display(),
        metadata.mode() & 0o7777
    ))
}

/// Checks that none of the paths is inside a project.
pub(super) fn check_outside_projects(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        for folder in path.ancestors().skip(1) {
            let marker = PROJECT_MARKERS.iter().find(|marker| folder.join(marker).symlink_metadata().is_ok());
            if let Some(marker) = marker {
                let project = format!("the project {} (it contains {marker})", folder.display());
                return Err(inside(path, &project));
            }
        }
    }
    Ok(())
}

/// Checks that none of the paths is inside one of the folders. `reason` says why these folders are not allowed.
pub(super) fn check_outside_folders(paths: &[PathBuf], folders: &[PathBuf], reason: &str) -> Result<()> {
    for folder in folders {
        let real_folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
        for path in paths {
            if path.starts_with(folder) || path.starts_with(&real_folder) {
                return Err(inside(path, &format!("{} ({reason})", folder.display())));
            }
        }
    }
    Ok(())
}

fn inside(path: &Path, folder: &str) -> Error {
    Error::invalid(format!(
        "{} is inside {folder}, so an agent could write to it and choose the commands that workers run; move it out, or name another file with TASKTALLY_CONFIG",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = folder.path().metadata().unwrap();
        assert!(check_owner(folder.path(), &metadata, metadata.uid()).is_ok());
        let result = check_owner(folder.path(), &metadata, metadata.uid() + 1);
        // Files of root are accepted for every user.
        assert_eq!(result.is_ok(), metadata.uid() == 0);
    }

    #[test]
    fn a_file_inside_a_folder_that_agents_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let check = |agent_folder: &Path, file: &str| {
            let paths = [link.join(file), std::fs::canonicalize(&real).unwrap().join(file)];
            check_outside_folders(&paths, &[agent_folder.to_owned()], "a folder that agents write to")
                .map_err(|error| error.to_string())
        };
        for agent_folder in [&real, &link, folder.path()] {
            let refusal = check(agent_folder, "config.toml").unwrap_err();
            assert!(refusal.contains("a folder that agents write to"), "{refusal}");
        }
        assert_eq!(check(&folder.path().join("other"), "config.toml"), Ok(()));
        // `/x/rea` is a prefix of the text `/x/real`, but not a folder above it.
        assert_eq!(check(&folder.path().join("rea"), "config.toml"), Ok(()));
    }
}
