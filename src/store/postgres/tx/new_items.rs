//! Items that a transaction inserts: collected, and inserted many at a time.

use crate::model::task::RowId;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::value::Value;

/// How many items one statement inserts.
const MANY: usize = 5_000;

/// The columns of the items that were not inserted yet.
#[derive(Default)]
pub(super) struct NewItems {
    batches: Vec<Option<i64>>,
    chunks: Vec<Option<i64>>,
    positions: Vec<Option<i64>>,
    keys: Vec<Option<String>>,
    fields: Vec<Option<String>>,
    full: Vec<Statement>,
    inserted: usize,
}

impl NewItems {
    /// Adds an item.
    pub(super) fn push(&mut self, batch: RowId, chunk: RowId, position: u64, key: &str, fields: &str) {
        self.batches.push(Some(batch));
        self.chunks.push(Some(chunk));
        self.positions.push(Some(position.cast_signed()));
        self.keys.push(Some(key.to_owned()));
        self.fields.push(Some(fields.to_owned()));
        self.inserted += 1;
        if self.keys.len() == MANY {
            self.close();
        }
    }

    /// How many items were added since [`NewItems::forget_inserted`].
    pub(super) fn inserted(&self) -> usize {
        self.inserted
    }

    /// Counts from 0 again.
    pub(super) fn forget_inserted(&mut self) {
        self.inserted = 0;
    }

    /// The statements that insert all of them.
    pub(super) fn take(&mut self) -> Vec<Statement> {
        self.close();
        std::mem::take(&mut self.full)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        *self = NewItems::default();
    }

    fn close(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        self.full.push(Statement::with(
            "INSERT INTO item (batch, chunk, position, key, fields)
             SELECT * FROM unnest($1, $2, $3, $4, $5)",
            vec![
                Value::Numbers(std::mem::take(&mut self.batches)),
                Value::Numbers(std::mem::take(&mut self.chunks)),
                Value::Numbers(std::mem::take(&mut self.positions)),
                Value::Texts(std::mem::take(&mut self.keys)),
                Value::Texts(std::mem::take(&mut self.fields)),
            ],
        ));
    }
}
