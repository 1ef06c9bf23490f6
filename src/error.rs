//! The one error that callers can act on: a code, a sentence, the next step.

use std::error::Error as StdError;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of refusal this is; its snake_case name is what callers match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Somebody else holds the task.
    AlreadyClaimed,
    /// The token that came with a write is not the task's live claim.
    ClaimLost,
    /// The write changes a fenced task and brought no token.
    ClaimRequired,
    /// The task's dependencies or status do not allow the request yet.
    NotReady,
    /// No such task, batch or item.
    NotFound,
    /// A parameter is missing, misspelt, of the wrong type or out of range.
    InvalidArgument,
    /// Items lack receipts, or the task's own text holds `- [ ]`.
    IncompleteItems,
    /// The request contradicts what is stored.
    Conflict,
    /// No ready task matches.
    NothingToClaim,
    /// The batch is paused.
    Paused,
    /// The task or batch was cancelled.
    Cancelled,
    /// A value is over its limit.
    TooLarge,
    /// The store cannot be written.
    ReadOnly,
    /// The store was locked for longer than Tasktally waits.
    Busy,
    /// The store was written by a newer Tasktally.
    StoreNewer,
    /// Something failed that the caller can't mend; the cause is in the message.
    Internal,
}

impl Code {
    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::AlreadyClaimed => "already_claimed",
            Code::ClaimLost => "claim_lost",
            Code::ClaimRequired => "claim_required",
            Code::NotReady => "not_ready",
            Code::NotFound => "not_found",
            Code::InvalidArgument => "invalid_argument",
            Code::IncompleteItems => "incomplete_items",
            Code::Conflict => "conflict",
            Code::NothingToClaim => "nothing_to_claim",
            Code::Paused => "paused",
            Code::Cancelled => "cancelled",
            Code::TooLarge => "too_large",
            Code::ReadOnly => "read_only",
            Code::Busy => "busy",
            Code::StoreNewer => "store_newer",
            Code::Internal => "internal",
        }
    }

    /// Whether this is an answer (`success: false`) rather than an error:
    /// losing a race or finding nothing is an ordinary part of the work.
    pub fn is_answer(self) -> bool {
        matches!(
            self,
            Code::AlreadyClaimed | Code::NotReady | Code::NothingToClaim | Code::Paused | Code::Cancelled
        )
    }
}

/// A refusal: what was wrong, with the value, the limit and the next step.
#[derive(Debug)]
pub struct Error {
    /// The kind of refusal.
    pub code: Code,
    /// The sentence for the caller.
    pub message: String,
    /// The late receipt that was kept although the write was refused.
    pub receipt: Option<u64>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of everything that can be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with its sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), receipt: None, source: None }
    }

    /// A parameter that cannot be taken.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Code::InvalidArgument, message)
    }

    /// Something that isn't there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error::new(Code::NotFound, message)
    }

    /// A failure of the machinery below, its cause kept.
    pub fn internal(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Error::new(Code::Internal, message).caused_by(source)
    }

    /// Keeps what caused this error.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Names the late receipt that was kept.
    #[must_use]
    pub fn with_receipt(mut self, number: u64) -> Self {
        self.receipt = Some(number);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            // One of ours has told its own causes.
            cause = if error.is::<Error>() { None } else { error.source() };
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        let disk = std::io::Error::other("no such device");
        let log = Error::internal("the log cannot be opened", disk);
        let error = Error::new(Code::Internal, "nothing was written").caused_by(log);
        assert_eq!(error.to_string(), "nothing was written: the log cannot be opened: no such device");
    }
}
