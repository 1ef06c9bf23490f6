//! The run lock: at most one runner works a batch, over all machines that use the store.
//!
//! On one machine it is a file lock, which the kernel releases when the process dies. If the store is used by several machines,
//! the process also holds the batch's lease: [`super::lease_watch`] ends the process before the lease ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file_lock::{self, FileLock, LockState};
use super::lease_watch::LeaseWatch;
use super::stop_signal::StopSignal;
use super::supervisor::ChildRegistry;
use crate::error::{Code, Error, Result};
use crate::host::{host_name, place_of};
use crate::model::id::TaskId;
use crate::model::text::excerpt;
use crate::ops::{RunnerPlace, Session};
use crate::store::{Fence, HeldLease, LeaseHolder, LeaseName, StoreRead};

/// How often a lock that is busy is tried. `holder` locks the file for a moment.
const TRIES: u32 = 5;
/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// The run lock of a batch, held by this process.
pub(super) struct RunLock {
    batch: TaskId,
    // Dropped before the file lock: the next process on this machine then finds the lease ended.
    lease: Option<LeaseWatch>,
    file: FileLock,
}

impl RunLock {
    /// The fence of the lease, if the store has leases.
    pub(super) fn fence(&self) -> Option<Fence> {
        self.lease.as_ref().map(LeaseWatch::fence)
    }

    /// Ends this process and its workers before the lease ends.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn watch(&mut self, children: &ChildRegistry, stop: &StopSignal) -> Result<()> {
        let what = format!("batch {}", self.batch);
        self.lease.as_mut().map_or(Ok(()), |lease| lease.start(what, children, stop))
    }

    /// Refuses to go on if the lease has ended, or is about to.
    ///
    /// # Errors
    /// `claim_lost`.
    pub(super) fn check(&self) -> Result<()> {
        self.lease.as_ref().map_or(Ok(()), LeaseWatch::check)
    }

    /// Whether the file of the lock still has its name. It has not if its folder was removed.
    pub(super) fn file_exists(&self) -> bool {
        self.file.file_exists()
    }
}

fn lock_file(data: &Path, batch: &TaskId) -> PathBuf {
    data.join(format!("run-{batch}.lock"))
}

/// The batch of a run lock, from the name of its file.
pub(super) fn batch_of_file(name: &str) -> Option<TaskId> {
    let batch = name.strip_prefix("run-")?.strip_suffix(".lock")?;
    Some(TaskId::stored(batch.to_owned()))
}

/// This process as the holder of a lease that a process with the same lock file may take over.
pub(super) fn this_process(data: &Path) -> LeaseHolder {
    LeaseHolder { host: host_name(), pid: std::process::id(), place: place_of(data) }
}

/// Acquires the run lock of a batch.
///
/// # Errors
/// `already_claimed` if another process holds it; or the database cannot be reached.
pub(super) fn acquire(session: &Session, batch: &TaskId) -> Result<RunLock> {
    let file = acquire_file(session.folder(), batch)?;
    let lease = acquire_lease(session, batch)?;
    Ok(RunLock { batch: batch.clone(), lease, file })
}

fn acquire_file(data: &Path, batch: &TaskId) -> Result<FileLock> {
    let path = lock_file(data, batch);
    for number in 1..=TRIES {
        if let Some(lock) = FileLock::try_acquire(&path)? {
            return Ok(lock);
        }
        if number < TRIES {
            std::thread::sleep(RETRY_PAUSE);
        }
    }
    Err(Error::new(
        Code::AlreadyClaimed,
        format!(
            "another process works on batch {batch}; wait until it has ended, or add workers with tasktally work --batch {batch} -- CMD"
        ),
    ))
}

/// Acquires the lease of a batch, if the store has leases.
fn acquire_lease(session: &Session, batch: &TaskId) -> Result<Option<LeaseWatch>> {
    let Some(leases) = session.leases() else { return Ok(None) };
    let acquired: std::result::Result<Box<dyn HeldLease>, LeaseHolder> =
        leases.acquire(LeaseName::Run(batch.clone()), &this_process(session.folder()))?;
    acquired.map(|lease| Some(LeaseWatch::new(lease))).map_err(|holder| {
        Error::new(
            Code::AlreadyClaimed,
            format!(
                "process {} on host {} works on batch {batch}; another one can take over 20 s after that host was last connected. Add workers with tasktally work --batch {batch} -- CMD",
                holder.pid,
                excerpt(&holder.host)
            ),
        )
    })
}

/// Waits until the run lock of a batch is free, and acquires it. Returns `None` once `is_over` returns true: it is asked from time
/// to time while a process on another machine holds the lock.
///
/// # Errors
/// The file cannot be locked.
pub(super) fn wait(
    session: &Session,
    batch: &TaskId,
    is_over: impl Fn() -> Result<bool>,
) -> Result<Option<RunLock>> {
    /// How often the lease is tried. Its holder may be on another machine for as long as the batch takes.
    const LEASE_PAUSE: Duration = Duration::from_secs(2);
    let file = FileLock::wait(&lock_file(session.folder(), batch))?;
    loop {
        match acquire_lease(session, batch) {
            Ok(lease) => return Ok(Some(RunLock { batch: batch.clone(), lease, file })),
            // The database may be out of reach for a while.
            Err(error) => tracing::debug!(%error, "the standby runner waits"),
        }
        if !file.file_exists() || is_over().unwrap_or(false) {
            return Ok(None);
        }
        std::thread::sleep(LEASE_PAUSE);
    }
}

/// Where the process is that holds the run lock of a batch. Does not create the file.
///
/// # Errors
/// The file or the store cannot be read.
pub(super) fn holder(tx: &dyn StoreRead, data: &Path, batch: &TaskId) -> Result<Option<RunnerPlace>> {
    let lease = tx.lease(&LeaseName::Run(batch.clone()))?.filter(|lease| lease.is_live);
    if let Some(lease) = lease
        && (lease.holder.place.is_empty() || lease.holder.place != place_of(data))
    {
        let is_here = lease.holder.place.is_empty() && lease.holder.host == host_name();
        return Ok(Some(if is_here { RunnerPlace::Here } else { RunnerPlace::Elsewhere(lease.holder.host) }));
    }
    let is_held = file_lock::state(&lock_file(data, batch))? == LockState::Held;
    Ok(is_held.then_some(RunnerPlace::Here))
}

/// The same, in a read transaction of its own.
///
/// # Errors
/// As [`holder`].
pub(super) fn find_holder(session: &Session, batch: &TaskId) -> Result<Option<RunnerPlace>> {
    let (data, batch) = (session.folder().to_owned(), batch.clone());
    session.read(move |tx| holder(tx, &data, &batch))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn is_held(data: &Path, batch: &TaskId) -> bool {
        file_lock::state(&lock_file(data, batch)).unwrap() == LockState::Held
    }

    #[test]
    fn one_process_at_a_time_holds_the_lock_and_each_removes_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let batch = TaskId::stored("b".into());
        let (holders, acquired) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (folder, batch, holders, acquired) = (folder.path(), &batch, &holders, &acquired);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let lock = if number < 3 {
                            FileLock::wait(&lock_file(folder, batch))
                        } else {
                            acquire_file(folder, batch)
                        };
                        let Ok(lock) = lock else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two threads hold the lock");
                        assert!(is_held(folder, batch), "the state does not show the lock");
                        assert_eq!(holders.fetch_sub(1, Ordering::SeqCst), 1);
                        acquired.fetch_add(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(acquired.into_inner() >= 600);
        assert!(!is_held(folder.path(), &batch));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file is left");
    }

    #[test]
    fn the_file_of_a_killed_runner_is_reused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let batch = TaskId::stored("b".into());
        std::fs::write(lock_file(folder.path(), &batch), "").unwrap();
        assert!(!is_held(folder.path(), &batch));
        drop(acquire_file(folder.path(), &batch).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(batch_of_file("run-b.lock"), Some(batch));
        assert_eq!(batch_of_file("runner-b.log"), None);
    }
}
