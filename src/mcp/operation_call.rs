//! Calls of an operation, by tools and by resources.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::ops::{Entry, Session};

/// Runs an operation. If it panics, the caller receives an error.
pub(super) fn call_operation(entry: &Entry, session: &Session, arguments: Value) -> Result<Value> {
    catch_panic(|| (entry.call)(session, arguments))
}

/// Runs `call`; a panic becomes an error.
pub(super) fn catch_panic<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(request_failed()))
}

/// The error for a request that panicked or whose thread ended early.
pub(super) fn request_failed() -> Error {
    Error::new(Code::Internal, "the request failed inside tasktally; nothing was changed")
}
