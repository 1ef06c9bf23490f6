//! A copy of a store in one file, taken while others write, and read back before it is shown.

use std::fs;
use std::path::{Path, PathBuf};

use super::staging_dir::{Aside, exists, refuse_log};
use super::{Held, Tell, copy, integrity};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{beside, folder_of};

/// Copies a store to a file.
///
/// # Errors
/// Where the file is there already and not to be replaced, cannot be written, or is not whole when it is
/// read back: then there is no file, or the old one.
pub fn backup(store: &Path, target: &Path, replace: bool, clock: &Clock, tell: Tell<'_>) -> Result<Held> {
    refuse_target(store, target, replace)?;
    let aside = Aside::beside(target)?;
    let file = aside.file(COPY);
    let counted = copy::snapshot(store, &file, tell)?;
    let held = integrity::check(&file, clock, tell).map_err(|error| {
        Error::new(error.code, format!("the backup was not kept, for what is in it is not whole: {error}"))
    })?;
    if (held.tasks, held.receipts) != counted {
        return Err(Error::new(
            Code::Internal,
            format!(
                "the backup was not kept, for it has {} tasks and {} receipts where the store had {} and {}",
                held.tasks, held.receipts, counted.0, counted.1
            ),
        ));
    }
    aside.put(COPY, target, replace)?;
    Ok(held)
}

/// What a copy is called while it is aside.
pub(super) const COPY: &str = "tasktally.db";

/// Refuses a target that is the store or a part of it, a folder, or a file that is to stay.
pub(super) fn refuse_target(store: &Path, target: &Path, replace: bool) -> Result<()> {
    let refused =
        |why: &str| Err(Error::invalid(format!("FILE: {} {why}; name another file", target.display())));
    // By their names, too: a log is not always there.
    let is_part = |ending: &&str| {
        let part = beside(store, ending);
        place(&part) == place(target) || is_same(&part, target)
    };
    if ["", "-wal", "-shm", "-journal", "-turn"].iter().any(is_part) {
        return refused("is the store itself or a part of it");
    }
    let Ok(there) = fs::metadata(target) else { return refuse_log(target) };
    if there.is_dir() {
        return refused("is a folder");
    }
    if !there.is_file() {
        return refused("is no regular file");
    }
    refuse_log(target)?;
    if replace { Ok(()) } else { Err(exists(target)) }
}

/// Where a file is or would be.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder_of(path)).ok()?;
    Some(folder.join(path.file_name()?))
}

/// Whether two paths lead to one file.
#[cfg(unix)]
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    file(one).is_some_and(|one| file(other) == Some(one))
}

/// Whether two paths lead to one file.
#[cfg(not(unix))]
fn is_same(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}
