//! What an operation runs over: the store, who asks, and where files may be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::request::progress::{Progress, ProgressReporter};
use super::runners::launcher::RunnerLauncher;
use crate::error::{Code, Error, Result};
use crate::items::SourceRoots;
use crate::model::worker_scope::WorkerScope;
use crate::store::{Store, StoreRead, StoreWrite, WriteJob};

/// How long a caller waits for its write to begin, where another process is stopped in the middle of one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store as one caller sees it.
#[derive(Clone)]
pub struct Session {
    store: Arc<dyn Store>,
    roots: Arc<SourceRoots>,
    scratchpad: Option<PathBuf>,
    caller: String,
    worker_scope: Option<WorkerScope>,
    launcher: Option<Arc<dyn RunnerLauncher>>,
    progress: ProgressReporter,
    /// How long a write may wait to start; without a limit if this is `None`.
    patience: Option<Duration>,
}

impl Session {
    /// A store for a caller; `roots` are the folders that item files may lie in.
    pub fn new(
        store: Arc<dyn Store>,
        roots: SourceRoots,
        scratchpad: Option<PathBuf>,
        caller: impl Into<String>,
    ) -> Self {
        let (roots, caller) = (Arc::new(roots), caller.into());
        Session {
            store,
            roots,
            scratchpad,
            caller,
            worker_scope: None,
            launcher: None,
            progress: ProgressReporter::default(),
            patience: Some(PATIENCE),
        }
    }

    /// The same store, with somebody who starts background workers.
    #[must_use]
    pub fn with_launcher(self, launcher: Arc<dyn RunnerLauncher>) -> Self {
        Session { launcher: Some(launcher), ..self }
    }

    /// The same store for the worker of a chunk. [`super::request::worker_scope`] enforces the scope.
    pub(super) fn with_worker_scope(self, scope: WorkerScope) -> Self {
        Session { worker_scope: Some(scope), ..self }
    }

    /// The scope of the worker that the session is for.
    pub(super) fn worker_scope(&self) -> Option<&WorkerScope> {
        self.worker_scope.as_ref()
    }

    /// Who starts background workers.
    pub(super) fn launcher(&self) -> Option<&Arc<dyn RunnerLauncher>> {
        self.launcher.as_ref()
    }

    /// The same store for another caller.
    #[must_use]
    pub fn called_by(&self, caller: impl Into<String>) -> Self {
        Session { caller: caller.into(), ..self.clone() }
    }

    /// The same store for a caller who is told how far a long operation is, from other threads.
    #[must_use]
    pub fn with_progress(&self, watcher: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Session { progress: ProgressReporter::new(watcher), ..self.clone() }
    }

    /// The same store for a caller whose writes may wait so long to begin, or for ever: a runner has work in
    /// hand that would be done again if its receipt were refused.
    #[must_use]
    pub fn with_patience(self, patience: Option<Duration>) -> Self {
        Session { patience, ..self }
    }

    /// Who is told how far a long operation is.
    pub(super) fn progress(&self) -> &ProgressReporter {
        &self.progress
    }

    /// Who asks, where the request itself does not say.
    pub fn caller(&self) -> &str {
        &self.caller
    }

    /// Where item files may lie.
    pub fn roots(&self) -> &SourceRoots {
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

    /// Runs `change` in a transaction and gives its answer once the commit is on disk.
    ///
    /// # Errors
    /// What `change` refused: then nothing was written, unless the refusal names the late
    /// receipt that was kept; or why there was no commit: `busy` where it could not begin for too long.
    pub fn write<R: Send + 'static>(
        &self,
        change: impl FnOnce(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (sender, receiver) = sync_channel(1);
        let begun = Arc::new(AtomicBool::new(false));
        self.store.submit_write(Box::new(Change {
            change: Some(change),
            answer: None,
            sender,
            begun: begun.clone(),
        }));
        let answer = match self.patience.map(|patience| (patience, receiver.recv_timeout(patience))) {
            // From here on it is never begun.
            Some((patience, Err(RecvTimeoutError::Timeout))) if !begun.swap(true, Ordering::AcqRel) => {
                return Err(self.store.write_timeout_error(patience));
            }
            Some((_, Ok(answer))) => Ok(answer),
            _ => receiver.recv(),
        };
        answer.unwrap_or_else(|_| {
            Err(Error::new(Code::Internal, "the store's writer ended before it answered"))
        })
    }

    /// Runs `look` over one moment of the store.
    ///
    /// # Errors
    /// What `look` refused, or why the store could not be read.
    pub fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn StoreRead) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (sender, receiver) = sync_channel(1);
        self.store.read(Box::new(move |tx| {
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
    /// Set by who comes first: the one that runs it, or the one that tired of waiting.
    begun: Arc<AtomicBool>,
}

impl<F, R> WriteJob for Change<F, R>
where
    F: FnOnce(&dyn StoreWrite) -> Result<R> + Send,
    R: Send,
{
    fn run(&mut self, tx: &dyn StoreWrite) -> bool {
        if self.begun.swap(true, Ordering::AcqRel) {
            return false;
        }
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
                Err(Error::new(Code::Internal, "the request failed inside tasktally; nothing was changed"))
            }
            (Err(error), _) => Err(error),
        };
        // Nobody waits for the answer where the caller has gone; what it wrote is committed.
        self.sender.send(answer).ok();
    }
}
