//! Connections: each sends several statements at once and waits for all their results together.
//!
//! The client library runs on a thread of its own, so any thread may call and wait, one that runs futures as well.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::address::Address;
use super::failure::Failure;
use super::prepared::PreparedStatements;
use super::servers::open_client;
use super::statement::{Row, Statement};
use crate::error::{Code, Error, Result};

/// After how long without use a connection is given back.
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// How long connecting is tried while the server starts, stops or has no connection free.
const CONNECT_FOR: Duration = Duration::from_secs(20);
/// The pause between two tries.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The rows of each statement of an exchange.
pub(super) type Results = Vec<Vec<Row>>;

/// The thread that runs the client library. It ends when the value is dropped.
pub(super) struct Network {
    handle: Handle,
    _stop: oneshot::Sender<()>,
    round_trips: Arc<AtomicU64>,
}

impl Network {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start() -> Result<Self> {
        let failed = |error| Error::internal("the thread for the database cannot be started", error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("database".into())
            .spawn(move || {
                // Ends with an error when the sender is dropped.
                let _ = runtime.block_on(stopped);
            })
            .map_err(failed)?;
        Ok(Network { handle, _stop: stop, round_trips: Arc::default() })
    }

    /// Runs a future on the thread and waits for its result.
    fn wait_for<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (sender, receiver) = sync_channel(1);
        self.handle.spawn(async move {
            // Nobody waits if the receiver is gone.
            let _ = sender.send(future.await);
        });
        receiver.recv().ok()
    }

    /// Calls a function after some time, unless the thread has ended.
    pub(super) fn after(&self, time: Duration, call: impl FnOnce() + Send + 'static) {
        self.handle.spawn(async move {
            tokio::time::sleep(time).await;
            call();
        });
    }

    /// Runs a future beside all others, until it ends or the thread does.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }

    /// How many times this process has waited for an answer of the database.
    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Connects.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses the connection.
    pub(super) fn connect(self: &Arc<Self>, address: &Address) -> Result<Connection, Failure> {
        let servers = address.clone();
        let opened = self.wait_for(async move { open_client(&servers).await });
        let opened = opened.unwrap_or_else(|| Err(Failure::ConnectionLost(stopped())))?;
        let prepared = opened.is_direct.then(PreparedStatements::default);
        Ok(Connection {
            session: Mutex::new(Arc::new(Session { client: opened.client, prepared })),
            network: self.clone(),
            address: address.clone(),
        })
    }

    /// Connects; tries again for a while if the server may accept a connection later.
    ///
    /// # Errors
    /// If no connection could be made in that time, or the server refuses for good.
    pub(super) fn connect_patiently(self: &Arc<Self>, address: &Address) -> Result<Connection, Failure> {
        let started = Instant::now();
        loop {
            match self.connect(address) {
                Err(Failure::ConnectionLost(error)) if started.elapsed() < CONNECT_FOR => {
                    tracing::debug!(%error, "connecting again");
                    std::thread::sleep(CONNECT_PAUSE);
                }
                connected => return connected,
            }
        }
    }
}

fn stopped() -> Error {
    Error::new(Code::Internal, "the thread for the database has ended; restart tasktally")
}

/// A session of the database server.
struct Session {
    client: Client,
    /// None if the server may run another client's statements in between.
    prepared: Option<PreparedStatements>,
}

/// A connection to the database.
pub(super) struct Connection {
    session: Mutex<Arc<Session>>,
    network: Arc<Network>,
    address: Address,
}

impl Connection {
    /// Whether the connection can no longer be used.
    pub(super) fn is_closed(&self) -> bool {
        self.session().client.is_closed()
    }

    fn session(&self) -> Arc<Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same as [`Connection::exchange`]. If the connection has ended since it was used last and `is_repeatable`, connects
    /// again and sends the statements again.
    pub(super) fn exchange_again(
        &self,
        statements: Vec<Statement>,
        is_repeatable: bool,
    ) -> Result<Results, Failure> {
        if !is_repeatable {
            return self.exchange(statements);
        }
        match self.exchange(statements.clone()) {
            Err(Failure::ConnectionLost(_)) => {
                let session = self.network.connect_patiently(&self.address)?.session();
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
                self.exchange(statements)
            }
            exchanged => exchanged,
        }
    }

    /// Sends statements in one go and waits for their results: one round trip, however many statements.
    ///
    /// # Errors
    /// The first failure. In a transaction, PostgreSQL then executes none of the statements after it.
    pub(super) fn exchange(&self, statements: Vec<Statement>) -> Result<Results, Failure> {
        self.network.round_trips.fetch_add(1, Ordering::Relaxed);
        refuse_nul(&statements)?;
        let session = self.session();
        let results = self.network.wait_for(async move { run_all(&session, &statements).await });
        results.unwrap_or_else(|| Err(Failure::ConnectionLost(stopped())))
    }

    /// Prepares statements that were used several times, without waiting for it.
    pub(super) fn prepare_used(&self) {
        let session = self.session();
        self.network.spawn(async move {
            if let Some(prepared) = &session.prepared {
                prepared.prepare_used(&session.client).await;
            }
        });
    }

    /// Executes statements without parameters, separated by semicolons.
    ///
    /// # Errors
    /// The first failure.
    pub(super) fn execute_script(&self, script: &'static str) -> Result<(), Failure> {
        let session = self.session();
        let result = self.network.wait_for(async move { session.client.batch_execute(script).await });
        result.unwrap_or(Ok(())).map_err(Failure::of)
    }

    /// Sends statements without waiting for their results. The server executes them before any later statement of the connection.
    pub(super) fn send(&self, statements: Vec<Statement>) {
        let session = self.session();
        self.network.handle.spawn(async move {
            if let Err(failure) = run_all(&session, &statements).await {
                tracing::debug!(error = %failure.error(), "a transaction could not be ended");
            }
        });
    }
}

/// Refuses a text that PostgreSQL cannot store, before anything is sent.
fn refuse_nul(statements: &[Statement]) -> Result<(), Failure> {
    if !statements.iter().any(|statement| statement.values.iter().any(|value| value.contains_nul())) {
        return Ok(());
    }
    Err(Failure::Refused(Error::invalid(
        "nothing was written: a text contains the character NUL (U+0000), which a store in PostgreSQL cannot hold; remove it",
    )))
}

type Running<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>> + Send + 'a>>;

/// Runs statements on one connection. Polling a statement for the first time sends it, so all of them are on their way
/// before the first answer is waited for.
async fn run_all(session: &Session, statements: &[Statement]) -> Result<Results, Failure> {
    let run_one =
        |statement| Box::pin(run(&session.client, session.prepared.as_ref(), statement)) as Running<'_>;
    let mut running: Vec<Running<'_>> = statements.iter().map(run_one).collect();
    let mut results: Vec<Option<Result<Vec<Row>, Failure>>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, result) in running.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(rows) = future.as_mut().poll(context)
            {
                *result = Some(rows.map(|rows| rows.into_iter().map(Row).collect()).map_err(Failure::of));
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Runs one statement on a client.
///
/// # Errors
/// As the client library reports it.
pub(super) async fn run(
    client: &Client,
    prepared: Option<&PreparedStatements>,
    statement: &Statement,
) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error> {
    if let Some(prepared) = prepared.and_then(|prepared| prepared.find(statement)) {
        let values = statement.values.iter().map(|value| value as &(dyn ToSql + Sync));
        return client.query(&prepared, &values.collect::<Vec<_>>()).await;
    }
    let values: Vec<_> =
        statement.values.iter().map(|value| (value as &(dyn ToSql + Sync), value.sql_type())).collect();
    client.query_typed(&statement.sql, &values).await
}
