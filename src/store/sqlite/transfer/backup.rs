//! Backup: a consistent copy of a store in one file, taken while other processes write.

use std::fs;
use std::path::{Path, PathBuf};

use super::staging_dir::{COPY, StagingDir, already_exists, refuse_foreign_wal};
use super::{ReportProgress, StoreContents, copy, integrity};
use crate::clock::Clock;
use crate::disk_space::check_space;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::files::{beside, folder_of};

/// Copies a store to a file.
///
/// # Errors
/// If the file exists and `replace` is false, if it cannot be written, or if the copy does not pass the integrity check.
/// In each case, an existing file stays as it was.
pub fn backup(
    store: &Path,
    target: &Path,
    replace: bool,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<StoreContents> {
    check_target(store, target, replace)?;
    let staging = StagingDir::beside(target)?;
    check_space(&folder_of(target), file_bytes(store), "the backup")?;
    let file = staging.file(COPY);
    let counted = copy::snapshot(store, &file, report)?;
    let contents = integrity::check(&file, clock, report).map_err(|error| {
        Error::new(error.code, format!("no backup was written: the copy fails the integrity check: {error}"))
    })?;
    if (contents.tasks, contents.receipts) != counted {
        return Err(Error::new(
            Code::Internal,
            format!(
                "no backup was written: the copy has {} tasks and {} receipts, the store has {} and {}",
                contents.tasks, contents.receipts, counted.0, counted.1
            ),
        ));
    }
    staging.publish(COPY, target, replace)?;
    Ok(contents)
}

/// The size of a store with its WAL.
fn file_bytes(store: &Path) -> u64 {
    [store.to_owned(), beside(store, "-wal")]
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|file| file.len())
        .sum()
}

/// Refuses a target that is the store or one of its files, a directory, or an existing file that is not to be replaced.
pub(super) fn check_target(store: &Path, target: &Path, replace: bool) -> Result<()> {
    // Compared by name as well as by inode, because the WAL may not exist at the moment.
    let is_part = |ending: &&str| {
        let part = beside(store, ending);
        resolve(&part) == resolve(target) || is_same_file(&part, target)
    };
    if ["", "-wal", "-shm", "-journal", "-lock", "-bulk-lock"].iter().any(is_part) {
        return Err(refused(target, "is the store itself or a part of it"));
    }
    check_file(target, replace)
}

fn refused(target: &Path, reason: &str) -> Error {
    Error::invalid(format!("FILE: {} {reason}; name another file", target.display()))
}

/// Refuses a target that is a directory, or an existing file that is not to be replaced.
pub(super) fn check_file(target: &Path, replace: bool) -> Result<()> {
    let Ok(existing) = fs::metadata(target) else { return refuse_foreign_wal(target) };
    if existing.is_dir() {
        return Err(refused(target, "is a folder"));
    }
    if !existing.is_file() {
        return Err(refused(target, "is no regular file"));
    }
    refuse_foreign_wal(target)?;
    if replace { Ok(()) } else { Err(already_exists(target)) }
}

/// The absolute path of a file that may not exist, with its directory's symbolic links resolved.
fn resolve(path: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder_of(path)).ok()?;
    Some(folder.join(path.file_name()?))
}

/// Whether two paths lead to the same file.
#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    file(one).is_some_and(|one| file(other) == Some(one))
}

/// Whether two paths lead to the same file.
#[cfg(not(unix))]
fn is_same_file(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}
