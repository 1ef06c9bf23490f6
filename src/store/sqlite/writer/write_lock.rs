//! Whose turn it is to write, between processes.
//!
//! SQLite's busy timeout polls, and under load one process of eight can go without a turn for
//! seconds. A lock on a file beside the store makes the kernel keep the queue.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{beside, cannot};

/// How often somebody asks who must not queue without end.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// The file that processes queue on.
pub(in crate::store::sqlite) struct Ticket {
    file: Arc<File>,
    path: PathBuf,
}

/// A turn; dropping it lets the next one in.
pub(in crate::store::sqlite) struct Turn {
    file: Arc<File>,
}

impl Ticket {
    /// Opens the queue of a store.
    pub(in crate::store::sqlite) fn open(store: &Path) -> Result<Self> {
        let path = path_of(store);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| {
            cannot(store, "the file beside it that writers queue on cannot be opened", error)
        })?;
        Ok(Ticket { file: Arc::new(file), path })
    }

    /// Waits for a turn; it ends with the process at the latest.
    pub(in crate::store::sqlite) fn take(&self) -> Result<Turn> {
        self.file.lock().map_err(|error| self.unlockable(error))?;
        Ok(Turn { file: self.file.clone() })
    }

    /// Takes a turn where nobody has it.
    pub(in crate::store::sqlite) fn try_take(&self) -> Result<Option<Turn>> {
        match self.file.try_lock() {
            Ok(()) => Ok(Some(Turn { file: self.file.clone() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.unlockable(error)),
        }
    }

    /// Waits for a turn, but not for ever. Outside of the kernel's queue: for what is rare.
    pub(in crate::store::sqlite) fn take_within(&self, patience: Duration) -> Result<Turn> {
        let asked = Instant::now();
        loop {
            if let Some(turn) = self.try_take()? {
                return Ok(turn);
            }
            if asked.elapsed() >= patience {
                return Err(held_up(&self.path, patience));
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    fn unlockable(&self, error: std::io::Error) -> Error {
        Error::internal(format!("{} cannot be locked", self.path.display()), error)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::error!(%error, "the turn to write could not be given on");
        }
    }
}

/// The file that a store's processes queue on.
pub(in crate::store::sqlite) fn path_of(store: &Path) -> PathBuf {
    beside(store, "-turn")
}

/// The refusal of a write that had no turn for so long, with who has it.
pub(in crate::store::sqlite) fn held_up(turn: &Path, waited: Duration) -> Error {
    let waited = waited.as_secs_f32().ceil();
    let what = format!("nothing was written: the store was not free within {waited} s");
    let message = match holder(turn) {
        Some(Holder { pid, name, is_stopped: true }) => format!(
            "{what}, for process {pid} ({name}) is stopped in the middle of a write. Let it go on (kill -CONT {pid}) or end it (kill -KILL {pid}; what it acknowledged is kept), then try again"
        ),
        Some(Holder { pid, .. }) if pid.unsigned_abs() == std::process::id() => {
            format!("{what}, for this tasktally is at a long write of another request. Try again")
        }
        Some(Holder { pid, name, .. }) => {
            format!(
                "{what}, for process {pid} ({name}) is writing. Try again; if it hangs, end process {pid}"
            )
        }
        None => format!("{what}, for other writes. Try again; if it stays so, look at the disk"),
    };
    Error::new(Code::Busy, message)
}

/// Who has the turn.
struct Holder {
    pid: i32,
    name: String,
    is_stopped: bool,
}

/// Asked only once a write was refused: a turn costs nothing for it.
#[cfg(target_os = "linux")]
fn holder(turn: &Path) -> Option<Holder> {
    use std::os::unix::fs::MetadataExt as _;

    use procfs::process::{ProcState, Process};
    use procfs::{Current as _, LockType, Locks};

    let inode = std::fs::metadata(turn).ok()?.ino();
    let of_turn = |lock: &procfs::Lock| lock.inode == inode && matches!(lock.lock_type, LockType::FLock);
    // Whoever waits for a lock is listed after who has it.
    let pid = Locks::current().ok()?.0.into_iter().find(of_turn)?.pid?;
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    let is_stopped = matches!(stat.state(), Ok(ProcState::Stopped | ProcState::Tracing));
    Some(Holder { pid, name: stat.comm, is_stopped })
}

#[cfg(not(target_os = "linux"))]
fn holder(_: &Path) -> Option<Holder> {
    None
}
