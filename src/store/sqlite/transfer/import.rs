//! Import: a store from the JSON lines of an export. It is made in a staging directory and checked before it appears.

use std::io::BufRead;
use std::path::Path;

use rusqlite::Connection;

use super::export_reader::ExportReader;
use super::loader::Loader;
use super::staging_dir::{COPY, StagingDir, refuse_foreign_wal};
use super::{ReportProgress, StoreContents, copy, integrity};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{self, MIGRATION_WAIT};
use crate::store::sqlite::files::create_folder;
use crate::store::sqlite::header::read_header;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::writer::file_identity::FileIdentity;
use crate::store::sqlite::writer::wal::Wal;
use crate::store::sqlite::writer::wal_rewrite::rewrite_if_in_doubt;
use crate::store::sqlite::writer::write_lock::WriteLock;
use crate::store::tables::TABLES;

/// Creates a store from the lines of an export, or fills an empty one. `source` names the input in errors.
///
/// # Errors
/// If the store is not empty, if a line is invalid, or if the input is truncated or was changed. In each case, nothing
/// is changed.
pub fn import(
    input: &mut dyn BufRead,
    source: &str,
    store: &Path,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<StoreContents> {
    check_target(store)?;
    create_folder(store)?;
    let staging = StagingDir::beside(store)?;
    let contents = load_lines(input, source, &staging, clock, report)?;
    let file = staging.copy();
    if store.exists() {
        fill_empty_store(&file, store, report)?;
    } else {
        staging.publish(COPY, store, false)?;
    }
    Ok(contents)
}

/// Creates a store from the lines of an export in a staging directory, and checks it.
///
/// # Errors
/// If a line is invalid, or if the input is truncated or was changed.
pub(in crate::store) fn load_lines(
    input: &mut dyn BufRead,
    source: &str,
    staging: &StagingDir,
    clock: &Clock,
    report: ReportProgress<'_>,
) -> Result<StoreContents> {
    let file = staging.copy();
    let mut lines = ExportReader::new(input, source);
    let identity = connection::register(&file)?;
    Loader::new(connection::open(&identity)?)?.load(&mut lines, clock, report)?;
    integrity::check(&file, clock, report).map_err(|error| {
        Error::new(
            error.code,
            format!("{source}: nothing was imported: the result fails the integrity check: {error}"),
        )
    })
}

/// The refusal of a store that is not empty.
pub(in crate::store) fn refuse_not_empty(store: impl std::fmt::Display) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "store {store} is not empty, and two stores are never mixed; nothing was changed. Name a new store with --db"
        ),
    )
}

/// Refuses a store that is not empty, without changing its files.
fn check_target(store: &Path) -> Result<()> {
    if !store.exists() {
        return refuse_foreign_wal(store);
    }
    let identity = FileIdentity::register(store)?;
    read_header(&identity)?;
    check_empty(&connection::open_reader(store)?, store)
}

/// Refuses a store with a row in any table. A file that is no store yet has no tables.
fn check_empty(connection: &Connection, store: &Path) -> Result<()> {
    let read_error = |error| sql_error("the store could not be read", error);
    for table in TABLES {
        let tables = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = ?1", [table.name], |row| {
                row.get::<_, u64>(0)
            })
            .map_err(read_error)?;
        let has_rows = tables > 0
            && connection
                .query_row(&format!("SELECT EXISTS (SELECT 1 FROM \"{}\")", table.name), [], |row| row.get(0))
                .map_err(read_error)?;
        if has_rows {
            return Err(refuse_not_empty(store.display()));
        }
    }
    Ok(())
}

/// Copies the imported store over an empty one that other processes may have open, in one commit under the write lock.
fn fill_empty_store(imported: &Path, store: &Path, report: ReportProgress<'_>) -> Result<()> {
    let write_error = |error| sql_error("the store could not be written", error);
    let identity = connection::register(store)?;
    let mut connection = connection::open(&identity)?;
    let write_lock = WriteLock::open(store)?;
    let _guard = write_lock.lock_within(MIGRATION_WAIT)?;
    let wal = Wal::open(store)?;
    rewrite_if_in_doubt(&wal, &connection)?;
    check_empty(&connection, store)?;
    // SQLite itself syncs this commit.
    connection.execute_batch("PRAGMA synchronous = FULL").map_err(write_error)?;
    let from = connection::open_reader(imported)?;
    copy::copy_pages(&from, &mut connection, report).map_err(|error| {
        // SQLite does not report whether a sync failed.
        wal.mark_in_doubt();
        write_error(error)
    })
}
