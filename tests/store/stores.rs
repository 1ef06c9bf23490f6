//! The stores that the suite runs against, and how a case writes to and reads from one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tasktally::clock::Clock;
use tasktally::error::{Code, Error, Result};
use tasktally::store::postgres::{Address, PostgresStore};
use tasktally::store::sqlite::SqliteStore;
use tasktally::store::{Store, StoreRead, StoreWrite, WriteJob};
use tempfile::TempDir;

use crate::support::postgres::{Cluster, Database};

/// How long a write may take before its case fails. Generous, so that a loaded machine never exceeds it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Opens the store, the first time and again.
type Opener = Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

/// Adds milliseconds to the time of the store.
type ClockShifter = Arc<dyn Fn(i64) + Send + Sync>;

/// A store that one case has for itself. It is empty at the start and deleted at the end.
pub(crate) struct TestStore {
    /// Empty only while the store is opened again.
    store: RwLock<Option<Arc<dyn Store>>>,
    shift_clock: ClockShifter,
    /// Owns what has to be deleted at the end, so it is dropped after the store.
    open: Opener,
}

impl TestStore {
    /// An empty store; `None` if this machine has no store of this kind.
    pub(crate) fn open(kind: Kind) -> Option<TestStore> {
        match kind {
            Kind::Sqlite => Some(open_sqlite()),
            Kind::Postgres => open_postgres(),
        }
    }

    /// A store that `open` opens, now and again in [`TestStore::reopen`]. `shift_clock` adds milliseconds to the time of
    /// its transactions, also of those after it was opened again.
    fn new(
        open: impl Fn() -> Arc<dyn Store> + Send + Sync + 'static,
        shift_clock: impl Fn(i64) + Send + Sync + 'static,
    ) -> Self {
        let store = RwLock::new(Some(open()));
        TestStore { store, shift_clock: Arc::new(shift_clock), open: Box::new(open) }
    }

    /// Adds milliseconds to the time of the store, also negative ones, so that a case need not wait.
    pub(crate) fn shift_clock(&self, by_ms: i64) {
        (self.shift_clock)(by_ms);
    }

    /// The same as a function, for a transaction that calls it.
    pub(crate) fn clock_shifter(&self) -> ClockShifter {
        self.shift_clock.clone()
    }

    /// Closes the store and opens it again. A process opens the file of a SQLite store only once.
    pub(crate) fn reopen(&self) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let closed = store.take().expect("the store is open");
        assert_eq!(Arc::strong_count(&closed), 1, "the case still uses the store");
        drop(closed);
        *store = Some((self.open)());
    }

    /// The store itself.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().expect("the store is open")
    }

    /// Runs `change` in a transaction and returns its result after the commit. An error of `change` rolls everything
    /// back. The store may run it again after it rolled an attempt back.
    pub(crate) fn write<R: Send + 'static>(
        &self,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        write(&*self.store(), change)
    }

    /// The same for rows whose parents are inserted by a later transaction.
    pub(crate) fn write_before_parents<R: Send + 'static>(
        &self,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        submit(&*self.store(), Job { change, keeps: true, precedes_parents: true })
    }

    /// The same, but the job returns `false` in any case: nothing of what it wrote may remain.
    pub(crate) fn write_and_roll_back<R: Send + 'static>(
        &self,
        change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        submit(&*self.store(), Job { change, keeps: false, precedes_parents: false })
    }

    /// Runs `query` in a read transaction.
    pub(crate) fn read<R: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn StoreRead) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        read(&*self.store(), query)
    }
}

/// Runs `query` in a read transaction of a store.
pub(crate) fn read<R: Send + 'static>(
    store: &dyn Store,
    query: impl FnOnce(&dyn StoreRead) -> Result<R> + Send + 'static,
) -> Result<R> {
    let (sender, receiver) = channel();
    let send = move |answer| sender.send(answer).expect("the case waits for the read");
    store.read("case", Box::new(move |tx| send(tx.and_then(query))));
    receiver.try_recv().expect("a read runs on the calling thread")
}

/// Runs `change` in a transaction of a store; see [`TestStore::write`].
pub(crate) fn write<R: Send + 'static>(
    store: &dyn Store,
    change: impl Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
) -> Result<R> {
    submit(store, Job { change, keeps: true, precedes_parents: false })
}

fn submit<F, R>(store: &dyn Store, job: Job<F>) -> Result<R>
where
    F: Fn(&dyn StoreWrite) -> Result<R> + Send + 'static,
    R: Send + 'static,
{
    let (sender, receiver) = channel();
    store.submit_write(Box::new(QueuedJob { job, answer: None, sender }));
    receiver.recv_timeout(PATIENCE).expect("the store answers a write")
}

/// A write of a case.
struct Job<F> {
    change: F,
    /// Whether the job asks for the commit of a change without an error.
    keeps: bool,
    precedes_parents: bool,
}

/// A write that sends its result to the case.
struct QueuedJob<F, R> {
    job: Job<F>,
    answer: Option<Result<R>>,
    sender: Sender<Result<R>>,
}

impl<F, R> WriteJob for QueuedJob<F, R>
where
    F: Fn(&dyn StoreWrite) -> Result<R> + Send,
    R: Send,
{
    fn run(&mut self, tx: &dyn StoreWrite) -> bool {
        let answer = (self.job.change)(tx);
        let commits = self.job.keeps && answer.is_ok();
        self.answer = Some(answer);
        commits
    }

    fn precedes_parents(&self) -> bool {
        self.job.precedes_parents
    }

    fn finish(self: Box<Self>, committed: Result<()>) {
        let QueuedJob { answer, sender, .. } = *self;
        let unfinished = || Err(Error::new(Code::Internal, "the write ended before it returned"));
        // The case may have failed while the write was waiting.
        let _ = sender.send(committed.and_then(|()| answer.unwrap_or_else(unfinished)));
    }
}

/// Runs a case against an empty store. After it, all counts must be those of the rows that they count.
pub(crate) fn check(kind: Kind, case: fn(&TestStore)) {
    let Some(store) = TestStore::open(kind) else { return };
    case(&store);
    let mismatch = store.read(|tx| tx.first_count_mismatch()).expect("the counts can be compared");
    assert_eq!(mismatch, None, "after the case");
}

fn open_sqlite() -> TestStore {
    let (folder, file) = sqlite_file();
    std::fs::write(&file, EMPTY_SQLITE.as_slice()).expect("a file can be written");
    let clock = Clock::system();
    let shifted = clock.clone();
    let open = move || -> Arc<dyn Store> {
        // The closure owns the folder: it is deleted with the closure.
        let _ = &folder;
        Arc::new(SqliteStore::open(&file, clock.clone()).expect("a SQLite store"))
    };
    TestStore::new(open, move |by_ms| shifted.shift(by_ms))
}

/// The file of an empty SQLite store. The migrations that make one take longer than most cases.
static EMPTY_SQLITE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (_folder, file) = sqlite_file();
    drop(SqliteStore::open(&file, Clock::system()).expect("a SQLite store"));
    std::fs::read(&file).expect("a file can be read")
});

/// A temporary folder, and the path of a store inside it.
fn sqlite_file() -> (TempDir, PathBuf) {
    let folder = TempDir::with_prefix("tasktally-store-").expect("a temporary folder");
    let file = folder.path().join("tasktally.db");
    (folder, file)
}

/// An empty PostgreSQL store, or `None` if this machine has no server. It is a schema of a database that all cases share: a
/// database for each would take longer than most cases.
///
/// The schema precedes `pg_catalog` in the search path, and has a clock that the case can shift.
fn open_postgres() -> Option<TestStore> {
    static DATABASE: OnceLock<Option<Database>> = OnceLock::new();
    static CASES: AtomicU32 = AtomicU32::new(0);
    let database = DATABASE.get_or_init(|| Some(Cluster::shared()?.create_database())).as_ref()?;
    let schema = format!("case_{}", CASES.fetch_add(1, Ordering::Relaxed));
    let sql = database.sql();
    sql.execute_all(&format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE {schema}.clock AS SELECT 0::bigint AS by_ms;
         CREATE FUNCTION {schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
            'SELECT pg_catalog.clock_timestamp() + by_ms * interval ''1 millisecond'' FROM {schema}.clock'"
    ))
    .expect("a schema with a clock");
    let url = format!("{}?options=-csearch_path%3D{schema}%2Cpg_catalog", database.url());
    let address = Address::parse(&url, |_| None).expect("an address");
    let open = move || -> Arc<dyn Store> {
        Arc::new(PostgresStore::open(address.clone()).expect("a store in PostgreSQL"))
    };
    let sql = Mutex::new(sql);
    let shift = move |by_ms: i64| {
        let sql = sql.lock().unwrap_or_else(PoisonError::into_inner);
        let update = format!("UPDATE {schema}.clock SET by_ms = by_ms + ?1");
        sql.execute(&update, &[&by_ms]).expect("the clock can be shifted");
    };
    Some(TestStore::new(open, shift))
}

/// Defines cases. Each is a module of its name with one test for each kind of store.
macro_rules! conformance {
    ($( $(#[$meta:meta])* fn $name:ident($store:ident: &TestStore) $body:block )+) => { $(
        mod $name {
            use super::*;

            $(#[$meta])*
            fn case($store: &TestStore) $body

            #[test]
            fn sqlite() {
                crate::stores::check(crate::stores::Kind::Sqlite, case);
            }

            #[test]
            fn postgres() {
                crate::stores::check(crate::stores::Kind::Postgres, case);
            }
        }
    )+ };
}
pub(crate) use conformance;
