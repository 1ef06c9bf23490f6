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

    use procfs::process::{ProcState, Process};
    use procfs::{Current as _, LockType, Locks};

    let inode = std::fs::metadata(lock).ok()?.ino();
    let is_write_lock =
        |lock: &procfs::Lock| lock.inode == inode && matches!(lock.lock_type, LockType::FLock);
    // The kernel lists the holder before the processes that wait.
    let pid = Locks::current().ok()?.0.into_iter().find(is_write_lock)?.pid?;
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    let is_stopped = matches!(stat.state(), Ok(ProcState::Stopped | ProcState::Tracing));
    Some(LockHolder { pid, name: stat.comm, is_stopped })
}

/// Other systems have no such list.
#[cfg(not(target_os = "linux"))]
pub(super) fn lock_holder(_: &Path) -> Option<LockHolder> {
    None
}
