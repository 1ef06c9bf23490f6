//! How fast a batch is worked on now, and how long it will take at that rate.

use std::collections::{BTreeMap, BTreeSet};

use super::attention::live_claims;
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::receipt::Receipt;
use crate::model::status::ItemReport;
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;
use crate::model::work_stretch::{WorkTime, goes_on, rate, stretch_start};
use crate::store::StoreRead;

/// How many of the newest receipts are read.
const RECEIPTS: usize = 100;

/// Items per minute and seconds left, from the work of the present stretch; `None` while nobody works, or if nothing was
/// settled for much longer than usual.
pub(in crate::ops) fn current_rate(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
) -> Result<Option<(f64, u64)>> {
    let now = tx.now();
    let claims = live_claims(tx, task)?;
    if claims.is_empty() {
        return Ok(None);
    }
    let receipts = tx.latest_batch_receipts(task.row, RECEIPTS)?;
    let is_full = receipts.len() == RECEIPTS;
    let settling: Vec<(TaskId, Receipt)> = receipts
        .into_iter()
        .filter(|(_, _, receipt)| is_settling(receipt))
        .map(|(_, chunk, receipt)| (chunk, receipt))
        .collect();
    let mut claimed: BTreeMap<TaskId, Option<Timestamp>> = BTreeMap::new();
    let mut times: Vec<WorkTime> = claims.iter().map(|claimed_at| WorkTime::new(*claimed_at, now)).collect();
    for (chunk, receipt) in &settling {
        let claimed_at = match claimed.get(chunk) {
            Some(known) => *known,
            None => {
                let claimed_at = tx.task(chunk)?.claim.map(|claim| claim.claimed_at);
                claimed.insert(chunk.clone(), claimed_at);
                claimed_at
            }
        };
        times.push(WorkTime::new(claimed_at.unwrap_or(receipt.at), receipt.at));
    }
    let Some(mut start) = stretch_start(times, now) else { return Ok(None) };
    // Earlier receipts of the stretch were not read: their time does not count either.
    if let Some((_, oldest)) = settling.first().filter(|_| is_full) {
        start = start.max(oldest.at);
    }
    let in_stretch = settling.iter().filter(|(_, receipt)| receipt.at >= start);
    // A note on an item is no second item.
    let items: BTreeSet<(&TaskId, &str)> =
        in_stretch.filter_map(|(chunk, receipt)| Some((chunk, receipt.item.as_deref()?))).collect();
    let rate = rate(items.len() as u64, batch.counts.total - batch.counts.processed(), start, now);
    let newest = settling.last().map_or(start, |(_, receipt)| receipt.at);
    Ok(rate.filter(|(per_minute, _)| goes_on(*per_minute, newest, now)))
}

fn is_settling(receipt: &Receipt) -> bool {
    !receipt.late && receipt.outcome.and_then(ItemReport::outcome).is_some()
}
