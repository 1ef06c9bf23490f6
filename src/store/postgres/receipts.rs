//! Inserts receipts: numbers each, and links it by its hash to the one before.

use super::search_text::search_vector;
use super::tx::{Change, Tx};
use super::value::values;
use crate::error::Result;
use crate::model::cost::Money;
use crate::model::receipt::GENESIS_HASH;
use crate::model::step::Decision;
use crate::model::task::{RowId, Task};
use crate::store::NewReceipt;
use crate::store::rows::StoredRow as _;

impl Tx<'_> {
    /// Inserts a receipt under the task's next number, linked by its hash to the one before. Returns the number.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) fn insert_receipt(&self, task: &Task, new: &NewReceipt<'_>) -> Result<u64> {
        let (last, before) = self.last_receipt(task.row)?;
        let number = last + 1;
        let receipt_row = self.next_receipt_row();
        let receipt = new.numbered(number, self.now());
        let hash = receipt.hash(task.id.as_str(), &before);
        // The columns in the order of the statement.
        self.change(Change::Receipt(values![
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
            hash,
            new.author.kind().as_str(),
            new.decision.map(Decision::as_str),
            search_vector("", new.text),
        ]));
        if !receipt.cost.is_empty() {
            self.add_cost(task, &receipt);
        }
        let change_number = self.next_change_number();
        if let Some(batch) = task.batch_row() {
            self.change(Change::BatchReceipt { batch, change_number, receipt: receipt_row });
        }
        let (at, lease_until) = (self.now(), new.lease_until);
        self.change(Change::Touch { task: task.row, change_number, at, lease_until });
        self.kept().appended(task.row, (number, hash), lease_until, (at, change_number));
        Ok(number)
    }

    /// The number and the hash of the last receipt of a task; 0 and the first hash if it has none.
    fn last_receipt(&self, task: RowId) -> Result<(u64, [u8; 32])> {
        if let Some(last) = self.known_last_receipt(task)? {
            return Ok(last);
        }
        let last = self.first(
            "SELECT number, hash FROM receipt WHERE task = $1 ORDER BY number DESC LIMIT 1",
            values![task],
            |row| Ok((row.get::<u64>(0)?, row.hash(1)?.unwrap_or(GENESIS_HASH))),
        )?;
        Ok(last.unwrap_or((0, GENESIS_HASH)))
    }
}
