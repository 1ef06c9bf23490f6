//! Which process holds the write lock, for the message of a write that waited too long. Acquiring the lock does not
//! record its holder: that would cost every write something.

use std::path::Path;

#[cfg(target_os = "linux")]
use crate::error::{Code, Error};

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

/// The refusal of a store that another program has locked against readers and writers. `pid` is 0 if unknown: the
/// program may run in a container, or as another user.
#[cfg(target_os = "linux")]
pub(in crate::store::sqlite) fn exclusive_lock_error(store: &Path, pid: i32) -> Error {
    let name = crate::proc_fs::process_stat(pid).map(|stat| stat.name);
    let program = match name {
        Some(name) => format!("process {pid} ({name}), which is not tasktally,"),
        None => "another program".to_owned(),
    };
    Error::new(
        Code::Busy,
        format!(
            "store {}: {program} has locked it exclusively, so it can be neither read nor written. Let that program finish or end it, then try again",
            store.display()
        ),
    )
}

/// Other systems have no such list.
#[cfg(not(target_os = "linux"))]
pub(super) fn lock_holder(_: &Path) -> Option<LockHolder> {
    None
}
