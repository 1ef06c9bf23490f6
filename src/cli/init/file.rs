//! A client's file, read as it is and replaced as a whole, never half written.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Code, Error, Result};

/// How many backups may stand beside a file before another is refused.
const MAX_BACKUPS: u32 = 1000;

/// A client's file as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    permissions: Permissions,
}

/// The file's text; `None` when there is no file.
///
/// # Errors
/// What isn't a regular file (a link, a folder, a pipe), isn't UTF-8 or can't be read.
pub(super) fn read(path: &Path) -> Result<Option<Found>> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, error)),
        Ok(kind) => kind,
    };
    if !kind.is_file() {
        let what = if kind.is_symlink() { "a symbolic link" } else { "not a regular file" };
        return Err(Error::new(
            Code::Conflict,
            format!(
                "{} was left as it is: it is {what}. Add the configuration above by hand.",
                path.display()
            ),
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| failed("read", path, error))?;
    Ok(Some(Found { text, permissions: kind.permissions() }))
}

/// Replaces the file in one step, what was there kept in the backup whose path it answers.
///
/// # Errors
/// A file or folder that can't be written; the client's file is then as it was.
pub(super) fn write(path: &Path, before: Option<&Found>, text: &str) -> Result<Option<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed("make", folder, error))?;
    let staged = stage(folder, text, before).map_err(|error| failed("write", path, error))?;
    let backup = before.map(|before| back_up(path, folder, before)).transpose()?;
    let placed = match before {
        Some(_) => staged.persist(path),
        None => staged.persist_noclobber(path),
    };
    placed.map_err(|error| failed("write", path, error.error))?;
    Ok(backup)
}

/// The text in a file of its own on the same disk. A new file gets the modes that any program's
/// new file would have; one that was there keeps its own.
fn stage(folder: &Path, text: &str, before: Option<&Found>) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tasktally-init-");
    let mut staged = match before {
        Some(before) => {
            let staged = builder.tempfile_in(folder)?;
            staged.as_file().set_permissions(before.permissions.clone())?;
            staged
        }
        None => {
            let (file, path) = builder.make_in(folder, |path| File::create_new(path))?.into_parts();
            NamedTempFile::from_parts(file, path)
        }
    };
    staged.write_all(text.as_bytes())?;
    staged.as_file().sync_all()?;
    Ok(staged)
}

/// Keeps what was there as `<file>.bak`, or `<file>.bak.1` and so on where that is taken.
fn back_up(path: &Path, folder: &Path, before: &Found) -> Result<PathBuf> {
    let mut staged =
        stage(folder, &before.text, Some(before)).map_err(|error| failed("write", path, error))?;
    for number in 0..MAX_BACKUPS {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 { ".bak".to_owned() } else { format!(".bak.{number}") });
        let backup = PathBuf::from(name);
        match staged.persist_noclobber(&backup) {
            Ok(_) => return Ok(backup),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => staged = error.file,
            Err(error) => return Err(failed("write", &backup, error.error)),
        }
    }
    Err(Error::new(
        Code::TooLarge,
        format!("{} has {MAX_BACKUPS} backups beside it already; remove some.", path.display()),
    ))
}

fn failed(verb: &str, path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("cannot {verb} {}", path.display()), error)
}
