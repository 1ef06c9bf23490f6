//! A consistent copy of a store's pages, taken while other processes write.
//!
//! It uses SQLite's backup API inside one read transaction: pages are read at the speed of the disk, and no writer is
//! blocked. `VACUUM INTO` would rebuild every B-tree and keep its snapshot open for much longer. Without the surrounding
//! transaction, the backup API restarts at each write of another process.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::ReportProgress;
use crate::error::{Code, Result};
use crate::store::sqlite::files::create_private_file;
use crate::store::sqlite::large_batch::DELETE_ALL_UNPUBLISHED;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::{connection, read_only};

/// Pages that are copied in one step, between two progress reports.
const PAGES_PER_STEP: i32 = 256;
/// How long to wait after a step that found a lock.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Copies a store to a new file, without a WAL. Returns how many tasks and receipts the snapshot has.
///
/// # Errors
/// If the store cannot be read or the file cannot be written.
pub(super) fn snapshot(store: &Path, to: &Path, report: ReportProgress<'_>) -> Result<(u64, u64)> {
    // This connection migrates the schema and refuses files that are no store. It is closed last: if the last
    // connection were read-only, SQLite would leave an empty WAL behind. A store on a read-only disk is read without it.
    let identity = connection::register(store)?;
    let writer = connection::open(&identity);
    let from = match &writer {
        Ok(_) => connection::open_reader(store)?,
        Err(error) if error.code == Code::ReadOnly => {
            read_only::connect_unwritable(&identity).map_err(|_| error.copy())?
        }
        Err(error) => return Err(error.copy()),
    };
    let read_error = |error| sql_error("the store could not be read", error);
    from.execute_batch("BEGIN").map_err(read_error)?;
    // The first query starts the snapshot.
    let count = |sql: &str| from.query_row(sql, [], |row| row.get::<_, u64>(0)).map_err(read_error);
    let counts = (count("SELECT count(*) FROM task")?, count("SELECT count(*) FROM receipt")?);
    create_private_file(to)?;
    let write_error = |error| sql_error(&format!("the copy {} could not be written", to.display()), error);
    let mut copy = Connection::open(to).map_err(write_error)?;
    // The file is synced before it is moved to its place.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;").map_err(write_error)?;
    copy_pages(&from, &mut copy, report).map_err(write_error)?;
    from.execute_batch("ROLLBACK").map_err(read_error)?;
    drop(from);
    // A runner record is valid only for this machine and this path. A runner of the copy would kill the marked
    // processes of the original's runner.
    copy.execute_batch("DELETE FROM runner").map_err(write_error)?;
    // A batch that is being inserted is not visible, so it is no part of the copy.
    copy.execute_batch(DELETE_ALL_UNPUBLISHED).map_err(write_error)?;
    truncate_wal(&copy).map_err(write_error)?;
    copy.close().map_err(|(_, error)| write_error(error))?;
    Ok(counts)
}

/// Runs a TRUNCATE checkpoint. Closing the connection would checkpoint as well, but not report a failure.
///
/// Only of `main`: after the migrations' `ALTER TABLE`, the connection has a temporary database, and checkpointing that one
/// as well fails as locked.
pub(super) fn truncate_wal(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Copies every page.
pub(super) fn copy_pages(
    from: &Connection,
    to: &mut Connection,
    report: ReportProgress<'_>,
) -> rusqlite::Result<()> {
    let backup = Backup::new(from, to)?;
    loop {
        let step = backup.step(PAGES_PER_STEP)?;
        let progress = backup.progress();
        let pages = |count: i32| u64::from(count.unsigned_abs());
        report("Copying", pages(progress.pagecount - progress.remaining), pages(progress.pagecount));
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => std::thread::sleep(RETRY_INTERVAL),
        }
    }
}
