//! Keeps the WAL's length bounded.
//!
//! SQLite resets the WAL once it is fully checkpointed and no reader uses it. Under constant reads there may always be
//! a reader. Once the WAL is longer than [`RESET_ABOVE`], a checkpoint waits for the readers to end. New readers do not
//! prolong the wait: they find everything in the database and do not use the WAL.

use std::time::Duration;

use rusqlite::Connection;

use super::wal::Wal;
use crate::store::sqlite::connection::BUSY_WAIT;
use crate::store::sqlite::rows::sql_error;

/// The length above which a reset is forced. The same as `journal_size_limit`, to which SQLite truncates a WAL that
/// it resets, so that a WAL is not taken for long because of its former length.
pub(super) const RESET_ABOVE: u64 = 64 * 1024 * 1024;
/// How much the WAL may grow before the next attempt, if a reader did not end during the last one.
const GROWTH_UNTIL_RETRY: u64 = 16 * 1024 * 1024;
/// How long an attempt waits for readers, while no process can write. A read takes milliseconds.
const READERS_WAIT: Duration = Duration::from_millis(500);

/// When to force the next reset.
pub(super) struct WalReset {
    above: u64,
}

impl WalReset {
    pub(super) fn new() -> Self {
        WalReset { above: RESET_ABOVE }
    }

    /// Forces a reset if the WAL is too long. The caller holds the write lock and is outside a transaction.
    pub(super) fn reset_if_long(&mut self, wal: &Wal, connection: &Connection) {
        let Some(length) = wal.file.metadata().ok().map(|metadata| metadata.len()) else {
            return;
        };
        if length <= self.above {
            return;
        }
        self.above = match checkpoint_and_truncate(connection) {
            Ok(true) => RESET_ABOVE,
            Ok(false) => {
                tracing::warn!(length, "the WAL grows because a reader does not end; is a process stopped?");
                length + GROWTH_UNTIL_RETRY
            }
            Err(error) => {
                let error = sql_error("the WAL could not be checkpointed", error);
                tracing::warn!(%error, length, "the WAL grows");
                length + GROWTH_UNTIL_RETRY
            }
        };
    }
}

/// Returns whether the checkpoint was complete.
fn checkpoint_and_truncate(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(READERS_WAIT)?;
    let was_busy = connection.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    connection.busy_timeout(BUSY_WAIT)?;
    was_busy.map(|was_busy: bool| !was_busy)
}
