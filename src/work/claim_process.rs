//! Whether the process behind a claim still runs.

use std::path::Path;

use super::{process_lock, run_lock};
use crate::error::Result;
use crate::model::id::{TaskId, Token};
use crate::ops::ProcessState;

/// The state of the runner, `tasktally run` or `tasktally work` that made a claim in a batch. `data` is the data folder
/// of the store.
///
/// # Errors
/// A lock file cannot be read.
pub fn claim_process_state(data: &Path, batch: &TaskId, token: &Token) -> Result<ProcessState> {
    let is_dead = match token.process_mark() {
        Some(mark) => process_lock::has_died(data, &mark)?,
        None if token.is_runner_token() => !run_lock::is_held(data, batch)?,
        None => return Ok(ProcessState::Unknown),
    };
    Ok(if is_dead { ProcessState::Dead } else { ProcessState::Alive })
}
