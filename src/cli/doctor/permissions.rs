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
    // The check of the file reports a folder that cannot be created.
    if findings.is_empty() && !folder.exists() {
        return Ok(Vec::new());
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
            .with_fix(as_owner(folder, &format!("chmod go-w {}", shell_path(folder))))
    } else {
        // A folder such as /tmp is for everyone, so the user cannot restrict it.
        Finding::warning(format!("{what}: keep the store in a folder of its own"))
    })
}

/// Whether others can read or change a file.
fn check_shared_file(file: &Path, mode: u32) -> Option<Finding> {
    let (name, shown) = (file.display(), mode & 0o7777);
    let fix = as_owner(file, &format!("chmod go= {}", shell_path(file)));
    if mode & 0o022 != 0 {
        Some(Finding::problem(format!("{name} can be changed by others (mode {shown:04o})")).with_fix(fix))
    } else if mode & 0o044 != 0 {
        Some(Finding::warning(format!("{name} can be read by others (mode {shown:04o})")).with_fix(fix))
    } else {
        None
    }
}

/// A command that only the owner of a path or root may run, for this user.
fn as_owner(path: &Path, command: &str) -> String {
    let user = rustix::process::geteuid().as_raw();
    let may = user == 0 || path.metadata().is_ok_and(|metadata| metadata.uid() == user);
    if may { command.to_owned() } else { format!("sudo {command}") }
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
    Some(command_to_grant(folder, rustix::io::Errno::ACCESS, "u+rwx"))
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
                .with_fix(command_to_grant(path, error, bits)),
        ),
    }
}

/// The command that lets this user use a path, after a call on it failed: `chmod` helps only its owner, and nothing
/// but another mount helps on a read-only disk.
pub(super) fn command_to_grant(path: &Path, error: rustix::io::Errno, bits: &str) -> String {
    let user = rustix::process::geteuid().as_raw();
    let shown = shell_path(path);
    match path.metadata() {
        _ if error == rustix::io::Errno::ROFS => format!("findmnt --target {shown}"),
        Ok(metadata) if metadata.uid() == user || user == 0 => format!("chmod {bits} {shown}"),
        // Only its owner or root can decide who may use it.
        Ok(_) | Err(_) => format!("ls -ld {shown}"),
    }
}
