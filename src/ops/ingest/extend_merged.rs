//! Where new items of a batch go whose rule is merge: what touches the same goes into one chunk, also
//! into one that is there as long as nobody has claimed it.

use std::collections::HashMap;

use super::chunk_plan::{group_of_each, in_order, numbers};
use super::extend::{Place, Places, chunk_at, standing};
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::extend::is_unclaimed;
use crate::model::merge::{ChunkTarget, pack_into_open_chunks};
use crate::model::split::{Split, chunk_title};
use crate::model::task::RowId;
use crate::ops::conflicts::detect::Independence;
use crate::ops::conflicts::stored::Running;
use crate::store::StoreWrite;

/// Finds the places of all items, and tells `independence` the place of each.
pub(in crate::ops) fn places(
    tx: &dyn StoreWrite,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
    independence: &mut Independence,
) -> Result<Places> {
    let mut unclaimed: HashMap<RowId, Option<u64>> = HashMap::new();
    let mut met: HashMap<u32, u64> = HashMap::new();
    let mut together = independence.together(Some(Running::of(tx, [batch.row])?), &mut |item, row| {
        let number = match unclaimed.get(&row) {
            Some(known) => *known,
            None => {
                let task = tx.task_by_row(row)?;
                let chunk = tx.chunk(&task)?.filter(|chunk| is_unclaimed(chunk, &task));
                let number = chunk.map(|chunk| chunk.number);
                unclaimed.insert(row, number);
                number
            }
        };
        if let Some(number) = number {
            met.entry(item).and_modify(|known| *known = number.min(*known)).or_insert(number);
        }
        Ok(())
    })?;
    let mut joined: HashMap<u32, u64> = HashMap::new();
    for (item, number) in met {
        let first = together.find(item);
        joined.entry(first).and_modify(|known| *known = number.min(*known)).or_insert(number);
    }
    let mut standing = standing(tx, batch, split, groups)?;
    let (open, before): (Vec<_>, Vec<_>) = groups
        .iter()
        .map(|(label, _)| {
            standing.remove(label).map_or_else(Default::default, |group| (group.open, group.chunks))
        })
        .unzip();
    let group_of = group_of_each(groups)?;
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let (takers, place_of) = pack_into_open_chunks(&group_of, &mut together, &joined, &open, max_chunk);
    let (begins, order) = in_order(&place_of, takers.len());
    let total = batch.counts.total + group_of.len() as u64;
    let parts = |group: u32| takers.iter().filter(|taker| **taker == ChunkTarget::New(group)).count() as u64;
    let mut part = 0;
    let mut all = Vec::with_capacity(takers.len());
    for (place, taker) in takers.iter().enumerate() {
        let members = &order[begins[place] as usize..begins[place + 1] as usize];
        let labels = || members.iter().map(|item| groups[group_of[*item as usize] as usize].0.as_str());
        let items = members.len() as u64;
        all.push(match *taker {
            ChunkTarget::Existing(number) => {
                let (chunk, task) = chunk_at(tx, batch, number)?;
                let is_one = *split != Split::Size && labels().all(|label| label == chunk.span);
                let span = if is_one { chunk.span.clone() } else { and_others(&chunk.span) };
                let held = chunk.counts.total;
                // The part that it is of its group stands between span and count.
                let rest = task.title.strip_prefix(chunk.span.as_str()).unwrap_or_default();
                let between = rest.rsplit_once(": ").map_or("", |(between, _)| between);
                let title = format!("{span}{between}: {} of {total}", held + items);
                Place { into: Some(number), held, items, span, title }
            }
            ChunkTarget::New(group) => {
                part = if place > 0 && takers[place - 1] == *taker { part + 1 } else { 1 };
                let label = groups[group as usize].0.as_str();
                let old = before[group as usize];
                let (span, part, parts) = if *split == Split::Size {
                    (numbers(members, batch.counts.total), 1, 1)
                } else if labels().all(|other| other == label) {
                    (label.to_owned(), old + part, old + parts(group))
                } else {
                    (and_others(label), old + part, old + parts(group))
                };
                let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
                let title = chunk_title(&span, place(part), place(parts), items, total);
                Place { into: None, held: 0, items, span, title }
            }
        });
    }
    let order = (!order.is_sorted()).then_some(order);
    independence.chunk_of = place_of;
    Ok(Places { all, order })
}

fn and_others(span: &str) -> String {
    if span.ends_with(" and others") { span.to_owned() } else { format!("{span} and others") }
}
