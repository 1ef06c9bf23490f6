//! The totals that the cost of a receipt is added to.

use super::cost::CostGroup;
use super::receipt::Receipt;
use super::status::ItemReport;
use super::task::{RowId, Task};

/// The totals of a task's chunk and batch that contain a receipt: the row of the task, the grouping, the name of the group.
/// A late receipt counts: its cost was incurred. A task that belongs to no batch has no totals.
pub fn cost_totals_of<'a>(task: &Task, receipt: &'a Receipt) -> Vec<(RowId, CostGroup, &'a str)> {
    let Some(batch) = task.batch_row() else { return Vec::new() };
    let category = receipt.category.as_deref().or(receipt.outcome.map(ItemReport::as_str)).unwrap_or("none");
    let of_chunk = task.is_chunk.then_some((task.row, CostGroup::All, ""));
    let of_batch = [
        (batch, CostGroup::All, ""),
        (batch, CostGroup::Worker, receipt.author.as_str()),
        (batch, CostGroup::Category, category),
    ];
    let of_model = receipt.cost.model.as_deref().map(|model| (batch, CostGroup::Model, model));
    of_chunk.into_iter().chain(of_batch).chain(of_model).collect()
}
