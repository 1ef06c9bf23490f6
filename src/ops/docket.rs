//! What an operation runs over: the store, who asks, and where files may be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::background::Background;
use super::progress::{Progress, Tell};
use crate::error::{Code, Error, Result};
use crate::items::Roots;
use crate::model::job::Job;
use crate::store::{Read, Staging, Store, Write, WriteJob};

/// A store as one caller sees it.
#[derive(Clone)]
pub struct Docket {
    store: Arc<dyn Store>,
    roots: Arc<Roots>,
    scratchpad: Option<PathBuf>,
    caller: String,
    job: Option<Job>,
    background: Option<Arc<dyn Background>>,
    tell: Tell,
}

impl Docket {
    /// A store for a caller; `roots` are the folders that item files may lie in.
    pub fn new(
        store: Arc<dyn Store>,
        roots: Roots,
        scratchpad: Option<PathBuf>,
        caller: impl Into<String>,
    ) -> Self {
        let (roots, caller) = (Arc::new(roots), caller.into());
        Docket { store, roots, scratchpad, caller, job: None, background: None, tell: Tell::default() }
    }

    /// The same store, with somebody who starts background workers.
    #[must_use]
    pub fn with_background(self, background: Arc<dyn Background>) -> Self {
        Docket { background: Some(background), ..self }
    }

    /// The same store for the worker of a chunk, that sees and writes nothing else.
    ///
    /// # Errors
    /// `claim_lost` where the job is not that of the chunk's latest claim.
    pub fn for_job(self, job: Job) -> Result<Self> {
        let wanted = job.clone();
        self.read(move |tx| super::job::is_real(tx, &wanted))?;
        Ok(Docket { job: Some(job), ..self })
    }

    /// The job that a caller is held to.
    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Who starts background workers.
    pub(super) fn background(&self) -> Option<&Arc<dyn Background>> {
        self.background.as_ref()
    }

    /// The same store for another caller.
    #[must_use]
    pub fn called_by(&self, caller: impl Into<String>) -> Self {
        Docket { caller: caller.into(), ..self.clone() }
    }

    /// The same store for a caller who is told how far a long operation is, from other threads.
    #[must_use]
    pub fn watched_by(&self, watcher: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Docket { tell: Tell::to(watcher), ..self.clone() }
    }

    /// Who is told how far a long operation is.
    pub(super) fn tell(&self) -> &Tell {
        &self.tell
    }

    /// Who asks, where the request itself does not say.
    pub fn caller(&self) -> &str {
        &self.caller
    }

    /// Where item files may lie.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The folder that intermediate state is written beneath.
    pub fn scratch(&self) -> &Path {
        self.scratchpad.as_deref().unwrap_or_else(|| self.store.folder())
    }

    /// The folder beside the store.
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// An empty place to collect items.
    ///
    /// # Errors
    /// Where there is no room for it.
    pub fn staging(&self) -> Result<Box<dyn Staging>> {
        self.store.staging()
    }

    /// Runs `change` in a transaction and gives its answer once the commit is on disk.
    ///
    /// # Errors
    /// What `change` refused: then nothing was written, unless the refusal names the late
    /// receipt that was kept; or why there was no commit.
    pub fn write<R: Send + 'static>(
        &self,
        change: impl FnOnce(&dyn Write) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (sender, receiver) = sync_channel(1);
        self.store.submit(Box::new(Change { change: Some(change), answer: None, sender }));
        receiver.recv().unwrap_or_else(|_| {
            Err(Error::new(Code::Internal, "the store's writer ended before it answered"))
        })
    }

    /// Runs `look` over one moment of the store.
    ///
    /// # Errors
    /// What `look` refused, or why the store could not be read.
    pub fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Read) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (sender, receiver) = sync_channel(1);
        self.store.look(Box::new(move |tx| {
            // Nobody waits for the answer where the caller has gone.
            sender.send(tx.and_then(look)).ok();
        }));
        receiver.recv().unwrap_or_else(|_| {
            Err(Error::new(Code::Internal, "the store's reader ended before it answered"))
        })
    }
}

struct Change<F, R> {
    change: Option<F>,
    answer: Option<Result<R>>,
    sender: SyncSender<Result<R>>,
}

impl<F, R> WriteJob for Change<F, R>
where
    F: FnOnce(&dyn Write) -> Result<R> + Send,
    R: Send,
{
    fn run(&mut self, tx: &dyn Write) -> bool {
        let answer = match self.change.take() {
            Some(change) => change(tx),
            None => Err(Error::new(Code::Internal, "a write was run twice")),
        };
        let keep = match &answer {
            Ok(_) => true,
            Err(error) => error.receipt.is_some(),
        };
        self.answer = Some(answer);
        keep
    }

    fn finish(self: Box<Self>, committed: Result<()>) {
        let answer = match (committed, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => {
                Err(Error::new(Code::Internal, "the request failed inside docket; nothing was changed"))
            }
            (Err(error), _) => Err(error),
        };
        // Nobody waits for the answer where the caller has gone; what it wrote is committed.
        self.sender.send(answer).ok();
    }
}
