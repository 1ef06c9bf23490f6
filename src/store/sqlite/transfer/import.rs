//! A store made from lines: aside, row by row, with every line looked at; then put in its place at once.

use std::io::BufRead;
use std::path::Path;

use rusqlite::Connection;

use super::backup::COPY;
use super::export_reader::Lines;
use super::loader::Load;
use super::staging_dir::{Aside, refuse_log};
use super::tables::TABLES;
use super::{Held, Tell, copy, integrity};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{self, MIGRATION_WAIT};
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::writer::wal::Wal;
use crate::store::sqlite::writer::write_lock::Ticket;

/// Makes a store from the lines of an export, where there is none yet or an empty one.
///
/// # Errors
/// Where the store has something in it already; the first line that is not as it was written; a file
/// that was cut. Then nothing is changed.
pub fn import(
    input: &mut dyn BufRead,
    named: &str,
    store: &Path,
    clock: &Clock,
    tell: Tell<'_>,
) -> Result<Held> {
    refuse_filled(store)?;
    connection::make_folder(store)?;
    let aside = Aside::beside(store)?;
    let file = aside.file(COPY);
    let mut lines = Lines::of(input, named);
    let load = Load::into(connection::open(&file)?)?;
    load.all(&mut lines, clock, tell)?;
    let held = integrity::check(&file, clock, tell).map_err(|error| {
        Error::new(error.code, format!("{named}: nothing was imported, for it is not whole: {error}"))
    })?;
    if store.exists() {
        fill(&file, store, tell)?;
    } else {
        aside.put(COPY, store, false)?;
    }
    Ok(held)
}

/// Refuses a store that has something in it, without a change to its files.
fn refuse_filled(store: &Path) -> Result<()> {
    if !store.exists() {
        return refuse_log(store);
    }
    connection::read_header(store)?;
    look_whether_empty(&connection::open_reader(store)?, store)
}

/// The same over an open store; a file that is no store yet has none of the tables.
fn look_whether_empty(connection: &Connection, store: &Path) -> Result<()> {
    let unread = |error| sql_error("the store could not be read", error);
    for table in TABLES {
        let there = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = ?1", [table.name], |row| {
                row.get::<_, u64>(0)
            })
            .map_err(unread)?;
        let filled = there > 0
            && connection
                .query_row(&format!("SELECT EXISTS (SELECT 1 FROM \"{}\")", table.name), [], |row| row.get(0))
                .map_err(unread)?;
        if filled {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "store {}: there is something in it already, and two stores are never mixed; it was left as it is. Name a new one with --db",
                    store.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Fills an empty store that others may have open: all of it in one commit, in a turn of its own.
fn fill(made: &Path, store: &Path, tell: Tell<'_>) -> Result<()> {
    let unwritten = |error| sql_error("the store could not be written", error);
    let mut connection = connection::open(store)?;
    let ticket = Ticket::open(store)?;
    let _turn = ticket.take_within(MIGRATION_WAIT)?;
    let log = Wal::open(store)?;
    log.make_good(&connection)?;
    look_whether_empty(&connection, store)?;
    // The commit itself brings it to the disk.
    connection.execute_batch("PRAGMA synchronous = FULL").map_err(unwritten)?;
    let from = connection::open_reader(made)?;
    copy::pages(&from, &mut connection, tell).map_err(|error| {
        // Whether it was a sync that failed is not told.
        log.mark();
        unwritten(error)
    })
}
