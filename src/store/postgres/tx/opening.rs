//! How a transaction begins: the statements, and what they return.

use crate::error::{Code, Error, Result};
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::schema::{SCHEMA_VERSION, refuse_other_schema};
use crate::store::postgres::statement::{Row, database_time};
use crate::store::rows::StoredRow as _;

/// The database's time in milliseconds, as the transaction read it at its beginning.
macro_rules! now {
    () => {
        "current_setting('tasktally.now')::bigint"
    };
}
pub(in crate::store::postgres) use now;

/// The first query of a transaction. It reads the time, which [`now`] returns in later statements, the row of `counter`, the
/// version of the schema and the expression `$more`, and makes the settings `$set`.
macro_rules! beginning {
    ($more:literal, $set:literal) => {
        concat!(
            "SELECT set_config('tasktally.now', ",
            database_time!(),
            "::text, true)::bigint, c.change_number, c.task_row, c.receipt_row, v.version, ",
            $more,
            // Compiling a statement takes longer than executing one of ours.
            ", set_config('jit', 'off', true)",
            $set,
            "
               FROM (SELECT * FROM counter LIMIT 1) c, (SELECT version FROM schema_version LIMIT 1) v"
        )
    };
}

/// Begins a transaction that sees one state of the store.
pub(in crate::store::postgres) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Begins a transaction that only reads.
pub(super) const READ: [&str; 2] = [BEGIN_READ, beginning!("false", "")];
/// Begins a transaction that waits for the lock. Under another isolation level, it would see the state before it waited.
pub(in crate::store::postgres) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Waits for the lock of the store that the connection's search path names. If the client's machine is cut off while it has
/// the lock, PostgreSQL ends the transaction after a while. Without that, all writes would wait for the connection's keepalive.
pub(in crate::store::postgres) const LOCK: &str =
    "SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
            pg_advisory_xact_lock(hashtextextended('tasktally.' || current_schema(), 0))";
/// Begins a transaction that writes. Its statements find rows by their keys: PostgreSQL need not plan them again for other
/// values, nor read a whole table because it has few rows when the statement is planned.
pub(super) const WRITE: [&str; 3] = [
    BEGIN,
    LOCK,
    beginning!(
        "pg_is_in_recovery()",
        ", set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"
    ),
];

/// Said while the server is a standby. It may be promoted, so a write is tried again for a while.
const STANDBY: &str = "the database server is a standby and accepts no writes. Name the primary server, or add target_session_attrs=read-write and all hosts to the address of the store";

/// The numbers in the row of `counter`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store::postgres) struct Counters {
    pub(in crate::store::postgres) change_number: u64,
    pub(in crate::store::postgres) task_row: RowId,
    pub(in crate::store::postgres) receipt_row: RowId,
}

/// The time and the numbers that the first query of a transaction read.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) now: Timestamp,
    pub(super) counters: Counters,
}

impl Beginning {
    /// Reads the row of the last opening statement.
    ///
    /// # Errors
    /// If the schema is another one, or the server is a standby.
    pub(super) fn read(row: Option<&Row>) -> Result<Self, Failure> {
        let row = row.ok_or_else(|| Failure::Refused(refuse_other_schema(None)))?;
        let read = || -> Result<(i64, bool, Beginning)> {
            let counters =
                Counters { change_number: row.get(1)?, task_row: row.get(2)?, receipt_row: row.get(3)? };
            Ok((row.get(4)?, row.get(5)?, Beginning { now: Timestamp::from_millis(row.get(0)?), counters }))
        };
        let (version, is_standby, beginning) = read().map_err(Failure::Refused)?;
        if is_standby {
            return Err(Failure::ConnectionLost(Error::new(Code::ReadOnly, STANDBY)));
        }
        if version != SCHEMA_VERSION {
            return Err(Failure::Refused(refuse_other_schema(Some(version))));
        }
        Ok(beginning)
    }
}
