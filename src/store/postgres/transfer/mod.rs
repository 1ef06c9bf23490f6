//! Export and import of a store in PostgreSQL, in the format of every export.
//!
//! The tables are copied to or from a SQLite store in a private temporary folder; the code for files does the rest
//! ([`crate::store::sqlite::transfer`]). So an export can be imported into either database.

mod columns;
mod copy_from;
mod copy_to;
mod page;

use std::io::BufRead;
use std::sync::Arc;

use super::address::Address;
use super::connection::{Connection, Network};
use super::failure::Failure;
use super::schema::{SCHEMA_VERSION, find_version, prepare};
use super::statement::{Row, Statement};
use crate::clock::Clock;
use crate::disk_space::check_space;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::transfer::{
    Destination, ReportProgress, StagingDir, StoreContents, export_copy, load_lines, prepare_export,
};

/// Exports a store. Returns its contents and the number of lines before the last.
///
/// # Errors
/// If the database has no store, if the store fails the integrity check, or if the lines cannot be written.
pub fn export(
    address: &Address,
    destination: Destination<'_>,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<(StoreContents, u64)> {
    let staging = prepare_export(&destination)?;
    let network = Arc::new(Network::start()?);
    let connection = network.connect_patiently(address).map_err(Failure::into_error)?;
    match find_version(&connection, address)? {
        Some(SCHEMA_VERSION) => {}
        Some(_) => prepare(&network, address)?,
        None => {
            return Err(Error::invalid(format!(
                "store {address}: the database has no store; check the address; create_task() and create_batch() create a store"
            )));
        }
    }
    check_space(&staging.parent(), copy_from::table_bytes(&connection)?, "the copy of the store")?;
    copy_from::copy_tables(&connection, &staging.copy(), report)?;
    drop(connection);
    export_copy(staging, destination, clock, report)
}

/// Fills an empty database from the lines of an export. `source` names the input in errors.
///
/// # Errors
/// If the store is not empty, if a line is invalid, or if the input is truncated or was changed. In each case, nothing
/// is imported.
pub fn import(
    input: &mut dyn BufRead,
    source: &str,
    address: &Address,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<StoreContents> {
    let network = Arc::new(Network::start()?);
    let connect = || network.connect_patiently(address).map_err(Failure::into_error);
    // Refused here already, because reading a large export takes long.
    let connection = connect()?;
    if find_version(&connection, address)?.is_some() {
        copy_to::check_empty(&connection, address)?;
    }
    drop(connection);
    let staging = StagingDir::temporary()?;
    let contents = load_lines(input, source, &staging, clock, report)?;
    prepare(&network, address)?;
    let bytes = copy_to::fill(&connect()?, address, &staging.copy(), report)?;
    Ok(StoreContents { bytes, ..contents })
}

/// Runs a query and returns its rows.
fn query(connection: &Connection, statement: Statement) -> Result<Vec<Row>> {
    let mut results = connection.exchange(vec![statement]).map_err(Failure::into_error)?;
    Ok(results.pop().unwrap_or_default())
}

/// Runs a query and returns its only row.
fn query_one(connection: &Connection, statement: Statement) -> Result<Row> {
    let row = query(connection, statement)?.pop();
    row.ok_or_else(|| Error::new(Code::Internal, "the database answered without a row"))
}
