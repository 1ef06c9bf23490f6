//! Waiting for a batch by a handle, which outlives the process that gave it.

use super::task::RowId;
use super::timestamp::Timestamp;

/// How long a holder is asked to rest between two looks, in milliseconds.
pub const POLL_INTERVAL_MS: u64 = 2_000;
/// The most handles of a batch that are waited by at once.
pub const MAX_WAITS: u64 = 1_000;

/// Somebody's wait for the end of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchWait {
    /// What its holder names it by; nobody guesses it.
    pub handle: String,
    /// The batch's row.
    pub batch: RowId,
    /// The client that was given the handle.
    pub client: String,
    /// When it began.
    pub created: Timestamp,
    /// When it last changed by itself, not by its batch.
    pub updated: Timestamp,
    /// When its holder was first told that the batch had ended: it stays ended.
    pub ended_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// What the last answer to a question came to.
    pub last_answer: String,
}

impl BatchWait {
    /// A wait that begins now.
    pub fn new(handle: String, batch: RowId, asked_by: &str, now: Timestamp) -> Self {
        BatchWait {
            handle,
            batch,
            client: asked_by.to_owned(),
            created: now,
            updated: now,
            ended_at: None,
            cancelled_at: None,
            last_answer: String::new(),
        }
    }

    /// Whether anything can still come of it.
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none() && self.cancelled_at.is_none()
    }
}

/// What became of a question that was not decided by who was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenQuestion {
    /// How many answers could not be carried out.
    pub failed_answers: u64,
    /// Whether it is not asked again.
    pub declined: bool,
}
