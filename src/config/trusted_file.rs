//! Reads the configuration file if the operator alone can change it, and everything on the path to it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::path_checks::{
    check_file, check_folder, check_outside_folders, check_outside_projects, check_owner, effective_user,
};
use super::table_reader::ConfigText;
use crate::error::{Code, Error, Result};

/// The largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The largest number of symbolic links on the path.
const MAX_LINKS: usize = 40;

/// Reads the file. Returns its text, and every path that leads to it: the given one, each link on the way, the real
/// one. Returns `None` if the file does not exist. A file inside one of the `agent_folders` is refused.
///
/// # Errors
/// What is not safe, why, and the next step.
pub(super) fn read_trusted(
    path: &Path,
    agent_folders: &[PathBuf],
) -> Result<Option<(ConfigText, Vec<PathBuf>)>> {
    let Some((real, links)) = follow_path(path, effective_user())? else { return Ok(None) };
    let paths: Vec<PathBuf> = [path.to_owned()].into_iter().chain(links).chain([real.clone()]).collect();
    check_outside_projects(&paths)?;
    check_outside_folders(&paths, agent_folders, "a folder that agents write to")?;
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!("{} cannot be read; make it readable for its owner", path.display()))
            .caused_by(error)
    };
    // If the file was replaced since the check, do not follow a link and do not block on a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        File::from(rustix::fs::open(&real, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?);
    // Check what was opened, too.
    let metadata = file.metadata().map_err(unreadable)?;
    check_file(&real, &metadata, effective_user())?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => {
            Error::invalid(format!("{} is not UTF-8; save it in that encoding", path.display()))
        }
        _ => unreadable(error),
    })?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::new(
            Code::TooLarge,
            format!("{} has more than {MAX_FILE_BYTES} bytes, the limit; shorten it", path.display()),
        ));
    }
    Ok(Some((ConfigText { path: path.to_owned(), text }, paths)))
}

/// Follows a path folder by folder and link by link, and checks each of them: a user who can change one of them can
/// change what is read. Returns the real path and the links, or `None` if the file does not exist.
fn follow_path(path: &Path, user: u32) -> Result<Option<(PathBuf, Vec<PathBuf>)>> {
    let mut real = PathBuf::from("/");
    let mut pending: VecDeque<OsString> = VecDeque::new();
    let mut links = Vec::new();
    push_components(&mut pending, path);
    check_folder(&real, user, pending.len() == 1)?;
    while let Some(name) = pending.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        let metadata = match std::fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Error::invalid(format!("{} cannot be read", next.display())).caused_by(error));
            }
        };
        if metadata.is_symlink() {
            check_owner(&next, &metadata, user)?;
            links.push(next.clone());
            if links.len() > MAX_LINKS {
                return Err(Error::invalid(format!(
                    "{} leads through more than {MAX_LINKS} links; name the file itself with TASKTALLY_CONFIG",
                    path.display()
                )));
            }
            let target = std::fs::read_link(&next).map_err(|error| {
                Error::invalid(format!("the link {} cannot be read", next.display())).caused_by(error)
            })?;
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            push_components(&mut pending, &target);
            continue;
        }
        real = next;
        if pending.is_empty() {
            check_file(&real, &metadata, user)?;
        } else {
            check_folder(&real, user, pending.len() == 1)?;
        }
    }
    Ok(Some((real, links)))
}

/// Puts the components of a path in front of the pending ones.
fn push_components(pending: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => pending.push_front(name.to_owned()),
            Component::ParentDir => pending.push_front("..".into()),
            _ => {}
        }
    }
}
