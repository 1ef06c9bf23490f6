//! Old logs make room for new ones.

use crate::error::Code;
use crate::logs;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::Session;

/// How much all logs of a store may take, in bytes.
const MOST: u64 = 1024 * 1024 * 1024;

/// Removes the logs written to longest ago, but for those of chunks at work, until the rest is within bounds.
pub(super) fn clear(session: &Session) {
    let is_live = |chunk: &str, _: u64| {
        let id = TaskId::stored(chunk.to_owned());
        match session.read(move |tx| Ok(tx.task(&id)?.status)) {
            Ok(status) => status == Status::InProgress,
            // What the store doesn't know is of no chunk any more; what can't be looked at is kept.
            Err(error) => error.code != Code::NotFound,
        }
    };
    match logs::clear(session.folder(), MOST, &is_live) {
        Ok(cleared) if cleared.attempts > 0 => {
            tracing::info!(attempts = cleared.attempts, bytes = cleared.bytes, "old logs were removed");
        }
        Ok(_) => {}
        // The work goes on: its receipts are what counts.
        Err(error) => tracing::warn!(%error, "old logs cannot be removed"),
    }
}
