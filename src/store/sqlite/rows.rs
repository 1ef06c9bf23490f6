//! How SQLite's rows are read, and SQLite's errors as ours.

use std::error::Error as StdError;

use rusqlite::types::Type;
use rusqlite::{ErrorCode, Row as SqlRow};

use crate::error::{Code, Error};
use crate::model::id::TaskId;
use crate::store::rows::StoredRow;
pub(super) use crate::store::rows::{
    batch, batch_columns, body_start, chunk, item, item_columns, receipt, receipt_columns, task,
    task_columns, task_id, word,
};

impl StoredRow for SqlRow<'_> {
    type Error = rusqlite::Error;

    fn number(&self, column: usize) -> rusqlite::Result<Option<i64>> {
        SqlRow::get(self, column)
    }

    fn text(&self, column: usize) -> rusqlite::Result<Option<String>> {
        SqlRow::get(self, column)
    }

    fn invalid(column: usize, cause: Box<dyn StdError + Send + Sync>) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause)
    }
}

/// The id of a task in the column `id`.
pub(super) fn named_task_id(row: &SqlRow<'_>) -> rusqlite::Result<TaskId> {
    task_id(row, row.as_ref().column_index("id")?)
}

/// The limit on the size of files that this process writes, in bytes, if it has one.
fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Whether a file could not grow although the process has a limit on the size of files. SQLite does not report the
/// kernel's EFBIG.
fn fails_at_size_limit(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
    let code = error.sqlite_error().map(|cause| cause.extended_code);
    let is_growth = matches!(code, Some(SQLITE_IOERR_WRITE | SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_TRUNCATE));
    is_growth && file_size_limit().is_some()
}

/// The error for a caller after SQLite returned `error`; `what` says what failed.
pub(super) fn sql_error(what: &str, error: rusqlite::Error) -> Error {
    let code = match error.sqlite_error() {
        // The `-shm` file could not grow. SQLite has no separate code for a full disk there.
        Some(cause) if cause.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
            Some(ErrorCode::DiskFull)
        }
        _ => error.sqlite_error_code(),
    };
    let (code, message) = match code {
        _ if fails_at_size_limit(&error) => {
            let limit = file_size_limit().unwrap_or_default();
            (
                Code::Internal,
                format!(
                    "{what}: a file of the store would become larger than {limit} bytes, the limit of this process (ulimit -f); nothing was changed. Raise the limit and restart tasktally"
                ),
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Code::Busy, format!("{what}: another program has locked the store; try again"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            (Code::ReadOnly, format!("{what}: check the permissions of the store's file and folder"))
        }
        Some(ErrorCode::DiskFull) => (
            Code::Internal,
            format!("{what}: the disk is full; nothing was changed. Free some space and try again"),
        ),
        Some(ErrorCode::NotADatabase) => (Code::InvalidArgument, format!("{what}: it is not a SQLite file")),
        _ => (Code::Internal, what.to_owned()),
    };
    Error::new(code, message).caused_by(error)
}
