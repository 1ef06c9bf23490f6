//! What an operation needs besides its request: the store, the caller's name, and the allowed folders.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::request::progress::{Progress, ProgressReporter};
use super::request::server_scope::ServerScope;
use super::result_channel::{ResultIsLate, ResultSender, result_channel};
use super::runner_launcher::RunnerLauncher;
use crate::error::{Code, Error, Result};
use crate::items::SourceRoots;
use crate::model::author::{Author, AuthorKind};
use crate::model::quotas::Quotas;
use crate::model::text::excerpt;
use crate::model::worker_scope::WorkerScope;
use crate::store::{Fence, Leases, Store, StoreRead, StoreWrite, Subject, WriteJob};

/// How long a write may wait to start. It waits that long only if another process holds the write lock.
const MAX_WRITE_WAIT: Duration = Duration::from_secs(30);

/// Where a process keeps files that belong to a store: on its own machine, wherever the store is.
#[derive(Debug, Clone)]
pub struct LocalFolders {
    /// Logs of workers, locks and files of runners.
    pub data: PathBuf,
    /// The intermediate state of batches, if it is elsewhere.
    pub scratch: Option<PathBuf>,
}

impl LocalFolders {
    /// Everything in one folder.
    pub fn in_one(data: PathBuf) -> Self {
        LocalFolders { data, scratch: None }
    }
}

/// A store for one caller.
#[derive(Clone)]
pub struct Session {
    store: Arc<dyn Store>,
    folders: Arc<LocalFolders>,
    roots: Arc<SourceRoots>,
    author: Author,
    worker_scope: Option<WorkerScope>,
    server_scope: Arc<ServerScope>,
    launcher: Option<Arc<dyn RunnerLauncher>>,
    progress: ProgressReporter,
    /// How long a write may wait to start; `None` means without a limit.
    max_write_wait: Option<Duration>,
    /// The lease under which the session's runner works.
    fence: Option<Fence>,
    /// Read once from the operator's configuration.
    quotas: Arc<OnceLock<Quotas>>,
}

impl Session {
    /// A store for a caller. Item files must be below `roots`.
    pub fn new(
        store: Arc<dyn Store>,
        folders: LocalFolders,
        roots: SourceRoots,
        author: impl Into<Author>,
    ) -> Self {
        let (roots, author) = (Arc::new(roots), author.into());
        Session {
            store,
            folders: Arc::new(folders),
            roots,
            author,
            worker_scope: None,
            server_scope: Arc::default(),
            launcher: None,
            progress: ProgressReporter::default(),
            max_write_wait: Some(MAX_WRITE_WAIT),
            fence: None,
            quotas: Arc::default(),
        }
    }

    /// The same session, with a launcher that starts background runners.
    #[must_use]
    pub fn with_launcher(self, launcher: Arc<dyn RunnerLauncher>) -> Self {
        Session { launcher: Some(launcher), ..self }
    }

    /// The same session for the worker of a chunk, who writes as `author`. [`super::request::worker_scope`] enforces the scope.
    pub(super) fn with_worker_scope(self, scope: WorkerScope, author: Author) -> Self {
        Session { worker_scope: Some(scope), author, ..self }
    }

    /// The scope of the session's worker, if the session is for one.
    pub(super) fn worker_scope(&self) -> Option<&WorkerScope> {
        self.worker_scope.as_ref()
    }

    /// The same session for a server that gives access to a part of the store only.
    /// [`super::request::server_scope`] enforces the scope.
    #[must_use]
    pub fn with_server_scope(self, scope: ServerScope) -> Self {
        Session { server_scope: Arc::new(scope), ..self }
    }

    /// What the session's server gives access to.
    pub fn server_scope(&self) -> &ServerScope {
        &self.server_scope
    }

    /// Whether the session serves the worker of one chunk.
    pub fn works_one_chunk(&self) -> bool {
        self.worker_scope.is_some()
    }

    /// The launcher that starts background runners.
    pub(super) fn launcher(&self) -> Option<&Arc<dyn RunnerLauncher>> {
        self.launcher.as_ref()
    }

    /// How much requests may store. If the operator's configuration cannot be read, the defaults apply: a mistake there must
    /// not refuse receipts.
    pub(super) fn quotas(&self) -> Quotas {
        *self.quotas.get_or_init(|| {
            let read = self.launcher.as_ref().map_or(Ok(Quotas::default()), |launcher| launcher.quotas());
            read.unwrap_or_else(|error| {
                tracing::warn!(%error, "the limits of the configuration are not used");
                Quotas::default()
            })
        })
    }

    /// The same session for the client that gave this name. A chunk's worker keeps the name of its claim, and no client
    /// gets the name of a person or of Tasktally.
    #[must_use]
    pub fn called_by(&self, client: &str) -> Self {
        if self.worker_scope.is_some() {
            return self.clone();
        }
        // The name as it was sent is compared: the excerpt shows invisible characters as escapes.
        let allowed = self.author.named(client);
        let author = if allowed.name() == client { allowed.named(&excerpt(client)) } else { allowed };
        Session { author, ..self.clone() }
    }

    /// The same session, whose caller is of this kind.
    #[must_use]
    pub fn of_kind(&self, kind: AuthorKind) -> Self {
        Session { author: self.author.of_kind(kind), ..self.clone() }
    }

    /// The same session; long operations call `watcher` with their progress, from other threads.
    #[must_use]
    pub fn with_progress(&self, watcher: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Session { progress: ProgressReporter::new(watcher), ..self.clone() }
    }

    /// The same session, whose writes may wait this long to start, or without a limit. A runner waits without a
    /// limit: work that a worker has done would be done again if its receipt were refused.
    #[must_use]
    pub fn with_max_write_wait(self, max_write_wait: Option<Duration>) -> Self {
        Session { max_write_wait, ..self }
    }

    /// Reports the progress of long operations.
    pub(super) fn progress(&self) -> &ProgressReporter {
        &self.progress
    }

    /// The caller's name, for requests without a name.
    pub fn caller(&self) -> &str {
        self.author.name()
    }

    /// The author of what the caller writes: its kind is set by how the session was opened.
    pub fn author(&self) -> Author {
        self.author.clone()
    }

    /// The folders that may contain item files.
    pub fn roots(&self) -> &SourceRoots {
        &self.roots
    }

    /// The folder that contains the intermediate state of batches.
    pub fn scratch(&self) -> &Path {
        self.folders.scratch.as_deref().unwrap_or(&self.folders.data)
    }

    /// The leases of the store; `None` if it is used by one machine.
    pub fn leases(&self) -> Option<&dyn Leases> {
        self.store.leases()
    }

    /// The same session for the process that holds a lease: what it writes as a runner is refused once another process has the
    /// lease.
    #[must_use]
    pub fn with_fence(&self, fence: Option<Fence>) -> Self {
        Session { fence, ..self.clone() }
    }

    /// The lease under which the session's runner works.
    pub(super) fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// As [`Session::write`], for what only a runner writes: refused with `claim_lost`, in the same transaction, if the session's
    /// lease has ended. A claim has a token of its own, so writes under a claim need no lease.
    pub(super) fn write_as_runner<R: Send + 'static>(
        &self,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.write_as_runner_about(Subject::default(), change)
    }

    /// The same for a change of a task that the request names.
    ///
    /// # Errors
    /// As for [`Session::write_as_runner`].
    pub(super) fn write_as_runner_about<R: Send + 'static>(
        &self,
        subject: Subject,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let fence = self.fence.clone();
        self.write_about(subject, move |tx| {
            fence.as_ref().map_or(Ok(()), |fence| check_fence(tx, fence))?;
            change(tx)
        })
    }

    /// Waits until no other process inserts a large batch; see [`Store::lock_bulk`].
    pub(super) fn lock_bulk(&self, limit: Duration) -> Result<Box<dyn Send>> {
        self.store.lock_bulk(limit)
    }

    /// The folder on this machine for files that belong to the store, such as logs of workers.
    pub fn folder(&self) -> &Path {
        &self.folders.data
    }

    /// Runs `change` in a transaction and returns its answer once the commit is on disk. The store may run it again after
    /// it rolled an attempt back, so it must not rely on running once.
    ///
    /// # Errors
    /// The refusal of `change`: then nothing was written, except the late receipt that the refusal names. Or the
    /// reason why there was no commit: `busy` if the write could not start in time.
    pub fn write<R: Send + 'static>(
        &self,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.submit(change, false, None)
    }

    /// The same for a change of a task and an item that the request names.
    ///
    /// # Errors
    /// As for [`Session::write`].
    pub(super) fn write_about<R: Send + 'static>(
        &self,
        subject: Subject,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.submit(change, false, Some(subject))
    }

    /// The same for a change that works on `state`, which is given back. An attempt finds the state as the attempt
    /// before it left it.
    ///
    /// # Errors
    /// As for [`Session::write`]; then the state is lost.
    pub(super) fn write_with<S: Send + 'static, R: Send + 'static>(
        &self,
        state: S,
        change: impl Fn(&dyn StoreWrite, &mut S) -> Result<R> + Send + 'static,
    ) -> Result<(S, R)> {
        self.submit_with(state, change, false)
    }

    /// The same for rows whose parents are inserted by a later transaction; see [`crate::store::BulkWrite`].
    pub(super) fn write_before_parents<S: Send + 'static, R: Send + 'static>(
        &self,
        state: S,
        change: impl Fn(&dyn StoreWrite, &mut S) -> Result<R> + Send + 'static,
    ) -> Result<(S, R)> {
        self.submit_with(state, change, true)
    }

    fn submit_with<S: Send + 'static, R: Send + 'static>(
        &self,
        state: S,
        change: impl Fn(&dyn StoreWrite, &mut S) -> Result<R> + Send + 'static,
        precedes_parents: bool,
    ) -> Result<(S, R)> {
        let shared = Arc::new(Mutex::new(state));
        let lent = shared.clone();
        let locked =
            move |tx: &dyn StoreWrite| change(tx, &mut lent.lock().unwrap_or_else(PoisonError::into_inner));
        let reply = self.submit(locked, precedes_parents, None)?;
        // The store drops the change before it answers.
        let state = Arc::into_inner(shared)
            .ok_or_else(|| Error::new(Code::Internal, "the store kept a change that it had committed"))?;
        Ok((state.into_inner().unwrap_or_else(PoisonError::into_inner), reply))
    }

    fn submit<R: Send + 'static>(
        &self,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
        precedes_parents: bool,
        subject: Option<Subject>,
    ) -> Result<R> {
        if self.server_scope.read_only {
            return Err(Error::new(
                Code::Forbidden,
                "nothing was written: this server was started with --read-only; ask the person who started it",
            ));
        }
        let (sender, receiver) = result_channel();
        let started = Arc::new(AtomicBool::new(false));
        self.store.submit_write(Box::new(QueuedChange {
            change,
            answer: None,
            sender,
            abandoned_or_started: started.clone(),
            is_started: false,
            precedes_parents,
            subject,
        }));
        let answer = match self.max_write_wait.map(|limit| (limit, receiver.wait_at_most(limit))) {
            // With the flag set, the writer will not start the change any more.
            Some((limit, Err(ResultIsLate))) if !started.swap(true, Ordering::AcqRel) => {
                return Err(self.store.write_timeout_error(limit));
            }
            Some((_, Ok(answer))) => answer,
            _ => receiver.wait(),
        };
        answer
            .unwrap_or_else(|| Err(Error::new(Code::Internal, "the store's writer ended before it answered")))
    }

    /// Runs `query` in a read transaction.
    ///
    /// # Errors
    /// The refusal of `query`, or the reason why the store could not be read.
    pub fn read<R: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn StoreRead) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (sender, receiver) = result_channel();
        let name = std::any::type_name_of_val(&query);
        self.store.read(name, Box::new(move |tx| sender.send(tx.and_then(query))));
        receiver
            .wait()
            .unwrap_or_else(|| Err(Error::new(Code::Internal, "the store's reader ended before it answered")))
    }
}

/// Refuses a process whose lease has ended.
fn check_fence(tx: &dyn StoreRead, fence: &Fence) -> Result<()> {
    let lease = tx.lease(&fence.name)?;
    if lease.as_ref().is_some_and(|lease| lease.is_live && lease.fence == fence.number) {
        return Ok(());
    }
    let now = match lease.filter(|lease| lease.is_live) {
        Some(lease) => format!("host {} took over", excerpt(&lease.holder.host)),
        None => "the database was out of reach for too long".to_owned(),
    };
    Err(Error::new(
        Code::ClaimLost,
        format!(
            "nothing was written: this process no longer counts as running, {now}. Stop it and start it again"
        ),
    ))
}

/// A write in the store's queue.
struct QueuedChange<F, R> {
    change: F,
    answer: Option<Result<R>>,
    sender: ResultSender<Result<R>>,
    /// Set by the writer when it starts the change, or by the caller when it stops waiting, whichever is first.
    abandoned_or_started: Arc<AtomicBool>,
    /// Whether the writer has started the change.
    is_started: bool,
    /// Whether it inserts rows whose parents are inserted by a later transaction.
    precedes_parents: bool,
    subject: Option<Subject>,
}

impl<F, R> WriteJob for QueuedChange<F, R>
where
    F: Fn(&dyn StoreWrite) -> Result<R> + Send,
    R: Send,
{
    fn run(&mut self, tx: &dyn StoreWrite) -> bool {
        if !self.is_started {
            if self.abandoned_or_started.swap(true, Ordering::AcqRel) {
                return false;
            }
            self.is_started = true;
        }
        let answer = (self.change)(tx);
        let commits = match &answer {
            Ok(_) => true,
            Err(error) => error.receipt.is_some(),
        };
        self.answer = Some(answer);
        commits
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<F>()
    }

    fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    fn precedes_parents(&self) -> bool {
        self.precedes_parents
    }

    fn finish(self: Box<Self>, committed: Result<()>) {
        let QueuedChange { change, answer, sender, .. } = *self;
        // What it was given is free again when its caller goes on.
        drop(change);
        let answer = match (committed, answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => {
                Err(Error::new(Code::Internal, "the request failed inside tasktally; nothing was changed"))
            }
            (Err(error), _) => Err(error),
        };
        sender.send(answer);
    }
}
