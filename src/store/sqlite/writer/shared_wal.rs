//! Checks that all processes that have a store's file open use the same WAL.
//!
//! SQLite finds the WAL by the name of the store. If a file has two names (a second hard link, or a mount of the file
//! alone, such as `docker -v d.db:/data/d.db`), each name has a WAL of its own. Processes that use different names
//! overwrite each other's acknowledged writes, and a WAL that is removed with its folder takes its writes along.
//!
//! - A second hard link, and a path at which the file alone is mounted, are refused when the store is opened.
//! - A process that uses the other name sees neither. So each process holds a shared lock on one byte of the file, far
//!   beyond its end. Folder and name of the WAL determine the byte. A lock on another byte means another WAL.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Code, Error, Result};

/// Refuses a file that has several names, or that is itself a mount point.
///
/// # Errors
/// `invalid_argument` with the remedy.
pub(super) fn refuse_other_names(path: &Path, metadata: &Metadata) -> Result<()> {
    if !metadata.is_file() {
        return Ok(());
    }
    let shown = path.display();
    if metadata.nlink() > 1 {
        return Err(Error::invalid(format!(
            "store {shown}: the file has {} names (hard links). Each name has a write-ahead log of its own, so what is written under one name is lost under another. Nothing was changed. Remove the other names (find / -xdev -samefile {shown} lists them), or name a copy with --db",
            metadata.nlink()
        )));
    }
    if is_mount_point(path) {
        return Err(Error::invalid(format!(
            "store {shown}: the file alone is mounted here (docker -v FILE:FILE, a bind mount). Its write-ahead log {shown}-wal is then on another disk than the store, so writes would be lost. Nothing was changed. Mount the folder that contains the store, or name another store with --db"
        )));
    }
    Ok(())
}

/// Whether something is mounted at this very path.
#[cfg(target_os = "linux")]
pub(in crate::store::sqlite) fn is_mount_point(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

    let known = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .ok()
        .filter(|found| found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT));
    match known {
        Some(found) => found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        // Linux before 5.8, or a sandbox that does not allow the call.
        None => std::fs::canonicalize(path).is_ok_and(|path| crate::proc_fs::is_mount_point(&path)),
    }
}

/// Other systems do not mount files.
#[cfg(not(target_os = "linux"))]
pub(in crate::store::sqlite) fn is_mount_point(_: &Path) -> bool {
    false
}

/// The lock on a store's file that names the WAL in use. It ends when the value is dropped, which closes a descriptor
/// of the file: the caller has closed all connections by then.
#[derive(Debug)]
pub(super) struct WalNameLock {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only held open"))]
    file: File,
}

impl WalNameLock {
    /// Locks the file at a path. `None` if it is no regular file or cannot be opened: reading its header reports that.
    ///
    /// # Errors
    /// `conflict` if a process has the file open with another WAL.
    pub(super) fn acquire(path: &Path, metadata: &Metadata) -> Result<Option<Self>> {
        if !metadata.is_file() {
            return Ok(None);
        }
        let Ok(file) = File::open(path) else { return Ok(None) };
        let lock = WalNameLock { file };
        #[cfg(target_os = "linux")]
        if lock.finds_another_wal(path) {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "store {0}: another process has the same file open under another name and with another write-ahead log (a mount of the file alone, a hard link, or a file that was renamed), so writes would be lost. Nothing was changed. End that process (fuser -v {0} names it; it may run in a container), or use the name that it uses; mount folders, not files",
                    path.display()
                ),
            ));
        }
        Ok(Some(lock))
    }
}

#[cfg(target_os = "linux")]
mod byte_locks {
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    use sha2::{Digest as _, Sha256};

    use super::WalNameLock;
    use crate::store::sqlite::files::folder_of;

    /// The first of the bytes that name WALs. A store is never this long: 4 EiB.
    const FIRST: i64 = 1 << 62;
    /// How many such bytes there are.
    const COUNT: i64 = 1 << 40;
    /// The bytes that SQLite locks in a database file, from its `PENDING_BYTE`.
    const SQLITE_FIRST: i64 = 0x4000_0000;
    const SQLITE_COUNT: i64 = 512;

    impl WalNameLock {
        /// Locks the byte of the WAL at this path. Returns whether a process holds a lock on another byte. A file
        /// system without such locks finds none.
        pub(super) fn finds_another_wal(&self, path: &Path) -> bool {
            let own = byte_of(path);
            // First locked, then checked: of two processes that open the file at once, at least one sees the other.
            let lock = range(libc::F_RDLCK, own, 1);
            if let Err(error) = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&lock)) {
                tracing::debug!(%error, "the file system cannot lock a byte of the store");
                return false;
            }
            let is_locked = |start, count| conflict(&self.file, libc::F_WRLCK, start, count).is_some();
            is_locked(FIRST, own - FIRST) || is_locked(own + 1, FIRST + COUNT - own - 1)
        }

        /// The process that has locked the database file against all readers; 0 if its number is unknown.
        pub(crate) fn exclusive_lock_holder(&self) -> Option<i32> {
            conflict(&self.file, libc::F_RDLCK, SQLITE_FIRST, SQLITE_COUNT).map(|lock| lock.l_pid.max(0))
        }
    }

    /// The byte for the WAL of the store at a path.
    fn byte_of(path: &Path) -> i64 {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut hash = Sha256::new();
        // By device and inode: containers mount the same folder at different paths.
        if let Ok(folder) = folder_of(&real).metadata() {
            hash.update(folder.dev().to_le_bytes());
            hash.update(folder.ino().to_le_bytes());
        }
        hash.update(real.file_name().unwrap_or_default().as_bytes());
        let offset = hash.finalize().iter().take(5).fold(0, |number, byte| number << 8 | i64::from(*byte));
        FIRST + offset
    }

    /// A lock of another open file that conflicts with one of this kind on these bytes.
    fn conflict(file: &File, kind: libc::c_int, start: i64, count: i64) -> Option<libc::flock> {
        // A length of 0 would mean everything up to the end.
        if count == 0 {
            return None;
        }
        let mut lock = range(kind, start, count);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).ok()?;
        (lock.l_type != short(libc::F_UNLCK)).then_some(lock)
    }

    fn range(kind: libc::c_int, start: i64, count: i64) -> libc::flock {
        // The kernel requires process number 0 for locks of an open file.
        libc::flock {
            l_type: short(kind),
            l_whence: short(libc::SEEK_SET),
            l_start: start,
            l_len: count,
            l_pid: 0,
        }
    }

    fn short(constant: libc::c_int) -> libc::c_short {
        libc::c_short::try_from(constant).unwrap_or_default()
    }
}
