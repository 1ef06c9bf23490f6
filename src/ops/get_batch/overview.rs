//! The reply without an id: the overview of open batches and unresolved failures.

use std::sync::Arc;

use super::GetBatchReply;
use crate::error::Result;
use crate::ops::runner_launcher::RunnerLauncher;
use crate::ops::runners::start::lacks_runner;
use crate::ops::views::overview::{Overview, overview};
use crate::ops::views::page_bytes::json_bytes;
use crate::store::StoreRead;

/// The most bytes of an overview.
const OVERVIEW_BYTES: usize = 1_450;

/// Fills the reply with the open batches of a project, or of the store: as many as fit.
pub(super) fn fill(
    tx: &dyn StoreRead,
    project: Option<&str>,
    launcher: Option<&Arc<dyn RunnerLauncher>>,
    reply: &mut GetBatchReply,
) -> Result<()> {
    let Overview { open, failed, batches, needs_person, stalled, stranded, more, next } =
        overview(tx, project, |task, batch| lacks_runner(launcher, tx, task, batch))?;
    let ended = tx.count_batches(project)?.saturating_sub((open + failed) as u64);
    let message = |shown: usize| {
        let mut message = match open {
            0 => "No batch is open".to_owned(),
            1 => "1 batch is open".to_owned(),
            more => format!("{more} batches are open"),
        };
        if failed > 0 {
            message += &format!(", {failed} ended with failures that nobody retried or accepted");
        }
        if ended > 0 {
            message += "; get_batch(all=true) lists ended ones too";
        }
        if open + failed > shown {
            message += &format!("; {shown} are shown, open and urgent ones first");
        }
        message + &more
    };
    (reply.batches, reply.next) = (Some(batches), Some(next));
    (reply.needs_person, reply.stalled) = (Some(needs_person), Some(stalled));
    reply.stranded = Some(stranded).filter(|tasks| !tasks.is_empty());
    loop {
        let shown = reply.batches.as_ref().map_or(0, Vec::len);
        reply.message = message(shown);
        if shown <= 1 || json_bytes(reply) <= OVERVIEW_BYTES {
            return Ok(());
        }
        reply.batches.as_mut().and_then(Vec::pop);
    }
}
