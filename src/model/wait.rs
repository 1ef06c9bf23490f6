//! A wait until a batch ends or needs its caller. Its handle is stored, so any server process on the store can continue it.

use super::task::RowId;
use super::timestamp::Timestamp;

/// The polling interval recommended to clients, in milliseconds.
pub const POLL_INTERVAL_MS: u64 = 2_000;
/// The most open waits per batch.
pub const MAX_WAITS: u64 = 1_000;
/// The most open questions in a store. Beyond, the oldest one has to be asked again.
pub const MAX_ASKED_QUESTIONS: u64 = 1_000;

/// A client's wait until a batch ends or needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchWait {
    /// The handle that the client polls with; it cannot be guessed.
    pub handle: String,
    /// The batch's row.
    pub batch: RowId,
    /// The client that started the wait.
    pub client: String,
    /// Whether that client can show a form to its person.
    pub can_ask: bool,
    /// The change number at its start.
    pub since: u64,
    /// When it started.
    pub created: Timestamp,
    /// When the wait itself last changed; changes of the batch do not count.
    pub updated: Timestamp,
    /// When a reply first reported the end of the wait to the client; the wait then stays ended.
    pub ended_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// The result of the person's last answer to a question.
    pub last_answer: String,
}

impl BatchWait {
    /// A wait that starts now.
    pub fn new(
        handle: String,
        batch: RowId,
        client: &str,
        can_ask: bool,
        since: u64,
        now: Timestamp,
    ) -> Self {
        BatchWait {
            handle,
            batch,
            client: client.to_owned(),
            can_ask,
            since,
            created: now,
            updated: now,
            ended_at: None,
            cancelled_at: None,
            last_answer: String::new(),
        }
    }

    /// Whether it has neither ended nor been cancelled.
    pub fn is_open(&self) -> bool {
        self.ended_at.is_none() && self.cancelled_at.is_none()
    }
}

/// A question that a client was given for its person. Its key is random: an answer counts only with the key of a question
/// that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedQuestion {
    /// The handle of the wait that asked, or the call.
    pub asked_by: String,
    /// The name of the question: the chunks that it is about, and their state.
    pub question: String,
}
