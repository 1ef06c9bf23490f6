//! What a process finds after it lost the connection during a commit: whether the commit was done.
//!
//! Each write transaction stores its number in the row of its process. It does so in the same transaction, so the row has
//! the number exactly if the transaction was committed. The transaction id would not be enough: PostgreSQL gives the id of a
//! transaction that a crash lost to a later one, of which `pg_xact_status` then says that it was committed.

use super::connection::Connection;
use super::failure::Failure;
use super::statement::Statement;
use super::tx::{BEGIN, LOCK, Tx};
use super::value::values;
use crate::error::Result;
use crate::model::id::ProcessMark;
use crate::store::rows::StoredRow as _;

/// How long the row of a process is kept after its latest write. It needs it for a minute.
const KEPT_MS: i64 = 60 * 60 * 1000;

/// A transaction that has written nothing yet has no id. It stays without a row, so its commit needs no sync.
const WRITE: &str = "INSERT INTO writer (id, last_commit, committed_at)
     SELECT $1, $2, $3 WHERE pg_current_xact_id_if_assigned() IS NOT NULL
     ON CONFLICT (id) DO UPDATE SET last_commit = excluded.last_commit, committed_at = excluded.committed_at";
const DELETE_OLD: &str =
    "DELETE FROM writer WHERE committed_at < $1 AND pg_current_xact_id_if_assigned() IS NOT NULL";
/// The lock of the store is held by the transaction in question until it has ended.
const LIMIT_WAIT: &str = "SET LOCAL lock_timeout = '5s'";
const READ: &str = "SELECT last_commit FROM writer WHERE id = $1";

/// The numbers of the transactions of this process.
pub(super) struct CommitMarks {
    process: ProcessMark,
    latest: i64,
}

impl CommitMarks {
    /// The numbers of a process that has written nothing.
    pub(super) fn new() -> Self {
        CommitMarks { process: ProcessMark::random(), latest: 0 }
    }

    /// Stores the next number in a transaction that is about to be committed.
    pub(super) fn write_next(&mut self, tx: &Tx<'_>) {
        let now = tx.now().millis();
        self.latest += 1;
        let mark = Statement::with(WRITE, values![self.process.as_str(), self.latest, now]);
        tx.write_known(&["writer"], mark);
        if self.latest == 1 {
            tx.write_known(&["writer"], Statement::with(DELETE_OLD, values![now - KEPT_MS]));
        }
    }

    /// Whether the transaction with the latest number was committed. Waits until it has ended.
    ///
    /// # Errors
    /// `busy` if it has not ended within some seconds, or if the database cannot be asked.
    pub(super) fn was_committed(&self, connection: &Connection) -> Result<bool, Failure> {
        let results = connection.exchange(vec![
            Statement::plain(BEGIN),
            Statement::plain(LIMIT_WAIT),
            Statement::plain(LOCK),
            Statement::with(READ, values![self.process.as_str()]),
            Statement::plain("COMMIT"),
        ])?;
        let row = results.get(3).and_then(|rows| rows.first());
        let stored = row.map(|row| row.get::<i64>(0)).transpose().map_err(Failure::Refused)?;
        Ok(stored == Some(self.latest))
    }
}
