//! One transaction: a connection and the moment it works with.

use rusqlite::{Connection, OptionalExtension, Params, Row as SqlRow};

use super::rows::sql_error;
use crate::error::Result;
use crate::model::moment::Moment;

/// What `Read` and `Write` are implemented for.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Moment,
}

impl Tx<'_> {
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
