//! The claims that runners and `tasktally work` processes hold.

use crate::error::Result;
use crate::model::id::{TaskId, Token};
use crate::model::limits::PAGE_ROWS;
use crate::model::status::Status;
use crate::model::task::RowId;
use crate::ops::Session;
use crate::store::{StoreRead, TaskFilter};

/// A claim of a runner or of a `tasktally work` process.
#[derive(Debug, Clone)]
pub struct RunnerClaim {
    /// The claimed task.
    pub task: TaskId,
    /// The batch, if the task is a chunk.
    pub batch: Option<TaskId>,
    /// The token.
    pub token: Token,
}

/// How many live claims in a batch belong to runners and `tasktally work` processes.
pub(in crate::ops) fn claims_of_processes(tx: &dyn StoreRead, batch: RowId) -> Result<u64> {
    let filter = TaskFilter::children_of(batch).with_status(Status::InProgress);
    let chunks = tx.list(&filter, None, PAGE_ROWS)?;
    let live = chunks.iter().filter_map(|chunk| chunk.live_claim(tx.now())?.token.as_ref());
    Ok(live.filter(|token| token.is_runner_token() || token.process_mark().is_some()).count() as u64)
}

/// All claims of runners and of `tasktally work` processes, in the whole store.
///
/// # Errors
/// If the store cannot be read.
pub fn runner_claims(session: &Session) -> Result<Vec<RunnerClaim>> {
    session.read(|tx| {
        let filter = TaskFilter { status: Some(Status::InProgress), ..TaskFilter::default() };
        let (mut claims, mut after) = (Vec::new(), None);
        loop {
            let page = tx.list(&filter, after, PAGE_ROWS)?;
            after = page.last().map(|last| (last.priority, last.order, last.row));
            let is_last = page.len() < PAGE_ROWS;
            claims.extend(page.into_iter().filter_map(|task| {
                let token = task.claim?.token?;
                let is_by_runner = token.is_runner_token() || token.process_mark().is_some();
                let batch = task.parent.filter(|_| task.is_chunk);
                is_by_runner.then_some(RunnerClaim { task: task.id, batch, token })
            }));
            if is_last {
                return Ok(claims);
            }
        }
    })
}
