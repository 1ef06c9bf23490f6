//! Cost totals of chunks and batches, updated with each receipt.

use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::cost::{CostGroup, CostSum, Money};
use crate::model::receipt::Receipt;
use crate::model::status::ItemReport;
use crate::model::task::{RowId, Task};
use crate::store::rows;
use crate::store::rows::StoredRow as _;

impl Tx<'_> {
    /// Adds the cost of a receipt to the totals of its chunk and its batch. A late receipt counts: its cost was incurred.
    pub(super) fn add_cost(&self, task: &Task, receipt: &Receipt) -> Result<()> {
        let Some(batch) = task.batch_row() else { return Ok(()) };
        let spent = receipt.cost.as_sum();
        if task.is_chunk {
            self.add_to_cost_total(task.row, CostGroup::All, "", spent)?;
        }
        self.add_to_cost_total(batch, CostGroup::All, "", spent)?;
        self.add_to_cost_total(batch, CostGroup::Worker, &receipt.author, spent)?;
        let category =
            receipt.category.as_deref().or(receipt.outcome.map(ItemReport::as_str)).unwrap_or("none");
        self.add_to_cost_total(batch, CostGroup::Category, category, spent)?;
        match &receipt.cost.model {
            Some(model) => self.add_to_cost_total(batch, CostGroup::Model, model, spent),
            None => Ok(()),
        }
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
            |row| {
                let spent = CostSum {
                    tokens_in: row.get(2)?,
                    tokens_out: row.get(3)?,
                    cost: Money::from_millionths(row.get(4)?),
                };
                Ok((rows::word(row, 0)?, row.get(1)?, spent))
            },
        )
    }
}
