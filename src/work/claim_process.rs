//! Whether the process behind a claim still runs.

use super::{process_lock, run_lock};
use crate::error::Result;
use crate::model::id::{TaskId, Token};
use crate::ops::Session;

/// Whether the runner, `tasktally run` or `tasktally work` that made a claim in a batch has died. The claims of other
/// callers belong to no process that could be checked; only their leases end.
///
/// # Errors
/// A lock file cannot be read.
pub fn claim_process_has_died(session: &Session, batch: &TaskId, token: &Token) -> Result<bool> {
    match token.process_mark() {
        Some(mark) => process_lock::has_died(session.folder(), &mark),
        None if token.is_runner_token() => Ok(!run_lock::is_held(session.folder(), batch)?),
        None => Ok(false),
    }
}
