//! Cost totals of chunks and batches, updated with each receipt.

use super::tx::{Change, Tx};
use super::value::values;
use crate::error::Result;
use crate::model::cost::{CostGroup, CostSum};
use crate::model::cost_totals::cost_totals_of;
use crate::model::receipt::Receipt;
use crate::model::task::{RowId, Task};
use crate::store::rows;

impl Tx<'_> {
    /// Adds the cost of a receipt to the totals that contain it.
    pub(super) fn add_cost(&self, task: &Task, receipt: &Receipt) {
        let spent = receipt.cost.as_sum();
        for (row, group, name) in cost_totals_of(task, receipt) {
            self.change(Change::Cost { task: row, group, name: name.to_owned(), spent });
        }
    }

    /// See [`crate::store::BatchRead::cost_totals`]. Highest cost first.
    pub(super) fn read_cost_totals(&self, row: RowId) -> Result<Vec<(CostGroup, String, CostSum)>> {
        self.all(
            "SELECT grouped_by, group_name, tokens_in, tokens_out, cost_millionths FROM cost_total WHERE task = $1
              ORDER BY grouped_by, cost_millionths DESC, tokens_in + tokens_out DESC, group_name",
            values![row],
            rows::cost_total,
        )
    }
}
