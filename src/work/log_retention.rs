//! Removes old worker logs, so that all logs of a store stay below a fixed size.

use crate::logs;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::Session;

/// How much all logs of a store may take, in bytes.
const MAX_TOTAL_BYTES: u64 = 1024 * 1024 * 1024;

/// Removes the oldest logs, except those of chunks that are in progress, until the rest is below the limit.
pub(super) fn remove_old_logs(session: &Session) {
    let is_in_use = |chunk: &str, _: u64| {
        let id = TaskId::stored(chunk.to_owned());
        match session.read(move |tx| Ok(tx.task(&id)?.status)) {
            Ok(status) => status == Status::InProgress,
            // The chunk may be another store's whose folder this is. If the store cannot be read, the log stays.
            Err(_) => true,
        }
    };
    match logs::remove_oldest(session.folder(), MAX_TOTAL_BYTES, &is_in_use) {
        Ok(removed) if removed.attempts > 0 => {
            tracing::info!(attempts = removed.attempts, bytes = removed.bytes, "old logs were removed");
        }
        Ok(_) => {}
        // Receipts matter more than logs: the work continues.
        Err(error) => tracing::warn!(%error, "old logs cannot be removed"),
    }
}
