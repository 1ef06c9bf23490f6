//! Who may read and write the store: only its owner should.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, Mode, OFlags};

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use crate::error::Result;
use crate::terminal::shell_path;

/// The mode bit of a folder, such as `/tmp`, in which users cannot replace each other's files.
pub(super) const STICKY: u32 = 0o1000;

/// The suffixes of the files of the write lock and the bulk lock. Only these files beside the store may be opened and
/// closed: closing any other would drop SQLite's locks on it.
const LOCKS: [&str; 2] = ["-lock", "-bulk-lock"];

/// Checks the store, the files beside it, and its folder.
pub(super) fn check_permissions(context: &DoctorContext) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let folder = context.folder();
    if let Ok(metadata) = folder.metadata() {
        findings.extend(check_owner(&folder, &metadata));
        findings.extend(check_shared_folder(&folder, metadata.mode()));
        let access = rustix::fs::access(&folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
        findings.extend(check_access(&folder, access, "u+rwx"));
    }
    for suffix in ["", "-wal", "-shm"].into_iter().chain(LOCKS) {
        let file = context.beside(suffix);
        let Ok(metadata) = file.metadata() else { continue };
        findings.extend(check_owner(&file, &metadata));
        findings.extend(check_shared_file(&file, metadata.mode()));
        if metadata.is_file() {
            let mut access = rustix::fs::access(&file, Access::READ_OK | Access::WRITE_OK);
            if access.is_ok() && LOCKS.contains(&suffix) {
                access = open_for_writing(&file);
            }
            findings.extend(check_access(&file, access, "u+rw"));
        }
    }
    Ok(or_ok(findings, "only you can change the store and its folder"))
}

/// Whether others could replace the store's file, because they may write to its folder.
fn check_shared_folder(folder: &Path, mode: u32) -> Option<Finding> {
    if mode & 0o022 == 0 {
        return None;
    }
    let what = format!("{} can be written to by others (mode {:04o})", folder.display(), mode & 0o7777);
    Some(if mode & STICKY == 0 {
        Finding::problem(format!("{what}: they can replace the store's file"))
            .with_fix(format!("chmod go-w {}", shell_path(folder)))
    } else {
        // A folder such as /tmp is for everyone, so the user cannot restrict it.
        Finding::warning(format!("{what}: keep the store in a folder of its own"))
    })
}

/// Whether others can read or change a file.
fn check_shared_file(file: &Path, mode: u32) -> Option<Finding> {
    let (name, shown) = (file.display(), mode & 0o7777);
    let fix = format!("chmod go= {}", shell_path(file));
    if mode & 0o022 != 0 {
        Some(Finding::problem(format!("{name} can be changed by others (mode {shown:04o})")).with_fix(fix))
    } else if mode & 0o044 != 0 {
        Some(Finding::warning(format!("{name} can be read by others (mode {shown:04o})")).with_fix(fix))
    } else {
        None
    }
}

fn check_owner(path: &Path, metadata: &Metadata) -> Option<Finding> {
    let user = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    // Folders such as /tmp belong to root.
    if owner == user || (owner == 0 && metadata.is_dir()) {
        return None;
    }
    let message = format!("{} belongs to user {owner}, not to you (user {user})", path.display());
    Some(Finding::problem(message).with_fix(format!("sudo chown {user} {}", shell_path(path))))
}

/// The command that lets this user reach a path, if a folder above it denies that.
pub(super) fn command_to_open_folder(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let denies_access = |folder: &&Path| {
        let is_folder = folder.metadata().is_ok_and(|metadata| metadata.is_dir());
        is_folder && rustix::fs::access(*folder, Access::EXEC_OK) == Err(rustix::io::Errno::ACCESS)
    };
    let folder = path.ancestors().skip(1).find(denies_access)?;
    Some(format!("chmod u+rwx {}", shell_path(folder)))
}

/// Opens a file for writing: only this shows that the kernel made the disk read-only after an error.
fn open_for_writing(path: &Path) -> rustix::io::Result<()> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

fn check_access(path: &Path, access: rustix::io::Result<()>, bits: &str) -> Option<Finding> {
    match access {
        Ok(()) => None,
        Err(rustix::io::Errno::ROFS) => Some(
            Finding::problem(format!("{} is on a read-only disk", path.display()))
                .with_fix(format!("findmnt --target {}", shell_path(path))),
        ),
        Err(error) => Some(
            Finding::problem(format!("{} cannot be read and written: {error}", path.display()))
                .with_fix(format!("chmod {bits} {}", shell_path(path))),
        ),
    }
}
