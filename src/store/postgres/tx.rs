//! One transaction: what it has written and not sent yet, what it has read, and the numbers that it gives.
//!
//! A statement that returns nothing is kept until the next query or the commit, and is sent together with it. So are the
//! statements that begin the transaction, and the queries that will probably follow (see [`super::predictions`]). A result is
//! kept until the transaction writes.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::connection::Connection;
use super::failure::Failure;
use super::new_items::NewItems;
use super::predictions::Predictions;
use super::schema::{SCHEMA_VERSION, refuse_other_schema};
use super::statement::{Row, Statement, database_time};
use super::value::{Value, values};
use crate::error::{Code, Error, Result};
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::rows::StoredRow as _;

/// The results of how many queries are kept: `verify` reads the whole store in one transaction.
const MAX_KEPT: usize = 256;

/// The database's time in milliseconds, as the transaction read it at its beginning.
macro_rules! now {
    () => {
        "current_setting('tasktally.now')::bigint"
    };
}
pub(super) use now;

/// What a transaction reads when it has begun: the time, which [`now`] names from then on, the numbers that were given, the
/// version of the schema, and an expression.
macro_rules! beginning {
    ($more:literal) => {
        concat!(
            "SELECT set_config('tasktally.now', ",
            database_time!(),
            "::text, true)::bigint, c.change_number, c.task_row, c.receipt_row, v.version, ",
            $more,
            " FROM counter c, schema_version v"
        )
    };
}

/// Begins a transaction that sees one state of the store.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Begins a transaction that only reads.
const READ: [&str; 2] = [BEGIN_READ, beginning!("false")];
/// Begins a transaction that waits for the lock. Under another isolation level, it would see the state before it waited.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Waits for the lock of the store that the connection's search path names. If the client's machine is cut off while it has
/// the lock, PostgreSQL ends the transaction after a while. Without that, all writes would wait for the connection's keepalive.
pub(super) const LOCK: &str = "SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
            pg_advisory_xact_lock(hashtextextended('tasktally.' || current_schema(), 0))";
/// Begins a transaction that writes.
const WRITE: [&str; 3] = [BEGIN, LOCK, beginning!("pg_is_in_recovery()")];

/// Said while the server is a standby. It may be promoted, so a write is tried again for a while.
const STANDBY: &str = "the database server is a standby and accepts no writes. Name the primary server, or add target_session_attrs=read-write and all hosts to the address of the store";

/// The numbers in the row of `counter`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) change_number: u64,
    pub(super) task_row: RowId,
    pub(super) receipt_row: RowId,
}

/// What a transaction read when it had begun.
#[derive(Debug)]
struct Beginning {
    now: Timestamp,
    counters: Counters,
}

/// Implements `StoreRead` and `StoreWrite`.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    opening: &'static [&'static str],
    beginning: OnceCell<Beginning>,
    /// The numbers, once this transaction gave some.
    counters: Cell<Option<Counters>>,
    pending: RefCell<Vec<Statement>>,
    pub(super) new_items: RefCell<NewItems>,
    failure: RefCell<Option<Failure>>,
    /// The results of the queries since the last write.
    results: RefCell<HashMap<Statement, Rc<Vec<Row>>>>,
    /// The queries since the last write, in their order.
    asked: RefCell<Vec<Statement>>,
    predictions: &'a Predictions,
    /// The place in the program whose queries these are.
    name: Cell<&'static str>,
}

impl<'a> Tx<'a> {
    /// A transaction that only reads. It begins with its first query.
    pub(super) fn reading(connection: &'a Connection, predictions: &'a Predictions) -> Self {
        Tx::new(connection, predictions, &READ)
    }

    /// A transaction that writes. It begins with its first query, which waits until no other process writes.
    pub(super) fn writing(connection: &'a Connection, predictions: &'a Predictions) -> Self {
        Tx::new(connection, predictions, &WRITE)
    }

    fn new(
        connection: &'a Connection,
        predictions: &'a Predictions,
        opening: &'static [&'static str],
    ) -> Self {
        Tx {
            connection,
            opening,
            beginning: OnceCell::new(),
            counters: Cell::new(None),
            pending: RefCell::default(),
            new_items: RefCell::default(),
            failure: RefCell::default(),
            results: RefCell::default(),
            asked: RefCell::default(),
            predictions,
            name: Cell::new(""),
        }
    }

    /// Begins the transaction if it has not begun. A failure is kept for [`Tx::take_failure`].
    pub(super) fn begin(&self) {
        if self.beginning.get().is_none() && self.failure.borrow().is_none() {
            // The failure is kept.
            let _ = self.exchange(Vec::new());
        }
    }

    /// Names the place in the program whose queries come now.
    pub(super) fn set_name(&self, name: &'static str) {
        self.forget_results();
        self.name.set(name);
    }

    /// The database's time. After a failure any time: then nothing of the transaction is kept.
    pub(super) fn now(&self) -> Timestamp {
        self.begin();
        self.beginning.get().map_or(Timestamp::from_millis(0), |beginning| beginning.now)
    }

    /// The numbers as they are now. See [`Tx::restore`].
    pub(super) fn counters(&self) -> Counters {
        self.counters.get().unwrap_or_else(|| {
            self.begin();
            self.beginning.get().map_or_else(Counters::default, |beginning| beginning.counters)
        })
    }

    /// The numbers that were given, if some were.
    pub(super) fn given(&self) -> Option<Counters> {
        self.counters.get()
    }

    /// Takes numbers back that a rolled back request was given.
    pub(super) fn restore(&self, given: Option<Counters>) {
        self.counters.set(given);
        self.new_items.borrow_mut().clear();
    }

    /// Why a statement failed, if one did. The transaction cannot go on then.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// Allocates the next change number.
    pub(super) fn next_change_number(&self) -> u64 {
        self.next_change_numbers(1)
    }

    /// Allocates the next `count` change numbers, and returns the first one.
    pub(super) fn next_change_numbers(&self, count: u64) -> u64 {
        let counters = self.counters();
        self.counters.set(Some(Counters { change_number: counters.change_number + count, ..counters }));
        counters.change_number + 1
    }

    /// Allocates a row of a task.
    pub(super) fn next_task_row(&self) -> RowId {
        let row = self.counters().task_row + 1;
        self.use_task_row(row);
        row
    }

    /// Gives later tasks rows after this one.
    pub(super) fn use_task_row(&self, row: RowId) {
        let counters = self.counters();
        self.counters.set(Some(Counters { task_row: counters.task_row.max(row), ..counters }));
    }

    /// Allocates a row of a receipt.
    pub(super) fn next_receipt_row(&self) -> RowId {
        let counters = self.counters();
        self.counters.set(Some(Counters { receipt_row: counters.receipt_row + 1, ..counters }));
        counters.receipt_row + 1
    }

    /// Sends a statement with the next query or the commit.
    pub(super) fn write(&self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.forget_results();
        self.flush_new_items();
        self.pending.borrow_mut().push(Statement::with(sql, values));
    }

    /// Adds an item to those that are inserted with the next query or the commit.
    ///
    /// # Errors
    /// If many were added and the database refuses them.
    pub(super) fn write_item(
        &self,
        batch: RowId,
        chunk: RowId,
        position: u64,
        key: &str,
        fields: &str,
    ) -> Result<()> {
        self.forget_results();
        self.new_items.borrow_mut().push(batch, chunk, position, key, fields);
        self.flush_if_large()
    }

    /// Sends a statement that has to change exactly one row: otherwise the transaction fails with this message.
    pub(super) fn write_one(&self, message: String, sql: &'static str, mut values: Vec<Value>) {
        values.push(Value::Text(Some(message)));
        let sql = format!(
            "WITH changed AS ({sql} RETURNING 1) SELECT refuse_unless(count(*) = 1, ${}) FROM changed",
            values.len()
        );
        self.write(sql, values);
    }

    /// What was read may no longer be true.
    fn forget_results(&self) {
        self.results.borrow_mut().clear();
        self.predictions.learn(self.name.get(), self.asked.take());
    }

    /// Adds the statements that insert the collected items.
    fn flush_new_items(&self) {
        let statements = self.new_items.borrow_mut().take();
        self.pending.borrow_mut().extend(statements);
    }

    /// Sends the statements that were kept, and those of `last`. Returns the results of `last`.
    fn exchange(&self, last: Vec<Statement>) -> Result<Vec<Vec<Row>>> {
        if let Some(failure) = &*self.failure.borrow() {
            return Err(failure.error());
        }
        self.flush_new_items();
        let begins = self.beginning.get().is_none();
        let opening = if begins { self.opening } else { &[] };
        let mut statements: Vec<Statement> = opening.iter().map(|sql| Statement::plain(*sql)).collect();
        statements.append(&mut self.pending.borrow_mut());
        let kept = statements.len();
        statements.extend(last);
        let is_repeatable = begins && std::ptr::eq(self.opening, READ.as_slice());
        let exchanged = self.connection.exchange_again(statements, is_repeatable).and_then(|mut results| {
            if begins {
                let row = results.get(opening.len() - 1).and_then(|rows| rows.first());
                let beginning = read_beginning(row)?;
                // It was empty.
                let _ = self.beginning.set(beginning);
            }
            Ok(results.split_off(kept))
        });
        exchanged.map_err(|failure| {
            let error = failure.error();
            // The first failure is the cause of all that follow.
            self.failure.borrow_mut().get_or_insert(failure);
            error
        })
    }

    /// The rows of a query, which may have been read before.
    fn query(&self, query: Statement) -> Result<Rc<Vec<Row>>> {
        debug_assert!(!query.sql.contains("RETURNING"), "a statement that writes is no query: {}", query.sql);
        if let Some(known) = self.results.borrow().get(&query) {
            let known = known.clone();
            self.asked.borrow_mut().push(query);
            return Ok(known);
        }
        if self.asked.borrow().len() >= MAX_KEPT {
            self.forget_results();
        }
        let is_first = self.asked.borrow().is_empty();
        let mut queries = vec![query.clone()];
        if is_first {
            queries.extend(self.predictions.after(self.name.get(), &query));
        }
        // A query that was only guessed may be the one that failed.
        let forget = |_: &Error| self.predictions.forget(self.name.get(), &query);
        let results = self.exchange(queries.clone()).inspect_err(forget)?;
        let mut known = self.results.borrow_mut();
        for (query, rows) in queries.into_iter().zip(results) {
            known.insert(query, Rc::new(rows));
        }
        let rows = known.get(&query).cloned().unwrap_or_default();
        self.asked.borrow_mut().push(query);
        Ok(rows)
    }

    /// Runs a statement that writes and returns rows, and returns how many.
    pub(super) fn count_written(&self, sql: &'static str, values: Vec<Value>) -> Result<usize> {
        self.forget_results();
        let mut results = self.exchange(vec![Statement::with(sql, values)])?;
        Ok(results.pop().unwrap_or_default().len())
    }

    /// Sends what was kept if it has become large.
    fn flush_if_large(&self) -> Result<()> {
        const MANY: usize = 20_000;
        if self.new_items.borrow().inserted() < MANY {
            return Ok(());
        }
        self.new_items.borrow_mut().forget_inserted();
        self.exchange(Vec::new()).map(|_| ())
    }

    /// All rows of a query, mapped.
    pub(super) fn all<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        map: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.query(Statement::with(sql, values))?.iter().map(map).collect()
    }

    /// The first row of a query, mapped.
    pub(super) fn first<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        map: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        self.query(Statement::with(sql, values))?.first().map(map).transpose()
    }

    /// Ends the transaction and makes it durable.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        self.forget_results();
        if let Some(given) = self.given() {
            self.write(
                "UPDATE counter SET change_number = $1, task_row = $2, receipt_row = $3",
                values![given.change_number, given.task_row, given.receipt_row],
            );
        }
        match self.exchange(vec![Statement::plain("COMMIT")]) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.take_failure().unwrap_or(Failure::Refused(error))),
        }
    }

    /// Ends the transaction without a trace.
    pub(super) fn roll_back(&self) {
        self.forget_results();
        self.pending.take();
        self.new_items.borrow_mut().clear();
        if self.beginning.get().is_some() {
            self.connection.send(vec![Statement::plain("ROLLBACK")]);
        }
    }
}

fn read_beginning(row: Option<&Row>) -> Result<Beginning, Failure> {
    let row = row.ok_or_else(|| Failure::Refused(refuse_other_schema(None)))?;
    let read = || -> Result<(i64, bool, Beginning)> {
        let counters =
            Counters { change_number: row.get(1)?, task_row: row.get(2)?, receipt_row: row.get(3)? };
        Ok((row.get(4)?, row.get(5)?, Beginning { now: Timestamp::from_millis(row.get(0)?), counters }))
    };
    let (version, is_standby, beginning) = read().map_err(Failure::Refused)?;
    if is_standby {
        return Err(Failure::ConnectionLost(Error::new(Code::ReadOnly, STANDBY)));
    }
    if version != SCHEMA_VERSION {
        return Err(Failure::Refused(refuse_other_schema(Some(version))));
    }
    Ok(beginning)
}
