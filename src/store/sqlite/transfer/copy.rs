//! A store's pages, copied as they stand at one moment while others write.
//!
//! SQLite's backup interface, inside one read transaction: a plain read of pages at the disk's speed,
//! which holds no writer up. `VACUUM INTO` would build every tree anew and hold its snapshot for that
//! much longer; without the transaction around it a copy begins again at each write of another process.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::Tell;
use crate::error::Result;
use crate::store::sqlite::connection;
use crate::store::sqlite::rows::sql_error;

/// Pages that are copied between two looks at how far it is.
const PAGES: i32 = 256;
/// How long a step that found a lock waits.
const AGAIN: Duration = Duration::from_millis(10);

/// Copies a store, folded to one file, to a path where there is none yet; gives how many tasks and
/// receipts there were at that moment.
///
/// # Errors
/// Where the store cannot be read or the file not be written.
pub(super) fn snapshot(store: &Path, to: &Path, tell: Tell<'_>) -> Result<(u64, u64)> {
    // Brings the schema up to date, refuses what is no store of ours, and is the last to close: one that
    // only reads would leave an empty log behind.
    let _store = connection::open(store)?;
    let from = connection::open_reader(store)?;
    let unread = |error| sql_error("the store could not be read", error);
    from.execute_batch("BEGIN").map_err(unread)?;
    // The first look decides on the moment.
    let count = |sql: &str| from.query_row(sql, [], |row| row.get::<_, u64>(0)).map_err(unread);
    let counts = (count("SELECT count(*) FROM task")?, count("SELECT count(*) FROM receipt")?);
    connection::make_private(to)?;
    let unwritten = |error| sql_error(&format!("the copy {} could not be written", to.display()), error);
    let mut made = Connection::open(to).map_err(unwritten)?;
    // Nobody sees it before it was brought to the disk.
    made.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;").map_err(unwritten)?;
    pages(&from, &mut made, tell).map_err(unwritten)?;
    from.execute_batch("ROLLBACK").map_err(unread)?;
    drop(from);
    // Who runs a batch now is true of this machine and the store's own place: a runner of the copy
    // would end the processes of that one.
    made.execute_batch("DELETE FROM runner").map_err(unwritten)?;
    fold(&made).map_err(unwritten)?;
    made.close().map_err(|(_, error)| unwritten(error))?;
    Ok(counts)
}

/// Folds the log into the file; closing alone would not tell that it failed.
pub(super) fn fold(made: &Connection) -> rusqlite::Result<()> {
    made.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Copies every page.
pub(super) fn pages(from: &Connection, to: &mut Connection, tell: Tell<'_>) -> rusqlite::Result<()> {
    let copy = Backup::new(from, to)?;
    loop {
        let step = copy.step(PAGES)?;
        let progress = copy.progress();
        let pages = |count: i32| u64::from(count.unsigned_abs());
        tell("Copying", pages(progress.pagecount - progress.remaining), pages(progress.pagecount));
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => std::thread::sleep(AGAIN),
        }
    }
}
