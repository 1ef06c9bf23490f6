//! The checkboxes of a task: which are open, and how a worker ticks them.

use crate::error::Result;
use crate::model::checklist::open_checkboxes;
use crate::model::open_work::tick_call;
use crate::model::receipt::Receipt;
use crate::model::task::Task;
use crate::store::StoreRead;

/// The texts of a task's open checkboxes. `summary` is a receipt that is about to be appended.
pub(in crate::ops) fn open_boxes(tx: &dyn StoreRead, task: &Task, summary: &str) -> Result<Vec<String>> {
    if !task.has_checkbox {
        return Ok(Vec::new());
    }
    // A late receipt never counts. A receipt on an item or by the server quotes what workers wrote about other things.
    let can_tick = |receipt: &Receipt| !receipt.late && receipt.item.is_none() && !receipt.is_by_system();
    let receipts = tx.receipts(task.row, 0, usize::MAX >> 1)?;
    let ticks = receipts.iter().filter(|receipt| can_tick(receipt)).map(|receipt| receipt.text.as_str());
    let own_text = tx.initial_text(task.row)?;
    Ok(open_checkboxes(&own_text, ticks.chain([summary])).into_iter().map(str::to_owned).collect())
}

/// A sentence for the worker that claims a task: how to tick its open checkboxes. Empty if it has none.
pub(in crate::ops) fn tick_hint(tx: &dyn StoreRead, task: &Task) -> Result<String> {
    let open = open_boxes(tx, task, "")?;
    let Some(first) = open.first() else { return Ok(String::new()) };
    Ok(format!(
        "Its text holds {} open `- [ ]`: tick each one done by a receipt that begins with its text, {}.",
        open.len(),
        tick_call(&task.id, first)
    ))
}
