//! The threads that read: each with a connection of its own, opened when first needed.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connection;
use super::rows::sql_error;
use super::tx::Tx;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::{Read, ReadJob};

/// How many reads are answered at once.
const THREADS: usize = 2;

/// The readers of a store.
pub(super) struct Readers {
    jobs: Option<Sender<ReadJob>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts the threads; their connections open with their first job.
    pub(super) fn new(path: PathBuf, clock: Clock) -> Self {
        let (jobs, queue) = channel::<ReadJob>();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..THREADS)
            .filter_map(|number| {
                let (queue, path, clock) = (queue.clone(), path.clone(), clock.clone());
                std::thread::Builder::new()
                    .name(format!("read-{number}"))
                    .spawn(move || serve(&queue, path, &clock))
                    .inspect_err(|error| tracing::error!(%error, "a reader could not be started"))
                    .ok()
            })
            .collect();
        Readers { jobs: Some(jobs), threads }
    }

    /// Hands over a read. Where no thread is left to take it, the job is told so.
    pub(super) fn look(&self, job: ReadJob) {
        let refused = match &self.jobs {
            Some(jobs) if !self.threads.is_empty() => jobs.send(job).err().map(|error| error.0),
            _ => Some(job),
        };
        if let Some(job) = refused {
            job(Err(Error::new(Code::Internal, "the store's readers have ended; start docket again")));
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs.take();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader panicked");
            }
        }
    }
}

fn serve(queue: &Mutex<Receiver<ReadJob>>, path: PathBuf, clock: &Clock) {
    let mut connection: Option<Connection> = None;
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if connection.is_none() {
            match connection::open_reader(&path) {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        if let Some(open) = &connection
            && let Err(error) = answer(open, clock, job)
        {
            tracing::error!(%error, "a reader's connection is opened again");
            connection = None;
        }
    }
}

/// Runs a job in a transaction of its own: one moment of the store, ended with the job.
fn answer(connection: &Connection, clock: &Clock, job: ReadJob) -> Result<()> {
    if let Err(error) = connection.execute_batch("BEGIN") {
        let message = error.to_string();
        job(Err(sql_error("the store could not be read", error)));
        return Err(Error::new(Code::Internal, message));
    }
    let tx = Tx { connection, now: clock.now() };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(Ok(&tx as &dyn Read))));
    connection.execute_batch("ROLLBACK").map_err(|error| sql_error("a read could not be ended", error))?;
    outcome.map_err(|_| Error::new(Code::Internal, "a read panicked"))
}
