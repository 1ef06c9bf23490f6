//! One transaction: a connection and the moment it works with.

use std::cell::Cell;

use rusqlite::{Connection, OptionalExtension, Params, Row as SqlRow};

use super::connection::end_room;
use super::rows::sql_error;
use crate::error::Result;
use crate::model::timestamp::Timestamp;

/// What `Read` and `Write` are implemented for.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Timestamp,
    /// The number of the latest change, once it is known.
    sequence: Cell<Option<u64>>,
    /// How many items were put into batches.
    items: Cell<u64>,
}

/// How many items are many: their keys come in any order, and what of their index has no room in memory is
/// written and read again and again.
const MANY: u64 = 10_000;

impl<'a> Tx<'a> {
    /// A transaction that has begun.
    pub(super) fn new(connection: &'a Connection, now: Timestamp) -> Self {
        Tx { connection, now, sequence: Cell::new(None), items: Cell::new(0) }
    }

    /// The number of the latest change.
    pub(super) fn latest_change_number(&self) -> Result<u64> {
        if let Some(known) = self.sequence.get() {
            return Ok(known);
        }
        let latest = self
            .first("SELECT max(change_number) FROM task", [], |row| row.get::<_, Option<u64>>(0))?
            .flatten()
            .unwrap_or(0);
        self.sequence.set(Some(latest));
        Ok(latest)
    }

    /// The number of the next change, taken.
    pub(super) fn next_change(&self) -> Result<u64> {
        let next = self.latest_change_number()? + 1;
        self.sequence.set(Some(next));
        Ok(next)
    }

    /// Gives the connection room once many items come.
    pub(super) fn count_item(&self) -> Result<()> {
        self.items.set(self.items.get() + 1);
        if self.items.get() != MANY {
            return Ok(());
        }
        self.connection
            .execute_batch("PRAGMA cache_size = -28000")
            .map_err(|error| sql_error("the store could not be given memory", error))
    }

    /// Takes that room back, once the transaction has ended: what it came to is not changed by it.
    pub(super) fn end_room(&self) {
        if self.items.get() >= MANY
            && let Err(error) = end_room(self.connection)
        {
            tracing::warn!(%error, "the store keeps more memory than it needs");
        }
    }

    /// Looks the number up again, for some changes were taken back.
    pub(super) fn forget_sequence(&self) {
        self.sequence.set(None);
    }

    /// All rows of a query, mapped.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(params, map)?.collect())
            .map_err(|error| sql_error("the store could not be read", error))
    }

    /// The first row of a query, mapped.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&SqlRow<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params, map).optional())
            .map_err(|error| sql_error("the store could not be read", error))
    }

    /// Runs a statement; gives the number of rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|error| sql_error("the store could not be written", error))
    }
}
