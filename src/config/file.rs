//! Where the configuration lies, and whether it can be trusted to be the operator's alone.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use etcetera::BaseStrategy as _;
use rustix::fs::{Mode, OFlags};

use super::reader::Text;
use crate::error::{Code, Error, Result};

/// The mode bit of folders that everybody shares, as `/tmp`: only its owner may move a file away.
const STICKY: u32 = 0o1000;
/// The largest configuration that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// The most links that are followed.
const MAX_LINKS: usize = 40;
/// What is found at the top of a project: its files are what agents write to.
const PROJECT: [&str; 5] = [".git", ".hg", ".jj", ".svn", ".bzr"];

/// Who said where the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The variable `TASKTALLY_CONFIG`.
    Variable,
    /// The user's configuration folder.
    Folder,
}

impl Origin {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Variable => "TASKTALLY_CONFIG",
            Origin::Folder => "the user's configuration folder",
        }
    }
}

/// Where the file is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, which need not be there.
    pub path: PathBuf,
    /// Who said so.
    pub from: Origin,
}

impl Location {
    /// `TASKTALLY_CONFIG`, else `tasktally/config.toml` in the user's configuration folder.
    ///
    /// # Errors
    /// Where there is neither the variable nor a home folder.
    pub fn find() -> Result<Self> {
        let (path, from) = match std::env::var_os("TASKTALLY_CONFIG").filter(|value| !value.is_empty()) {
            Some(path) => (PathBuf::from(path), Origin::Variable),
            None => {
                let folders = etcetera::choose_base_strategy().map_err(|error| {
                    Error::invalid("config: there is no home folder to look for config.toml in; name the file with TASKTALLY_CONFIG")
                        .caused_by(error)
                })?;
                (folders.config_dir().join("tasktally").join("config.toml"), Origin::Folder)
            }
        };
        let path = std::path::absolute(&path).map_err(|error| {
            Error::invalid(format!("config: {} is no path", path.display())).caused_by(error)
        })?;
        Ok(Location { path, from })
    }
}

/// The user that this process runs as, as far as files are concerned.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The file's text, once all that decides over it is the operator's alone, and all that leads to it: the path
/// as it was given, every link on the way, the file itself. None where there is no file.
///
/// `closed` are folders that agents write to: a file beneath one of them is refused.
///
/// # Errors
/// What is not safe, why, and what to do.
pub(super) fn read(path: &Path, closed: &[PathBuf]) -> Result<Option<(Text, Vec<PathBuf>)>> {
    let Some((real, links)) = walk(path, user())? else { return Ok(None) };
    let way: Vec<PathBuf> = [path.to_owned()].into_iter().chain(links).chain([real.clone()]).collect();
    outside_projects(&way)?;
    beneath(&way, closed, "a folder that agents write to")?;
    let failed = |error: std::io::Error| {
        Error::invalid(format!("{} cannot be read; make it readable for its owner", path.display()))
            .caused_by(error)
    };
    // Not waited for, should it have become a FIFO; not followed, should it have become a link.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        File::from(rustix::fs::open(&real, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
    // Again, of what was opened: it could have been exchanged.
    let metadata = file.metadata().map_err(failed)?;
    check_file(&real, &metadata, user())?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Error::invalid(format!("{}: this is not UTF-8", path.display())),
        _ => failed(error),
    })?;
    if text.len() as u64 > MAX_FILE {
        return Err(Error::new(
            Code::TooLarge,
            format!("{} has more than {MAX_FILE} bytes; that is no list of workers", path.display()),
        ));
    }
    Ok(Some((Text { path: path.to_owned(), text }, way)))
}

/// Follows the path by hand, folder by folder and link by link, and holds all that it meets to `user`:
/// whoever can change one of them can change what is read. Gives the real path and the links.
fn walk(path: &Path, user: u32) -> Result<Option<(PathBuf, Vec<PathBuf>)>> {
    let mut real = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = VecDeque::new();
    let mut links = Vec::new();
    let put = |ahead: &mut VecDeque<OsString>, path: &Path| {
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => ahead.push_front(name.to_owned()),
                Component::ParentDir => ahead.push_front("..".into()),
                _ => {}
            }
        }
    };
    put(&mut ahead, path);
    check_folder(&real, user, ahead.len() == 1)?;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        let metadata = match std::fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(
                    Error::invalid(format!("{} cannot be looked at", next.display())).caused_by(error)
                );
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
                Error::invalid(format!("{} cannot be read", next.display())).caused_by(error)
            })?;
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            put(&mut ahead, &target);
            continue;
        }
        real = next;
        if ahead.is_empty() {
            check_file(&real, &metadata, user)?;
        } else {
            check_folder(&real, user, ahead.len() == 1)?;
        }
    }
    Ok(Some((real, links)))
}

/// A folder on the way. One that everybody may write to but whose sticky bit keeps them from each other's
/// files (`/tmp`) will do, unless it holds the file itself.
fn check_folder(folder: &Path, user: u32, last: bool) -> Result<()> {
    let metadata = std::fs::metadata(folder).map_err(|error| {
        Error::invalid(format!("{} cannot be looked at", folder.display())).caused_by(error)
    })?;
    check_owner(folder, &metadata, user)?;
    let sticky = metadata.mode() & STICKY != 0;
    if metadata.mode() & 0o022 != 0 && (last || !sticky) {
        return Err(writable("folder ", folder, &metadata));
    }
    Ok(())
}

fn check_file(file: &Path, metadata: &Metadata, user: u32) -> Result<()> {
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder" } else { "no regular file" };
        return Err(Error::invalid(format!(
            "{} is {what}, so no worker is started from it; put a file there, or name one with TASKTALLY_CONFIG",
            file.display()
        )));
    }
    check_owner(file, metadata, user)?;
    if metadata.mode() & 0o022 != 0 {
        return Err(writable("", file, metadata));
    }
    Ok(())
}

fn check_owner(path: &Path, metadata: &Metadata, user: u32) -> Result<()> {
    let owner = metadata.uid();
    if owner == user || owner == 0 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} belongs to user {owner}, not to you (user {user}) or root, who could have a worker run anything; chown it, or name another file with TASKTALLY_CONFIG",
        path.display()
    )))
}

fn writable(what: &str, path: &Path, metadata: &Metadata) -> Error {
    let who = if metadata.mode() & 0o002 != 0 { "everybody" } else { "its group" };
    // Taking a folder away from everybody who shares it would be bad advice.
    let advice = if metadata.mode() & STICKY != 0 {
        "keep it in a folder of your own, as ~/.config/tasktally".to_owned()
    } else {
        format!("chmod go-w {}", path.display())
    };
    Error::invalid(format!(
        "{what}{} can be written to by {who} (mode {:04o}), who could have a worker run anything; {advice}",
        path.display(),
        metadata.mode() & 0o7777
    ))
}

/// Agents write to projects and to the folders that they were let into.
fn outside_projects(way: &[PathBuf]) -> Result<()> {
    for file in way {
        for folder in file.ancestors().skip(1) {
            if let Some(mark) = PROJECT.iter().find(|mark| folder.join(mark).symlink_metadata().is_ok()) {
                return Err(inside(file, &format!("the project {} (it holds {mark})", folder.display())));
            }
        }
    }
    Ok(())
}

/// Refuses a file where it, or a link that leads to it, lies beneath one of some folders.
pub(super) fn beneath(way: &[PathBuf], folders: &[PathBuf], what: &str) -> Result<()> {
    for folder in folders {
        let real_folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
        for file in way {
            if file.starts_with(folder) || file.starts_with(&real_folder) {
                return Err(inside(file, &format!("{} ({what})", folder.display())));
            }
        }
    }
    Ok(())
}

fn inside(file: &Path, whose: &str) -> Error {
    Error::invalid(format!(
        "{} lies inside {whose}, so an agent could write to it and choose what is run; move it out, or name another file with TASKTALLY_CONFIG",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_user_owns_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = folder.path().metadata().unwrap();
        assert!(check_owner(folder.path(), &metadata, metadata.uid()).is_ok());
        let refusal = check_owner(folder.path(), &metadata, metadata.uid() + 1);
        // Root's own files will do for anybody.
        assert_eq!(refusal.is_ok(), metadata.uid() == 0);
    }

    #[test]
    fn what_lies_beneath_a_folder_that_agents_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let check = |closed: &Path, file: &str| {
            let real_file = std::fs::canonicalize(&real).unwrap().join(file);
            beneath(&[link.join(file), real_file], &[closed.to_owned()], "a folder that agents write to")
                .map_err(|error| error.to_string())
        };
        for closed in [&real, &link, folder.path()] {
            let refusal = check(closed, "config.toml").unwrap_err();
            assert!(refusal.contains("a folder that agents write to"), "{refusal}");
        }
        assert_eq!(check(&folder.path().join("other"), "config.toml"), Ok(()));
        // Part of a name is not a folder above.
        assert_eq!(check(&folder.path().join("rea"), "config.toml"), Ok(()));
    }
}
