//! Which process holds the write lock, for the message of a write that waited too long. Acquiring the lock does not
//! record its holder: that would cost every write something.

use std::path::Path;

/// The process that holds the write lock.
pub(super) struct LockHolder {
    pub(super) pid: i32,
    pub(super) name: String,
    /// By SIGSTOP or a debugger.
    pub(super) is_stopped: bool,
}

/// Finds the holder in `/proc/locks`.
#[cfg(target_os = "linux")]
pub(super) fn lock_holder(lock: &Path) -> Option<LockHolder> {
    use std::os::unix::fs::MetadataExt as _;

    use crate::proc_fs::{flock_holder, process_stat};

    let pid = flock_holder(std::fs::metadata(lock).ok()?.ino())?;
    let stat = process_stat(pid)?;
    Some(LockHolder { pid, name: stat.name, is_stopped: matches!(stat.state, 'T' | 't') })
}

/// Other systems have no such list.
#[cfg(not(target_os = "linux"))]
pub(super) fn lock_holder(_: &Path) -> Option<LockHolder> {
    None
}
