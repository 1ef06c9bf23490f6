//! Copies the tables of the database to a new SQLite store, in one snapshot.

use std::path::Path;

use super::columns::declare_cursor;
use super::{query, query_one};
use crate::error::Result;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::statement::{Row, Statement};
use crate::store::postgres::tx::BEGIN_READ;
use crate::store::rows::StoredRow as _;
use crate::store::sqlite::transfer::{Cell, CopyWriter, ReportProgress};
use crate::store::tables::{ColumnKind, Storage, TABLES, Table, UNPUBLISHED};

/// How many rows are in memory at a time. A row has up to 1 MiB.
const FETCH: &str = "FETCH 200 FROM rows";

/// The size of the store's tables, without indexes.
pub(super) fn table_bytes(connection: &Connection) -> Result<u64> {
    let sizes = "SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class
                  WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
    query_one(connection, Statement::plain(sizes))?.get(0)
}

/// Copies all tables to a new file.
///
/// # Errors
/// If the database cannot be read or the file cannot be written.
pub(super) fn copy_tables(connection: &Connection, file: &Path, report: ReportProgress<'_>) -> Result<()> {
    let copy = CopyWriter::create(file)?;
    connection.exchange(vec![Statement::plain(BEGIN_READ)]).map_err(Failure::into_error)?;
    let mut done = 0;
    for table in TABLES.iter().chain([&UNPUBLISHED]) {
        let declare = Statement::plain(declare_cursor(table));
        connection.exchange(vec![declare]).map_err(Failure::into_error)?;
        loop {
            let rows = query(connection, Statement::plain(FETCH))?;
            if rows.is_empty() {
                break;
            }
            done += rows.len() as u64;
            for row in &rows {
                copy.insert(table, cells(table, row)?)?;
            }
            report("Copying", done, 0);
        }
        connection.exchange(vec![Statement::plain("CLOSE rows")]).map_err(Failure::into_error)?;
    }
    connection.exchange(vec![Statement::plain("ROLLBACK")]).map_err(Failure::into_error)?;
    copy.finish()
}

fn cells(table: &Table, row: &Row) -> Result<Vec<Cell>> {
    let cell = |(column, (_, kind)): (usize, &(&str, ColumnKind))| {
        let cell = match kind.storage() {
            Storage::Number => row.number(column)?.map(Cell::Integer),
            Storage::Text => row.text(column)?.map(Cell::Text),
            Storage::Bytes => row.bytes(column)?.map(Cell::Blob),
        };
        Ok(cell.unwrap_or(Cell::Null))
    };
    table.columns.iter().enumerate().map(cell).collect()
}
