//! Inserts receipts: numbers each, and links it by its hash to the one before.

use super::search_text::search_vector;
use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::cost::Money;
use crate::model::receipt::GENESIS_HASH;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::store::NewReceipt;
use crate::store::rows::StoredRow as _;

impl Tx<'_> {
    /// Inserts a receipt under the task's next number, linked by its hash to the one before. Returns the number.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) fn insert_receipt(&self, task: &Task, new: &NewReceipt<'_>) -> Result<u64> {
        let last = self.first(
            "SELECT number, hash FROM receipt WHERE task = $1 ORDER BY number DESC LIMIT 1",
            values![task.row],
            |row| Ok((row.get::<u64>(0)?, row.hash(1)?)),
        )?;
        let (number, before) =
            last.map_or((1, GENESIS_HASH), |(number, hash)| (number + 1, hash.unwrap_or(GENESIS_HASH)));
        let receipt_row = self.next_receipt_row();
        let receipt = new.numbered(number, self.now());
        self.write(
            "INSERT INTO receipt (row_id, task, number, created_at, author, text, item_key, outcome, category, late, step_name,
                                  model, tokens_in, tokens_out, cost_millionths, hash, author_kind, decision, search)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                     $19::text::tsvector)",
            values![
                receipt_row,
                task.row,
                number,
                receipt.at.millis(),
                new.author.name(),
                new.text,
                new.item,
                new.outcome.map(|outcome| outcome.as_str()),
                new.category,
                new.late,
                new.step,
                &new.cost.model,
                new.cost.tokens_in,
                new.cost.tokens_out,
                new.cost.cost.map(Money::millionths),
                receipt.hash(task.id.as_str(), &before),
                new.author.kind().as_str(),
                new.decision.map(Decision::as_str),
                search_vector("", new.text),
            ],
        );
        if !receipt.cost.is_empty() {
            self.add_cost(task, &receipt)?;
        }
        let change_number = self.next_change_number();
        if let Some(batch) = task.batch_row() {
            self.write(
                "INSERT INTO batch_receipt (batch, change_number, receipt) VALUES ($1, $2, $3)",
                values![batch, change_number, receipt_row],
            );
        }
        // An UPDATE that sets `expires_at` writes an index entry even if the value is unchanged.
        match new.lease_until {
            Some(until) => self.write(
                "UPDATE task SET updated_at = $2, change_number = $3, expires_at = $4 WHERE row_id = $1",
                values![task.row, self.now().millis(), change_number, until.millis()],
            ),
            None => self.write(
                "UPDATE task SET updated_at = $2, change_number = $3 WHERE row_id = $1",
                values![task.row, self.now().millis(), change_number],
            ),
        };
        Ok(number)
    }
}
