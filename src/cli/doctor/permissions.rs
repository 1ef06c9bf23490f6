//! Who may read and write the store: its owner alone.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, Mode, OFlags};

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use crate::cli::shell::path_word;
use crate::error::Result;

/// Keeps people from each other's files in a folder that everybody may write to.
pub(super) const STICKY: u32 = 0o1000;

/// What writers queue on: the one file that can be opened and closed without dropping a lock of SQLite's.
const QUEUE: &str = "-turn";

/// Looks at the store, what lies beside it, and its folder.
pub(super) fn permissions(context: &DoctorContext) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let folder = context.folder();
    if let Ok(metadata) = folder.metadata() {
        owner(&folder, &metadata, &mut found);
        if let Some(finding) = shared_folder(&folder, metadata.mode()) {
            found.push(finding);
        }
        let access = rustix::fs::access(&folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
        writable(&folder, access, "u+rwx", &mut found);
    }
    for ending in ["", "-wal", "-shm", QUEUE] {
        let file = context.beside(ending);
        let Ok(metadata) = file.metadata() else { continue };
        owner(&file, &metadata, &mut found);
        found.extend(shared_file(&file, metadata.mode()));
        if metadata.is_file() {
            let mut access = rustix::fs::access(&file, Access::READ_OK | Access::WRITE_OK);
            if access.is_ok() && ending == QUEUE {
                access = open_to_write(&file);
            }
            writable(&file, access, "u+rw", &mut found);
        }
    }
    Ok(or_ok(found, "the store and its folder are yours alone to change"))
}

/// A folder in which others can put another file in the store's place.
fn shared_folder(folder: &Path, mode: u32) -> Option<Finding> {
    if mode & 0o022 == 0 {
        return None;
    }
    let what = format!("{} can be written to by others (mode {:04o})", folder.display(), mode & 0o7777);
    let mend = format!("chmod go-w {}", path_word(folder));
    Some(if mode & STICKY == 0 {
        Finding::problem(format!("{what}: they can put another file in the store's place")).mend(mend)
    } else {
        // A folder such as /tmp is not the user's to close.
        Finding::warning(format!("{what}: a store is better kept in a folder of its own"))
    })
}

/// A file that others can read or change.
fn shared_file(file: &Path, mode: u32) -> Option<Finding> {
    let (name, shown) = (file.display(), mode & 0o7777);
    let mend = format!("chmod go= {}", path_word(file));
    if mode & 0o022 != 0 {
        Some(Finding::problem(format!("{name} can be changed by others (mode {shown:04o})")).mend(mend))
    } else if mode & 0o044 != 0 {
        Some(Finding::warning(format!("{name} can be read by others (mode {shown:04o})")).mend(mend))
    } else {
        None
    }
}

fn owner(path: &Path, metadata: &Metadata, found: &mut Vec<Finding>) {
    let user = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    // Such a folder as /tmp is root's.
    if owner != user && !(owner == 0 && metadata.is_dir()) {
        found.push(
            Finding::problem(format!("{} belongs to user {owner}, not to you (user {user})", path.display()))
                .mend(format!("sudo chown {user} {}", path_word(path))),
        );
    }
}

/// The command that lets this user reach a path that a folder above it keeps closed; nothing where none does.
pub(super) fn let_in(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let closed = |folder: &&Path| {
        let is_folder = folder.metadata().is_ok_and(|metadata| metadata.is_dir());
        is_folder && rustix::fs::access(*folder, Access::EXEC_OK) == Err(rustix::io::Errno::ACCESS)
    };
    let folder = path.ancestors().skip(1).find(closed)?;
    Some(format!("chmod u+rwx {}", path_word(folder)))
}

/// A disk that became read-only by an error of its own says so to nobody before.
fn open_to_write(path: &Path) -> rustix::io::Result<()> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

fn writable(path: &Path, access: rustix::io::Result<()>, bits: &str, found: &mut Vec<Finding>) {
    match access {
        Ok(()) => {}
        Err(rustix::io::Errno::ROFS) => found.push(
            Finding::problem(format!("{} lies on a disk that is read-only", path.display()))
                .mend(format!("findmnt --target {}", path_word(path))),
        ),
        Err(error) => found.push(
            Finding::problem(format!("{} cannot be read and written: {error}", path.display()))
                .mend(format!("chmod {bits} {}", path_word(path))),
        ),
    }
}
