//! Copies the tables of a SQLite store to an empty database, in one transaction.

use std::path::Path;

use super::page::{Page, cell};
use super::{copy_from, query_one};
use crate::error::{Code, Error, Result};
use crate::store::chains::verify_chains;
use crate::store::postgres::address::Address;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::tx::Tx;
use crate::store::postgres::tx::predictions::Predictions;
use crate::store::postgres::value::{Value, values};
use crate::store::rows::StoredRow as _;
use crate::store::sqlite::transfer::{Cell, CopyReader, ReportProgress, refuse_not_empty};
use crate::store::tables::{TABLES, Table, UNPUBLISHED};

/// How many parents one statement sets.
const PARENTS: usize = 5_000;

/// Refuses a database with a row in any table, or with a batch that is being inserted.
///
/// # Errors
/// `conflict` if there is one.
pub(super) fn check_empty(connection: &Connection, address: &Address) -> Result<()> {
    let tables = TABLES.iter().chain([&UNPUBLISHED]);
    let has_rows: Vec<String> =
        tables.map(|table| format!("EXISTS (SELECT 1 FROM \"{}\")", table.name)).collect();
    let found = query_one(connection, Statement::plain(format!("SELECT {}", has_rows.join(" OR "))))?;
    if found.get(0)? { Err(refuse_not_empty(address)) } else { Ok(()) }
}

/// Fills the database, verifies it and commits. Returns the size of the tables.
///
/// # Errors
/// If the database is not empty, or does not accept the rows. Nothing is changed.
pub(super) fn fill(
    connection: &Connection,
    address: &Address,
    imported: &Path,
    report: ReportProgress<'_>,
) -> Result<u64> {
    let predictions = Predictions::default();
    let tx = Tx::writing(connection, &predictions);
    tx.begin();
    if let Some(failure) = tx.take_failure() {
        return Err(failure.into_error());
    }
    check_empty(connection, address)?;
    copy_tables(connection, imported, report).map_err(|error| nothing_imported(&error))?;
    report("Verifying", 0, 0);
    // Without statistics, PostgreSQL would read whole tables for each task.
    let analyze = TABLES.iter().map(|table| Statement::plain(format!("ANALYZE \"{}\"", table.name)));
    connection.exchange(analyze.collect()).map_err(|failure| nothing_imported(&failure.into_error()))?;
    verify(&tx)?;
    let bytes = copy_from::table_bytes(connection)?;
    match connection.exchange(vec![Statement::plain("COMMIT")]) {
        Ok(_) => Ok(bytes),
        Err(Failure::ConnectionLost(error)) => Err(Error::new(
            error.code,
            format!(
                "{error}, when the import was committed: either all of it is in the database, or nothing. List the tasks to see which, and repeat the import if there are none"
            ),
        )),
        Err(failure) => Err(nothing_imported(&failure.into_error())),
    }
}

fn nothing_imported(error: &Error) -> Error {
    Error::new(error.code, format!("{error}; nothing was imported"))
}

fn copy_tables(connection: &Connection, imported: &Path, report: ReportProgress<'_>) -> Result<()> {
    let copy = CopyReader::open(imported)?;
    let counts: Result<Vec<u64>> = TABLES.iter().map(|table| copy.count(table)).collect();
    let (mut done, total) = (0, counts?.iter().sum());
    for table in TABLES {
        let mut page = Page::new(table);
        copy.for_each_row(table, &mut |cells| {
            page.push(cells)?;
            done += 1;
            if page.is_full() {
                report("Writing", done, total);
                send(connection, std::mem::replace(&mut page, Page::new(table)))?;
            }
            Ok(())
        })?;
        send(connection, page)?;
        if table.name == "task" {
            set_later_parents(connection, &copy, table)?;
        }
    }
    let counters = Statement::with(
        "UPDATE counter SET change_number = greatest(change_number, $1), task_row = greatest(task_row, $2),
                            receipt_row = greatest(receipt_row, $3)",
        values![
            copy.largest("task", "change_number")?,
            copy.largest("task", "row_id")?,
            copy.largest("receipt", "row_id")?
        ],
    );
    connection.exchange(vec![counters]).map_err(Failure::into_error)?;
    Ok(())
}

fn send(connection: &Connection, page: Page<'_>) -> Result<()> {
    if let Some(insert) = page.into_statement() {
        connection.exchange(vec![insert]).map_err(Failure::into_error)?;
    }
    Ok(())
}

/// Sets the parents that come after their children.
fn set_later_parents(connection: &Connection, copy: &CopyReader, tasks: &Table) -> Result<()> {
    let (mut rows, mut parents) = (Vec::new(), Vec::new());
    let set = |rows: &mut Vec<Option<i64>>, parents: &mut Vec<Option<i64>>| {
        let update = Statement::with(
            "UPDATE task SET parent = later.parent FROM unnest($1, $2) AS later (row_id, parent) WHERE task.row_id = later.row_id",
            vec![Value::Numbers(std::mem::take(rows)), Value::Numbers(std::mem::take(parents))],
        );
        connection.exchange(vec![update]).map(|_| ()).map_err(Failure::into_error)
    };
    copy.for_each_row(tasks, &mut |cells| {
        if let (Some(Cell::Integer(row)), Some(Cell::Integer(parent))) =
            (cell(tasks, &cells, "row_id"), cell(tasks, &cells, "parent"))
            && parent >= row
        {
            rows.push(Some(*row));
            parents.push(Some(*parent));
        }
        if rows.len() >= PARENTS { set(&mut rows, &mut parents) } else { Ok(()) }
    })?;
    set(&mut rows, &mut parents)
}

/// Compares the hash chains and the counts in the database with its rows, before the commit.
fn verify(tx: &Tx<'_>) -> Result<()> {
    let verified = verify_chains(tx, Vec::new()).map_err(|error| nothing_imported(&error))?;
    match verified.problem {
        None => Ok(()),
        Some(problem) => Err(Error::new(
            Code::Conflict,
            format!("nothing was imported: the database does not hold what was written to it: {problem}"),
        )),
    }
}
