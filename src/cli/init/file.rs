//! Reading a client's file and replacing it atomically, with a backup.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Code, Error, Result};

/// The most backups beside one file.
const MAX_BACKUPS: u32 = 1000;

/// What some editors write at the start of a UTF-8 file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A client's file before the change.
#[derive(Debug)]
pub(super) struct OriginalFile {
    /// The text without a byte order mark.
    pub(super) text: String,
    has_byte_order_mark: bool,
    permissions: Permissions,
}

/// Reads the file; `None` if there is no file.
///
/// # Errors
/// If it is not a regular file (a link, a folder, a pipe), is not UTF-8 or cannot be read.
pub(super) fn read(path: &Path) -> Result<Option<OriginalFile>> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, error)),
        Ok(kind) => kind,
    };
    if !kind.is_file() {
        let what = if kind.is_symlink() { "a symbolic link" } else { "not a regular file" };
        return Err(Error::new(
            Code::Conflict,
            format!("{} was not changed: it is {what}. Change the file by hand", path.display()),
        ));
    }
    let mut text = fs::read_to_string(path).map_err(|error| failed("read", path, error))?;
    let has_byte_order_mark = text.starts_with(BYTE_ORDER_MARK);
    if has_byte_order_mark {
        text.remove(0);
    }
    Ok(Some(OriginalFile { text, has_byte_order_mark, permissions: kind.permissions() }))
}

/// Refuses a folder that is a symbolic link: a repository can ship one that leads to files of the user.
///
/// # Errors
/// If it is a link.
pub(super) fn refuse_link(folder: &Path, file: &Path) -> Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(kind) if kind.is_symlink() => Err(Error::new(
            Code::Conflict,
            format!(
                "{} was not changed: its folder {} is a symbolic link. Replace the link with a folder, or change the file by hand",
                file.display(),
                folder.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// Replaces the file in one step, and returns the path of the backup.
///
/// # Errors
/// If a file or folder cannot be written. The client's file is then unchanged.
pub(super) fn write(path: &Path, before: Option<&OriginalFile>, text: &str) -> Result<Option<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed("create", folder, error))?;
    let staged = stage(folder, text, before).map_err(|error| failed("write", path, error))?;
    let backup = before.map(|before| back_up(path, folder, before)).transpose()?;
    let placed = match before {
        Some(_) => staged.persist(path),
        None => staged.persist_noclobber(path),
    };
    placed.map_err(|error| failed("write", path, error.error))?;
    Ok(backup)
}

/// Writes the text to a temporary file in the same folder. A replaced file keeps its permissions; a new file
/// gets the default ones.
fn stage(folder: &Path, text: &str, before: Option<&OriginalFile>) -> std::io::Result<NamedTempFile> {
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
    if before.is_some_and(|before| before.has_byte_order_mark) {
        staged.write_all(BYTE_ORDER_MARK.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
    staged.write_all(text.as_bytes())?;
    staged.as_file().sync_all()?;
    Ok(staged)
}

/// Copies the original to `<file>.bak`, or `<file>.bak.1` and so on if that exists.
fn back_up(path: &Path, folder: &Path, before: &OriginalFile) -> Result<PathBuf> {
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
        format!("{} has {MAX_BACKUPS} backups beside it, which is the most; remove some", path.display()),
    ))
}

fn failed(verb: &str, path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("cannot {verb} {}", path.display()), error)
}
