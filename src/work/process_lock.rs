//! The lock of a `tasktally work` process. Several of them may work a batch, so none holds the run lock; each holds a
//! lock of its own, whose mark is part of the tokens of its claims. So every other process can tell whether it lives. If the
//! store is used by several machines, the process also holds a lease of that name.

use std::path::{Path, PathBuf};

use super::file_lock::{self, FileLock, LockState};
use super::lease_watch::LeaseWatch;
use super::run_lock::this_process;
use super::stop_signal::StopSignal;
use super::supervisor::ChildRegistry;
use crate::error::{Code, Error, Result};
use crate::model::id::ProcessMark;
use crate::ops::Session;
use crate::store::{Fence, HeldLease, LeaseHolder, LeaseName, StoreRead};

/// The lock of this process.
pub(super) struct ProcessLock {
    mark: ProcessMark,
    lease: Option<LeaseWatch>,
    /// Released when the process dies.
    _lock: FileLock,
}

impl ProcessLock {
    /// Creates a lock for this process, in the data folder, and acquires its lease.
    ///
    /// # Errors
    /// The file cannot be created, or the database cannot be reached.
    pub(super) fn acquire(session: &Session) -> Result<Self> {
        let mark = ProcessMark::random();
        let taken = || Error::new(Code::Internal, "another process has the same random mark");
        let lock = FileLock::try_acquire(&lock_file(session.folder(), &mark))?.ok_or_else(taken)?;
        let lease = match session.leases() {
            Some(leases) => {
                let name = LeaseName::Process(mark.clone());
                let lease = leases.acquire(name, &this_process(session.folder()))?.map_err(|_| taken())?;
                Some(LeaseWatch::new(lease))
            }
            None => None,
        };
        Ok(ProcessLock { mark, lease, _lock: lock })
    }

    /// The fence of the lease, if the store has leases.
    pub(super) fn fence(&self) -> Option<Fence> {
        self.lease.as_ref().map(LeaseWatch::fence)
    }

    /// Ends this process and its workers before the lease ends.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn watch(&mut self, children: &ChildRegistry, stop: &StopSignal) -> Result<()> {
        let what = "the store".to_owned();
        self.lease.as_mut().map_or(Ok(()), |lease| lease.start(what, children, stop))
    }

    /// Refuses to go on if the lease has ended, or is about to.
    ///
    /// # Errors
    /// `claim_lost`.
    pub(super) fn check(&self) -> Result<()> {
        self.lease.as_ref().map_or(Ok(()), LeaseWatch::check)
    }

    /// The mark of this process.
    pub(super) fn mark(&self) -> &ProcessMark {
        &self.mark
    }
}

fn lock_file(data: &Path, mark: &ProcessMark) -> PathBuf {
    data.join(format!("work-{mark}.lock"))
}

/// The mark in the name of a process lock's file.
pub(super) fn mark_of_file(name: &str) -> Option<ProcessMark> {
    name.strip_prefix("work-")?.strip_suffix(".lock")?.parse().ok()
}

/// Whether the process with a mark has died: its file exists and no process holds it. Without a file nothing is known:
/// the process may use the store under another path.
///
/// # Errors
/// The file cannot be read.
pub(super) fn has_died(data: &Path, mark: &ProcessMark) -> Result<bool> {
    Ok(file_lock::state(&lock_file(data, mark))? == LockState::Free)
}

/// What the leases of a store say about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeasedProcess {
    /// It has a live lease.
    Alive,
    /// Its lease has ended, and nobody has taken over from it.
    Dead,
    /// It has no lease: the store has none, or the process has ended.
    Unknown,
}

/// What the leases of the store say about the process with a mark.
///
/// # Errors
/// The store cannot be read.
pub(super) fn leased(tx: &dyn StoreRead, mark: &ProcessMark) -> Result<LeasedProcess> {
    Ok(match tx.lease(&LeaseName::Process(mark.clone()))? {
        Some(lease) if lease.is_live => LeasedProcess::Alive,
        Some(_) => LeasedProcess::Dead,
        None => LeasedProcess::Unknown,
    })
}

/// Takes the lease of a process over whose lease has ended, so that the process cannot renew it any more. `None` if there is
/// nothing to take over.
///
/// # Errors
/// The store cannot be read, or the database cannot be reached.
pub(super) fn take_lease(session: &Session, mark: &ProcessMark) -> Result<Option<Box<dyn HeldLease>>> {
    let Some(leases) = session.leases() else { return Ok(None) };
    let wanted = mark.clone();
    if session.read(move |tx| leased(tx, &wanted))? != LeasedProcess::Dead {
        return Ok(None);
    }
    let this = LeaseHolder { place: String::new(), ..this_process(session.folder()) };
    Ok(leases.acquire(LeaseName::Process(mark.clone()), &this)?.ok())
}

/// Removes the file of a process that has died.
///
/// # Errors
/// The file cannot be locked.
pub(super) fn remove(data: &Path, mark: &ProcessMark) -> Result<()> {
    FileLock::try_acquire(&lock_file(data, mark)).map(drop)
}

/// The run marker of the commands that a process starts.
pub(super) fn run_marker(mark: &ProcessMark) -> String {
    format!("work-{mark}")
}
