//! One transaction: what it has written and not sent yet, what it has read, and the numbers that it gives.
//!
//! A statement that returns nothing is kept until the next query or the commit, and is sent together with it. So are the
//! statements that begin the transaction, and the queries that will probably follow (see [`predictions`]). A result is
//! kept until the transaction writes a table that it was read from. A transaction that writes also keeps the rows that its
//! requests work on (see [`entities`]).

mod entities;
mod entity_check;
mod entity_load;
mod merged;
mod new_items;
mod opening;
mod pending;
pub(super) mod predictions;
mod queries;
mod requests;
mod tables;

use std::cell::{Cell, OnceCell, RefCell};

use self::entities::Entities;
use self::entity_load::Load;
use self::new_items::NewItems;
pub(super) use self::opening::{BEGIN, BEGIN_READ, Counters, LOCK, now};
use self::opening::{Beginning, READ, WRITE};
pub(super) use self::pending::Change;
use self::pending::Pending;
use self::predictions::Predictions;
use self::queries::KeptResults;
pub(super) use self::requests::must_change_one;
use super::connection::{Connection, Results};
use super::failure::Failure;
use super::statement::Statement;
use super::value::values;
use crate::error::Result;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::Subject;

/// Implements `StoreRead` and `StoreWrite`.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    opening: &'static [&'static str],
    beginning: OnceCell<Beginning>,
    /// The numbers, once this transaction gave some.
    counters: Cell<Option<Counters>>,
    pending: RefCell<Pending>,
    new_items: RefCell<NewItems>,
    failure: RefCell<Option<Failure>>,
    results: RefCell<KeptResults>,
    predictions: &'a Predictions,
    /// The place in the program whose queries these are.
    name: Cell<&'static str>,
    /// The rows that the requests work on.
    entities: RefCell<Entities>,
    /// What the requests of the group are about that have not run yet, the next one last.
    subjects: RefCell<Vec<Subject>>,
    /// Whether the next exchange loads what the requests are about.
    loads_subjects: Cell<bool>,
    /// The request that runs, if others share the transaction.
    request: Cell<Option<requests::Request>>,
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
            predictions,
            name: Cell::new(""),
            entities: RefCell::default(),
            subjects: RefCell::default(),
            loads_subjects: Cell::new(false),
            request: Cell::new(None),
        }
    }

    /// Whether the transaction writes. Only then it keeps rows: no other process changes them.
    fn writes(&self) -> bool {
        std::ptr::eq(self.opening, WRITE.as_slice())
    }

    /// Sends the statements that begin the transaction, unless they were sent before. [`Tx::take_failure`] returns a failure.
    pub(super) fn begin(&self) {
        if self.beginning.get().is_none() && self.failure.borrow().is_none() {
            // `exchange` stores the failure.
            let _ = self.exchange(Vec::new());
        }
    }

    /// The database's time. After a failure any time: then nothing of the transaction is kept.
    pub(super) fn now(&self) -> Timestamp {
        self.begin();
        self.beginning.get().map_or(Timestamp::from_millis(0), |beginning| beginning.now)
    }

    /// The numbers as they are now.
    pub(super) fn counters(&self) -> Counters {
        self.counters.get().unwrap_or_else(|| {
            self.begin();
            self.beginning.get().map_or_else(Counters::default, |beginning| beginning.counters)
        })
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

    /// Sends the statements that were kept, and those of `last`. Returns the results of `last`.
    fn exchange(&self, last: Vec<Statement>) -> Result<Results> {
        if let Some(failure) = &*self.failure.borrow() {
            return Err(failure.error());
        }
        self.protect_request(false);
        let begins = self.beginning.get().is_none();
        let opening = if begins { self.opening } else { &[] };
        let mut statements: Vec<Statement> = opening.iter().map(|sql| Statement::plain(*sql)).collect();
        statements.extend(self.pending.borrow_mut().take());
        let before_last = statements.len();
        statements.extend(last);
        let before_load = statements.len();
        let load = self.next_load();
        statements.extend(load.iter().flat_map(Load::statements));
        let is_repeatable = begins && !self.writes();
        let exchanged = self.connection.exchange_again(statements, is_repeatable).and_then(|mut results| {
            if begins {
                let row = results.get(opening.len() - 1).and_then(|rows| rows.first());
                let beginning = Beginning::read(row)?;
                // It was empty.
                let _ = self.beginning.set(beginning);
            }
            if let Some(load) = &load {
                let loaded = results.split_off(before_load);
                self.entities.borrow_mut().keep_loaded(load, loaded).map_err(Failure::Refused)?;
            }
            Ok(results.split_off(before_last))
        });
        exchanged.map_err(|failure| {
            let error = failure.error();
            // The first failure is the cause of all that follow.
            self.failure.borrow_mut().get_or_insert(failure);
            error
        })
    }

    /// Ends the transaction and makes it durable.
    pub(super) fn commit(&self) -> Result<(), Failure> {
        if let Some(given) = self.counters.get() {
            self.write_known(
                &["counter"],
                Statement::with(
                    "UPDATE counter SET change_number = $1, task_row = $2, receipt_row = $3",
                    values![given.change_number, given.task_row, given.receipt_row],
                ),
            );
        }
        self.loads_subjects.set(false);
        let (mut last, check) = self.check_statements();
        last.push(Statement::plain("COMMIT"));
        match self.exchange(last) {
            Ok(results) => {
                check.compare(results);
                self.connection.prepare_used();
                Ok(())
            }
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
            self.connection.prepare_used();
        }
    }
}
