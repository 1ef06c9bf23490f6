//! Cost totals of chunks and batches, updated with each receipt.

use rusqlite::params;

use super::rows;
use super::tx::Tx;
use crate::error::Result;
use crate::model::cost::{Money, Spent, SpentBy};
use crate::model::receipt::Receipt;
use crate::model::status::ItemReport;
use crate::model::task::{Row, Task};

impl Tx<'_> {
    /// Adds the cost of a receipt to the totals of its chunk and its batch. A late receipt counts: its cost was incurred.
    pub(super) fn add_cost(&self, task: &Task, receipt: &Receipt) -> Result<()> {
        let Some(batch) = task.batch_row() else { return Ok(()) };
        let spent = receipt.cost.spent();
        if task.is_chunk {
            self.add_to_cost_total(task.row, SpentBy::All, "", spent)?;
        }
        self.add_to_cost_total(batch, SpentBy::All, "", spent)?;
        self.add_to_cost_total(batch, SpentBy::Worker, &receipt.author, spent)?;
        let category =
            receipt.category.as_deref().or(receipt.outcome.map(ItemReport::as_str)).unwrap_or("none");
        self.add_to_cost_total(batch, SpentBy::Category, category, spent)?;
        match &receipt.cost.model {
            Some(model) => self.add_to_cost_total(batch, SpentBy::Model, model, spent),
            None => Ok(()),
        }
    }

    fn add_to_cost_total(&self, row: Row, kind: SpentBy, name: &str, spent: Spent) -> Result<()> {
        self.execute(
            "INSERT INTO cost_total (task, grouped_by, group_name, tokens_in, tokens_out, cost_millionths)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET tokens_in = tokens_in + excluded.tokens_in,
                tokens_out = tokens_out + excluded.tokens_out,
                cost_millionths = cost_millionths + excluded.cost_millionths",
            params![row, kind.as_str(), name, spent.tokens_in, spent.tokens_out, spent.cost.millionths()],
        )?;
        Ok(())
    }

    /// See [`crate::store::BatchRead::cost_totals`]. Highest cost first.
    pub(super) fn read_cost_totals(&self, row: Row) -> Result<Vec<(SpentBy, String, Spent)>> {
        self.all(
            "SELECT grouped_by, group_name, tokens_in, tokens_out, cost_millionths FROM cost_total WHERE task = ?1
              ORDER BY grouped_by, cost_millionths DESC, tokens_in + tokens_out DESC, group_name",
            [row],
            |row| {
                let spent = Spent {
                    tokens_in: row.get(2)?,
                    tokens_out: row.get(3)?,
                    cost: Money::from_millionths(row.get(4)?),
                };
                Ok((rows::word(row, 0)?, row.get(1)?, spent))
            },
        )
    }
}
