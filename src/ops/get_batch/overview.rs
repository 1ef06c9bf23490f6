//! The reply without an id: the overview of open batches and unresolved failures.

use std::sync::Arc;

use super::GetBatchReply;
use crate::error::Result;
use crate::ops::runner_launcher::RunnerLauncher;
use crate::ops::runners::start::lacks_runner;
use crate::ops::views::overview::{Overview, overview};
use crate::store::StoreRead;

/// Fills the reply with the open batches of a project, or of the store.
pub(super) fn fill(
    tx: &dyn StoreRead,
    project: Option<&str>,
    launcher: Option<&Arc<dyn RunnerLauncher>>,
    reply: &mut GetBatchReply,
) -> Result<()> {
    let Overview { open, failed, batches, needs_person, stalled, stranded, more, next } =
        overview(tx, project, |task, batch| lacks_runner(launcher, tx, task, batch))?;
    reply.message = match open {
        0 => "No batch is open".to_owned(),
        1 => "1 batch is open".to_owned(),
        more => format!("{more} batches are open"),
    };
    if failed > 0 {
        reply.message += &format!(", {failed} ended with failures that nobody retried or accepted");
    }
    let ended = tx.count_batches(project)?.saturating_sub((open + failed) as u64);
    if ended > 0 {
        reply.message += "; get_batch(all=true) lists ended ones too";
    }
    if open + failed > batches.len() {
        reply.message += &format!(", the {} most urgent are shown", batches.len());
    }
    reply.message += &more;
    (reply.batches, reply.next) = (Some(batches), Some(next));
    (reply.needs_person, reply.stalled) = (Some(needs_person), Some(stalled));
    reply.stranded = Some(stranded).filter(|tasks| !tasks.is_empty());
    Ok(())
}
