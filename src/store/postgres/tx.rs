//! One transaction: what it has written and not sent yet, and the numbers that it gives.
//!
//! A statement that returns nothing is kept until the next query or the commit, and is sent together with it. So a
//! transaction waits for the database once per query, and once for its commit.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use super::connection::Connection;
use super::failure::Failure;
use super::new_items::NewItems;
use super::statement::{Row, Statement};
use super::value::{Value, values};
use crate::error::Result;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;

/// The numbers in the row of `counter`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) change_number: u64,
    pub(super) task_row: RowId,
    pub(super) receipt_row: RowId,
}

/// What a transaction begins with.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    /// The database's time.
    pub(super) now: Timestamp,
    pub(super) counters: Counters,
}

/// Implements `StoreRead` and `StoreWrite`.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    pub(super) now: Timestamp,
    stored: Counters,
    counters: Cell<Counters>,
    pending: RefCell<Vec<Statement>>,
    pub(super) new_items: RefCell<NewItems>,
    failure: RefCell<Option<Failure>>,
}

impl<'a> Tx<'a> {
    /// Over a transaction that was begun.
    pub(super) fn new(connection: &'a Connection, beginning: &Beginning) -> Self {
        Tx {
            connection,
            now: beginning.now,
            stored: beginning.counters,
            counters: Cell::new(beginning.counters),
            pending: RefCell::default(),
            new_items: RefCell::default(),
            failure: RefCell::default(),
        }
    }

    /// The numbers as they are now. See [`Tx::restore`].
    pub(super) fn counters(&self) -> Counters {
        self.counters.get()
    }

    /// Takes numbers back that a rolled back request was given.
    pub(super) fn restore(&self, counters: Counters) {
        self.counters.set(counters);
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
        let counters = self.counters.get();
        self.counters.set(Counters { change_number: counters.change_number + count, ..counters });
        counters.change_number + 1
    }

    /// Allocates a row of a task.
    pub(super) fn next_task_row(&self) -> RowId {
        let row = self.counters.get().task_row + 1;
        self.use_task_row(row);
        row
    }

    /// Gives later tasks rows after this one.
    pub(super) fn use_task_row(&self, row: RowId) {
        let counters = self.counters.get();
        self.counters.set(Counters { task_row: counters.task_row.max(row), ..counters });
    }

    /// Allocates a row of a receipt.
    pub(super) fn next_receipt_row(&self) -> RowId {
        let counters = self.counters.get();
        self.counters.set(Counters { receipt_row: counters.receipt_row + 1, ..counters });
        counters.receipt_row + 1
    }

    /// Sends a statement with the next query or the commit.
    pub(super) fn write(&self, sql: impl Into<Cow<'static, str>>, values: Vec<Value>) {
        self.flush_new_items();
        self.pending.borrow_mut().push(Statement::with(sql, values));
    }

    /// The same for a statement that has to change exactly one row: otherwise the transaction fails with this message.
    pub(super) fn write_one(&self, message: String, sql: &'static str, mut values: Vec<Value>) {
        values.push(Value::Text(Some(message)));
        let sql = format!(
            "WITH changed AS ({sql} RETURNING 1) SELECT refuse_unless(count(*) = 1, ${}) FROM changed",
            values.len()
        );
        self.write(sql, values);
    }

    /// Adds the statements that insert the collected items.
    fn flush_new_items(&self) {
        let statements = self.new_items.borrow_mut().take();
        self.pending.borrow_mut().extend(statements);
    }

    /// Sends the statements that were kept, and those of `last`. Returns the results of `last`.
    pub(super) fn exchange(&self, last: Vec<Statement>) -> Result<Vec<Vec<Row>>> {
        self.flush_new_items();
        let mut statements = self.pending.take();
        let kept = statements.len();
        statements.extend(last);
        match self.connection.exchange(statements) {
            Ok(mut results) => Ok(results.split_off(kept)),
            Err(failure) => {
                let error = failure.error();
                // The first failure is the cause of all that follow.
                self.failure.borrow_mut().get_or_insert(failure);
                Err(error)
            }
        }
    }

    /// Sends what was kept if it has become large.
    pub(super) fn flush_if_large(&self) -> Result<()> {
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
        let mut results = self.exchange(vec![Statement::with(sql, values)])?;
        results.pop().unwrap_or_default().iter().map(map).collect()
    }

    /// The first row of a query, mapped.
    pub(super) fn first<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Value>,
        map: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut results = self.exchange(vec![Statement::with(sql, values)])?;
        results.pop().unwrap_or_default().first().map(map).transpose()
    }

    /// Ends the transaction and makes it durable.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        let counters = self.counters.get();
        if counters != self.stored {
            self.write(
                "UPDATE counter SET change_number = $1, task_row = $2, receipt_row = $3",
                values![counters.change_number, counters.task_row, counters.receipt_row],
            );
        }
        match self.exchange(vec![Statement::plain("COMMIT")]) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.take_failure().unwrap_or(Failure::Refused(error))),
        }
    }

    /// Ends the transaction without a trace.
    pub(super) fn roll_back(&self) {
        self.pending.take();
        self.new_items.borrow_mut().clear();
        self.connection.send(vec![Statement::plain("ROLLBACK")]);
    }
}
