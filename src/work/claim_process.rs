//! Whether the process behind a claim still runs.

use std::path::Path;

use super::process_lock::LeasedProcess;
use super::{process_lock, run_lock};
use crate::error::Result;
use crate::model::id::{TaskId, Token};
use crate::ops::ProcessState;
use crate::store::StoreRead;

/// The state of the runner, `tasktally run` or `tasktally work` that made a claim in a batch. `data` is the data folder
/// of the store.
///
/// # Errors
/// A lock file or the store cannot be read.
pub fn claim_process_state(
    tx: &dyn StoreRead,
    data: &Path,
    batch: &TaskId,
    token: &Token,
) -> Result<ProcessState> {
    let is_dead = match token.process_mark() {
        Some(mark) => {
            process_lock::has_died(data, &mark)? || process_lock::leased(tx, &mark)? == LeasedProcess::Dead
        }
        None if token.is_runner_token() => run_lock::holder(tx, data, batch)?.is_none(),
        None => return Ok(ProcessState::Unknown),
    };
    Ok(if is_dead { ProcessState::Dead } else { ProcessState::Alive })
}
