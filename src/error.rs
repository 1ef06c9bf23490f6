//! The error type that callers can act on: a code, and a message with the next step.

use std::error::Error as StdError;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a refusal. Callers match on its snake_case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Another worker holds the task.
    AlreadyClaimed,
    /// The token that a write carries is not the one of the task's live claim.
    ClaimLost,
    /// The write changes a task under a fenced claim and carries no token.
    ClaimRequired,
    /// The task's dependencies or status do not allow the request yet.
    NotReady,
    /// No such task, batch or item.
    NotFound,
    /// A parameter is missing, misspelt, of the wrong type or out of range.
    InvalidArgument,
    /// Items lack receipts, or the task's own text holds `- [ ]`.
    IncompleteItems,
    /// Children of the task have not ended.
    OpenChildren,
    /// Tasks that the task depends on are not done.
    OpenDependencies,
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
    /// What the caller asks for is outside of what it may do.
    Forbidden,
    /// The store was locked for longer than Tasktally waits.
    Busy,
    /// The store was written by a newer Tasktally.
    StoreNewer,
    /// Something failed that the caller cannot fix; the message contains the cause.
    Internal,
}

impl Code {
    /// The code as callers receive it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::AlreadyClaimed => "already_claimed",
            Code::ClaimLost => "claim_lost",
            Code::ClaimRequired => "claim_required",
            Code::NotReady => "not_ready",
            Code::NotFound => "not_found",
            Code::InvalidArgument => "invalid_argument",
            Code::IncompleteItems => "incomplete_items",
            Code::OpenChildren => "open_children",
            Code::OpenDependencies => "open_dependencies",
            Code::Conflict => "conflict",
            Code::NothingToClaim => "nothing_to_claim",
            Code::Paused => "paused",
            Code::Cancelled => "cancelled",
            Code::TooLarge => "too_large",
            Code::ReadOnly => "read_only",
            Code::Forbidden => "forbidden",
            Code::Busy => "busy",
            Code::StoreNewer => "store_newer",
            Code::Internal => "internal",
        }
    }

    /// Whether callers receive this as an answer (`success: false`) and not as an error: losing a race for a claim
    /// and finding nothing to claim are a normal part of the work.
    pub fn is_answer(self) -> bool {
        matches!(
            self,
            Code::AlreadyClaimed | Code::NotReady | Code::NothingToClaim | Code::Paused | Code::Cancelled
        )
    }
}

/// A refusal. The message says what is wrong with which value, what is allowed, and the next step.
#[derive(Debug)]
pub struct Error {
    /// The kind of refusal.
    pub code: Code,
    /// The message for the caller.
    pub message: String,
    /// The number of the late receipt that was stored although the write was refused.
    pub receipt: Option<u64>,
    /// After how many seconds the same request may succeed, if waiting helps.
    pub retry_after_s: Option<u64>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of anything that can be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with its message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), receipt: None, retry_after_s: None, source: None }
    }

    /// The refusal of a parameter's value.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Code::InvalidArgument, message)
    }

    /// The refusal of an id or name that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error::new(Code::NotFound, message)
    }

    /// A failure that no caller caused, with its cause.
    pub fn internal(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Error::new(Code::Internal, message).caused_by(source)
    }

    /// An error with the same code and text.
    #[must_use]
    pub fn copy(&self) -> Self {
        Error {
            code: self.code,
            message: self.to_string(),
            receipt: self.receipt,
            retry_after_s: self.retry_after_s,
            source: None,
        }
    }

    /// Adds the cause of this error.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Says after how many seconds the same request may succeed.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Adds the number of the late receipt that was stored.
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
            // The text of an `Error` already contains its causes.
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
    fn each_cause_is_written_once() {
        let disk = std::io::Error::other("no such device");
        let wal = Error::internal("the WAL cannot be opened", disk);
        let error = Error::new(Code::Internal, "nothing was written").caused_by(wal);
        assert_eq!(error.to_string(), "nothing was written: the WAL cannot be opened: no such device");
    }
}
