//! Which chunks of a batch with the rule `merge` take new items: items that share a resource go into one chunk, and into
//! a stored one that touches it, too, as long as that was never claimed.

use std::collections::HashMap;

use super::chunk_plan::{group_of_each, number_span, sort_by_chunk};
use super::extension_plan::{ExtensionPlan, Target, chunk_by_number, stored_groups};
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::pack_chunks::{ChunkTarget, pack_into_open_chunks};
use crate::model::split::Split;
use crate::model::task::RowId;
use crate::ops::conflicts::detect::TouchedResources;
use crate::ops::conflicts::stored_resources::StoredResources;
use crate::store::StoreRead;

/// The plan; sets the target of each item in `resources`.
///
/// # Errors
/// If the store or a temporary file cannot be read.
pub(in crate::ops) fn plan_merged(
    tx: &dyn StoreRead,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
    resources: &mut TouchedResources,
) -> Result<ExtensionPlan> {
    let mut number_of: HashMap<RowId, u64> = HashMap::new();
    let mut met: HashMap<u32, u64> = HashMap::new();
    let unclaimed = StoredResources::of_unclaimed_chunks(tx, batch.row)?;
    let mut together = resources.group_items(Some(unclaimed), &mut |item, row| {
        let number = match number_of.get(&row) {
            Some(known) => *known,
            None => {
                let Some(chunk) = tx.chunk(&tx.task_by_row(row)?)? else { return Ok(()) };
                *number_of.entry(row).or_insert(chunk.number)
            }
        };
        met.entry(item).and_modify(|known| *known = number.min(*known)).or_insert(number);
        Ok(())
    })?;
    let mut joined: HashMap<u32, u64> = HashMap::new();
    for (item, number) in met {
        let first = together.find(item);
        joined.entry(first).and_modify(|known| *known = number.min(*known)).or_insert(number);
    }
    let mut stored = stored_groups(tx, batch, split, groups)?;
    let open: Vec<_> =
        groups.iter().map(|(label, _)| stored.remove(label).unwrap_or_default().open).collect();
    let group_of = group_of_each(groups)?;
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let (takers, target_of) = pack_into_open_chunks(&group_of, &mut together, &joined, &open, max_chunk);
    let (starts, order) = sort_by_chunk(&target_of, takers.len());
    let mut targets = Vec::with_capacity(takers.len());
    for (target, taker) in takers.iter().enumerate() {
        let members = &order[starts[target] as usize..starts[target + 1] as usize];
        let labels = || members.iter().map(|item| groups[group_of[*item as usize] as usize].0.as_str());
        let items = members.len() as u64;
        targets.push(match *taker {
            ChunkTarget::Existing(number) => {
                let (chunk, _) = chunk_by_number(tx, batch, number)?;
                let is_same = *split != Split::Size && labels().all(|label| label == chunk.span);
                let span = if is_same { chunk.span.clone() } else { and_others(&chunk.span) };
                Target { stored: Some(number), held: chunk.counts.total, items, span }
            }
            ChunkTarget::New(group) => {
                let label = groups[group as usize].0.as_str();
                let span = if *split == Split::Size {
                    number_span(members, batch.counts.total)
                } else if labels().all(|other| other == label) {
                    label.to_owned()
                } else {
                    and_others(label)
                };
                Target { stored: None, held: 0, items, span }
            }
        });
    }
    let order = (!order.is_sorted()).then_some(order);
    resources.chunk_of = target_of;
    Ok(ExtensionPlan { targets, order })
}

fn and_others(span: &str) -> String {
    if span.ends_with(" and others") { span.to_owned() } else { format!("{span} and others") }
}
