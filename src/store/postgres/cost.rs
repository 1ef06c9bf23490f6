//! Cost totals of chunks and batches, updated with each receipt.

use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::cost::{CostGroup, CostSum};
use crate::model::cost_totals::cost_totals_of;
use crate::model::receipt::Receipt;
use crate::model::task::{RowId, Task};
use crate::store::rows;

impl Tx<'_> {
    /// Adds the cost of a receipt to the totals that contain it.
    pub(super) fn add_cost(&self, task: &Task, receipt: &Receipt) -> Result<()> {
        let spent = receipt.cost.as_sum();
        let mut totals = cost_totals_of(task, receipt).into_iter();
        totals.try_for_each(|(row, kind, name)| self.add_to_cost_total(row, kind, name, spent))
    }

    fn add_to_cost_total(&self, row: RowId, kind: CostGroup, name: &str, spent: CostSum) -> Result<()> {
        self.write(
            "INSERT INTO cost_total (task, grouped_by, group_name, tokens_in, tokens_out, cost_millionths)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (task, grouped_by, group_name) DO UPDATE SET tokens_in = cost_total.tokens_in + excluded.tokens_in,
                tokens_out = cost_total.tokens_out + excluded.tokens_out,
                cost_millionths = cost_total.cost_millionths + excluded.cost_millionths",
            values![row, kind.as_str(), name, spent.tokens_in, spent.tokens_out, spent.cost.millionths()],
        );
        Ok(())
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
