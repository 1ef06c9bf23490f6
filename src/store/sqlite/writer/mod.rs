//! Writing: one who comes alone, in this process and among all, writes at once; those who meet others are
//! written by a thread, in one transaction, and answered together. So only that thread ever waits for a
//! turn, and whoever asked can tire of waiting (`Tasktally::write`).

pub(in crate::store::sqlite) mod file_identity;
mod group_commit;
pub(in crate::store::sqlite) mod wal;
mod wal_frames;
pub(in crate::store::sqlite) mod write_lock;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::writer::file_identity::FileIdentity;
use super::writer::group_commit::Committer;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::WriteJob;

/// The most requests that share a commit.
const GROUP: usize = 64;

/// How long the thread may take to end once nobody waits for an answer of its: it may wait for a turn that a
/// stopped process has, and then ends with the process.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// A boxed job.
pub(in crate::store::sqlite) type QueuedWrite = Box<dyn WriteJob>;

/// The one writing connection of a process.
pub(in crate::store::sqlite) struct Writer {
    committer: Arc<Mutex<Committer>>,
    /// Jobs handed to the thread and not answered yet.
    queued: Arc<AtomicUsize>,
    /// Started when two jobs first meet.
    thread: OnceLock<Option<Thread>>,
}

/// The thread for jobs that meet.
struct Thread {
    jobs: Sender<QueuedWrite>,
    handle: JoinHandle<()>,
}

impl Writer {
    /// A writer over an open connection.
    ///
    /// # Errors
    /// Where the log or the file that processes queue on cannot be opened.
    pub(in crate::store::sqlite) fn new(
        connection: Connection,
        path: &Path,
        place: FileIdentity,
        clock: Clock,
    ) -> Result<Self> {
        let committer = Committer::new(connection, path, place, clock)?;
        Ok(Writer {
            committer: Arc::new(Mutex::new(committer)),
            queued: Arc::default(),
            thread: OnceLock::new(),
        })
    }

    /// Has a job written and answered: on this thread where nobody else writes.
    pub(in crate::store::sqlite) fn submit(&self, job: QueuedWrite) {
        if self.queued.load(Ordering::Acquire) == 0
            && let Ok(mut committer) = self.committer.try_lock()
            && let Some(turn) = committer.try_turn().transpose()
        {
            committer.serve(vec![job], turn);
            return;
        }
        let thread = self.thread.get_or_init(|| {
            start(self.committer.clone(), self.queued.clone())
                .inspect_err(|error| tracing::error!(%error, "the writer's thread could not be started"))
                .ok()
        });
        self.queued.fetch_add(1, Ordering::AcqRel);
        let refused = match thread {
            Some(thread) => thread.jobs.send(job).err().map(|error| error.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            job.finish(Err(Error::new(
                Code::Internal,
                "the store's writer has ended; start tasktally again",
            )));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Some(Thread { jobs, handle })) = self.thread.take() {
            drop(jobs);
            let asked = Instant::now();
            while !handle.is_finished() && asked.elapsed() < LAST_STEPS {
                std::thread::sleep(Duration::from_millis(1));
            }
            if !handle.is_finished() {
                tracing::warn!("a write that nobody waits for has no turn yet, and is not made");
            } else if handle.join().is_err() {
                tracing::error!("the writer panicked");
            }
        }
    }
}

fn start(committer: Arc<Mutex<Committer>>, queued: Arc<AtomicUsize>) -> std::io::Result<Thread> {
    let (jobs, queue) = channel();
    let handle =
        std::thread::Builder::new().name("write".into()).spawn(move || serve(&queue, &committer, &queued))?;
    Ok(Thread { jobs, handle })
}

fn serve(queue: &Receiver<QueuedWrite>, committer: &Mutex<Committer>, queued: &AtomicUsize) {
    while let Ok(first) = queue.recv() {
        let mut committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
        // All that came while another wrote goes together.
        let group: Vec<QueuedWrite> =
            std::iter::once(first).chain(queue.try_iter().take(GROUP - 1)).collect();
        let size = group.len();
        let turn = committer.turn();
        committer.serve(group, turn);
        queued.fetch_sub(size, Ordering::AcqRel);
    }
}
