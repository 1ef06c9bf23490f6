//! Writing.
//!
//! A write that meets no other, neither in this process nor in another, is committed on the caller's thread. Otherwise
//! the writer's thread commits all writes that wait as one group. So only that thread waits for the write lock, and a
//! caller can give up waiting (`Session::write`).
//!
//! The commit path of a group (`group_commit.rs`):
//! 1. Acquire the write lock (`write_lock.rs`).
//! 2. Check that the store and its WAL are still the files that were opened (`file_identity.rs`, `wal.rs`).
//! 3. If the WAL is in doubt because a sync failed, write it again (`wal_rewrite.rs`).
//! 4. Run every write in a savepoint of one transaction, pad the WAL (`wal_padding.rs`), COMMIT.
//! 5. Reset the WAL if it is too long (`wal_reset.rs`), and release the write lock.
//! 6. Sync the WAL; check the files again.
//! 7. Answer every write of the group.

pub(in crate::store::sqlite) mod file_identity;
mod group_commit;
pub(in crate::store::sqlite) mod lock_holder;
pub(in crate::store::sqlite) mod shared_wal;
pub(in crate::store::sqlite) mod wal;
mod wal_frames;
mod wal_padding;
mod wal_reset;
pub(in crate::store::sqlite) mod wal_rewrite;
pub(in crate::store::sqlite) mod write_lock;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use file_identity::FileIdentity;
use group_commit::{GroupCommitter, QueuedWrite};

/// The most writes that share a commit.
const GROUP_LIMIT: usize = 64;

/// How long closing waits for the writer's thread. The thread may wait for a write lock that a stopped process holds;
/// it then ends with this process.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// The one writing connection of a process.
pub(in crate::store::sqlite) struct Writer {
    committer: Arc<Mutex<GroupCommitter>>,
    /// Writes that were sent to the thread and not answered yet.
    queued: Arc<AtomicUsize>,
    /// Started when two writes first meet; `None` inside if it could not be started.
    thread: OnceLock<Option<WriterThread>>,
}

/// The thread that commits groups.
struct WriterThread {
    queue: Sender<QueuedWrite>,
    handle: JoinHandle<()>,
}

impl Writer {
    /// A writer over an open connection.
    ///
    /// # Errors
    /// If the WAL or the lock file cannot be opened.
    pub(in crate::store::sqlite) fn new(
        connection: Connection,
        identity: FileIdentity,
        clock: Clock,
    ) -> Result<Self> {
        let committer = GroupCommitter::new(connection, identity, clock)?;
        Ok(Writer {
            committer: Arc::new(Mutex::new(committer)),
            queued: Arc::default(),
            thread: OnceLock::new(),
        })
    }

    /// Commits a write and answers it: on this thread if no other write is in the way.
    pub(in crate::store::sqlite) fn submit(&self, write: QueuedWrite) {
        if self.queued.load(Ordering::Acquire) == 0
            && let Ok(mut committer) = self.committer.try_lock()
            && let Some(guard) = committer.try_lock_store().transpose()
        {
            committer.commit_group(vec![write], guard);
            return;
        }
        let thread = self.thread.get_or_init(|| {
            start_thread(self.committer.clone(), self.queued.clone())
                .inspect_err(
                    |error| tracing::warn!(%error, "writes are not grouped: no thread can be started"),
                )
                .ok()
        });
        let Some(thread) = thread else {
            // Without a thread, the caller waits for the write lock itself, and cannot give up.
            let mut committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
            let guard = committer.lock_store();
            committer.commit_group(vec![write], guard);
            return;
        };
        self.queued.fetch_add(1, Ordering::AcqRel);
        let unsent = thread.queue.send(write).err().map(|error| error.0);
        if let Some(write) = unsent {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            write.finish(Err(Error::new(
                Code::Internal,
                "nothing was written: the thread that writes has ended after an error; its log line has the cause. Restart tasktally",
            )));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Some(WriterThread { queue, handle })) = self.thread.take() {
            // The thread ends when the queue is closed and empty.
            drop(queue);
            let started = Instant::now();
            while !handle.is_finished() && started.elapsed() < CLOSE_WAIT {
                std::thread::sleep(Duration::from_millis(1));
            }
            if !handle.is_finished() {
                tracing::warn!("closed while a write without a caller still waits for the write lock");
            } else if handle.join().is_err() {
                tracing::error!("the writer panicked");
            }
        }
    }
}

fn start_thread(
    committer: Arc<Mutex<GroupCommitter>>,
    queued: Arc<AtomicUsize>,
) -> std::io::Result<WriterThread> {
    let (sender, receiver) = channel();
    let handle = std::thread::Builder::new()
        .name("write".into())
        .spawn(move || commit_queue(&receiver, &committer, &queued))?;
    Ok(WriterThread { queue: sender, handle })
}

fn commit_queue(queue: &Receiver<QueuedWrite>, committer: &Mutex<GroupCommitter>, queued: &AtomicUsize) {
    while let Ok(first) = queue.recv() {
        let mut committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
        // The writes that arrived during the previous commit share this one.
        let group = std::iter::once(first).chain(queue.try_iter().take(GROUP_LIMIT - 1));
        // A write that switches foreign keys off gets a transaction of its own.
        let (alone, group): (Vec<_>, Vec<_>) = group.partition(|write| write.precedes_parents());
        let groups = std::iter::once(group).chain(alone.into_iter().map(|write| vec![write]));
        for group in groups.filter(|group| !group.is_empty()) {
            let size = group.len();
            let guard = committer.lock_store();
            committer.commit_group(group, guard);
            queued.fetch_sub(size, Ordering::AcqRel);
        }
    }
}
