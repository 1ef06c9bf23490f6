//! One transaction: a connection and the time that the transaction works with.

use std::cell::Cell;

use rusqlite::{Connection, OptionalExtension, Params, Row as SqlRow};

use super::connection::restore_cache_size;
use super::rows::sql_error;
use crate::error::Result;
use crate::model::timestamp::Timestamp;

/// Implements `StoreRead` and `StoreWrite`.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Timestamp,
    /// The latest change number, once it was read.
    change_number: Cell<Option<u64>>,
    /// How many items this transaction inserted.
    inserted_items: Cell<u64>,
    /// Whether the connection's cache is larger than usual.
    has_large_cache: Cell<bool>,
}

/// From how many items on the cache is enlarged. Item keys come in any order: pages of their index that are not in the
/// cache are written and read again and again.
const MANY_ITEMS: u64 = 5_000;

impl<'a> Tx<'a> {
    /// Over a transaction that was started.
    pub(super) fn new(connection: &'a Connection, now: Timestamp) -> Self {
        Tx {
            connection,
            now,
            change_number: Cell::new(None),
            inserted_items: Cell::new(0),
            has_large_cache: Cell::new(false),
        }
    }

    /// The latest change number.
    pub(super) fn latest_change_number(&self) -> Result<u64> {
        if let Some(known) = self.change_number.get() {
            return Ok(known);
        }
        let latest = self
            .first("SELECT max(change_number) FROM task", [], |row| row.get::<_, Option<u64>>(0))?
            .flatten()
            .unwrap_or(0);
        self.change_number.set(Some(latest));
        Ok(latest)
    }

    /// Allocates the next change number.
    pub(super) fn next_change_number(&self) -> Result<u64> {
        self.next_change_numbers(1)
    }

    /// Allocates the next `count` change numbers, and returns the first one.
    pub(super) fn next_change_numbers(&self, count: u64) -> Result<u64> {
        let latest = self.latest_change_number()?;
        self.change_number.set(Some(latest + count));
        Ok(latest + 1)
    }

    /// Counts an inserted item, and enlarges the cache at [`MANY_ITEMS`].
    pub(super) fn count_inserted_item(&self) -> Result<()> {
        self.inserted_items.set(self.inserted_items.get() + 1);
        if self.inserted_items.get() == MANY_ITEMS { self.enlarge_cache() } else { Ok(()) }
    }

    /// Enlarges the connection's cache until [`Tx::restore_cache_size`].
    pub(super) fn enlarge_cache(&self) -> Result<()> {
        self.has_large_cache.set(true);
        self.connection
            .execute_batch("PRAGMA cache_size = -28000")
            .map_err(|error| sql_error("the store's cache could not be enlarged", error))
    }

    /// Restores the cache's size after the transaction. A failure is only logged: the transaction has ended.
    pub(super) fn restore_cache_size(&self) {
        if self.has_large_cache.get()
            && let Err(error) = restore_cache_size(self.connection)
        {
            tracing::warn!(%error, "the store's cache keeps more memory than it needs");
        }
    }

    /// Reads the change number again when it is needed next, because changes were rolled back.
    pub(super) fn forget_change_number(&self) {
        self.change_number.set(None);
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

    /// Runs a statement and returns the number of rows that it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|error| sql_error("the store could not be written", error))
    }
}
