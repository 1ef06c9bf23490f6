//! A store in a staging directory that is filled from the tables of another database, or that another database is filled
//! from.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, params_from_iter};

use super::{copy, line};
use crate::error::Result;
use crate::store::sqlite::connection;
use crate::store::sqlite::large_batch::DELETE_ALL_UNPUBLISHED;
use crate::store::sqlite::rows::sql_error;
use crate::store::tables::Table;

/// A value of a row.
pub(in crate::store) use rusqlite::types::Value as Cell;

/// Begins to fill an empty store that no other process can open.
///
/// Triggers are off, because the rows contain the counts that triggers would maintain. Foreign keys are off too; the
/// integrity check verifies them at the end.
pub(super) fn begin_filling(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;
         PRAGMA cache_size = -16000; BEGIN IMMEDIATE;",
    )?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    Ok(())
}

/// Ends it, and leaves no WAL.
pub(super) fn end_filling(connection: Connection) -> rusqlite::Result<()> {
    connection.execute_batch("COMMIT; PRAGMA journal_mode = WAL;")?;
    copy::truncate_wal(&connection)?;
    connection.close().map_err(|(_, error)| error)
}

fn write_error(error: rusqlite::Error) -> crate::error::Error {
    sql_error("the copy of the store could not be written", error)
}

fn read_error(error: rusqlite::Error) -> crate::error::Error {
    sql_error("the copy of the store could not be read", error)
}

/// Fills a new store with rows.
pub(in crate::store) struct CopyWriter {
    connection: Connection,
}

impl CopyWriter {
    /// Creates a store without rows.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(in crate::store) fn create(file: &Path) -> Result<Self> {
        let connection = connection::open(&connection::register(file)?)?;
        begin_filling(&connection).map_err(write_error)?;
        Ok(CopyWriter { connection })
    }

    /// Inserts a row, with a cell for each column of the table.
    ///
    /// # Errors
    /// If the row cannot be written.
    pub(in crate::store) fn insert(&self, table: &Table, cells: Vec<Cell>) -> Result<()> {
        self.connection
            .prepare_cached(&line::insert(table))
            .and_then(|mut statement| statement.execute(params_from_iter(cells)))
            .map_err(write_error)?;
        Ok(())
    }

    /// Ends the store. It has no search index, because an export has none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(in crate::store) fn finish(self) -> Result<()> {
        // A batch that is being inserted is not visible, so it is no part of the copy.
        self.connection.execute_batch(DELETE_ALL_UNPUBLISHED).map_err(write_error)?;
        // No trigger has inserted the keys.
        let keys = "INSERT INTO item_key (batch, key, chunk, position) SELECT batch, key, chunk, position FROM item ORDER BY batch, key";
        self.connection.execute_batch(keys).map_err(write_error)?;
        end_filling(self.connection).map_err(write_error)
    }
}

/// Reads the rows of a store.
pub(in crate::store) struct CopyReader {
    connection: Connection,
}

impl CopyReader {
    /// Opens a store.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::store) fn open(file: &Path) -> Result<Self> {
        Ok(CopyReader { connection: connection::open_reader(file)? })
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::store) fn count(&self, table: &Table) -> Result<u64> {
        let count = format!("SELECT count(*) FROM \"{}\"", table.name);
        self.connection.query_row(&count, [], |row| row.get(0)).map_err(read_error)
    }

    /// The largest value of a column, or 0.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::store) fn largest(&self, table: &'static str, column: &'static str) -> Result<i64> {
        let largest = format!("SELECT ifnull(max(\"{column}\"), 0) FROM \"{table}\"");
        self.connection.query_row(&largest, [], |row| row.get(0)).map_err(read_error)
    }

    /// Calls `visit` with the cells of each row of a table, as they are stored, in the table's order.
    ///
    /// # Errors
    /// The first error of `visit`, or if the table cannot be read.
    pub(in crate::store) fn for_each_row(
        &self,
        table: &Table,
        visit: &mut dyn FnMut(Vec<Cell>) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<String> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM \"{}\" ORDER BY {}", names.join(", "), table.name, table.order);
        let mut statement = self.connection.prepare(&sql).map_err(read_error)?;
        let mut rows = statement.query([]).map_err(read_error)?;
        while let Some(row) = rows.next().map_err(read_error)? {
            let cells: rusqlite::Result<Vec<Cell>> =
                (0..table.columns.len()).map(|column| row.get(column)).collect();
            visit(cells.map_err(read_error)?)?;
        }
        Ok(())
    }
}
