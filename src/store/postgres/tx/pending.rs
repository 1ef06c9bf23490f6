//! The writes that a transaction has not sent yet. They are sent together with the next query or the commit.
//!
//! What a receipt changes comes many times in a group: such writes are merged, so that a group costs a few statements.

use super::merged::Merged;
use crate::model::cost::{CostGroup, CostSum};
use crate::model::status::Outcome;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::value::Value;

/// A write of which many are one statement. The order of such writes to different rows does not matter.
#[derive(Debug, Clone)]
pub(in crate::store::postgres) enum Change {
    /// Inserts a receipt with these values of its columns.
    Receipt(Vec<Value>),
    /// Lists a receipt among those of a batch.
    BatchReceipt {
        /// The batch.
        batch: RowId,
        /// The change number of the receipt.
        change_number: u64,
        /// The row of the receipt.
        receipt: RowId,
    },
    /// Gives a task a change number, and the lease of its claim a new end if it is given.
    Touch {
        /// The task.
        task: RowId,
        /// The change number.
        change_number: u64,
        /// When.
        at: Timestamp,
        /// The end of the lease.
        lease_until: Option<Timestamp>,
    },
    /// Adds to a cost total.
    Cost {
        /// The chunk or batch.
        task: RowId,
        /// What the total is about.
        group: CostGroup,
        /// The worker, category or model.
        name: String,
        /// What is added.
        spent: CostSum,
    },
    /// Gives an item its outcome, unless it has one.
    Settle {
        /// Its chunk.
        chunk: RowId,
        /// Its position.
        position: u64,
        /// Its outcome.
        outcome: Outcome,
        /// Its category.
        category: Option<String>,
        /// The receipt that settles it.
        receipt: u64,
        /// The error if it has an outcome.
        refusal: String,
    },
    /// Reports an item as started, unless it has an outcome.
    Start {
        /// Its chunk.
        chunk: RowId,
        /// Its position.
        position: u64,
        /// The receipt that reports it.
        receipt: u64,
        /// The generation of the claim.
        generation: u64,
    },
    /// Adds to the counts of a chunk and its batch.
    Count {
        /// The chunk.
        chunk: RowId,
        /// The batch.
        batch: RowId,
        /// The outcome that is counted.
        outcome: Outcome,
        /// What is added.
        by: i64,
    },
    /// Adds to the count of a category.
    Category {
        /// The chunk or batch.
        task: RowId,
        /// The category.
        name: String,
        /// What is added.
        by: i64,
    },
}

#[derive(Debug)]
enum Write {
    Statement(Statement),
    Change(Change),
}

/// Writes in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<Write>);

impl Pending {
    /// The number of writes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, statement: Statement) {
        self.0.push(Write::Statement(statement));
    }

    pub(super) fn push_change(&mut self, change: Change) {
        self.0.push(Write::Change(change));
    }

    /// Inserts a statement before the write at an index.
    pub(super) fn insert(&mut self, index: usize, statement: Statement) {
        self.0.insert(index, Write::Statement(statement));
    }

    /// Forgets the writes from an index on.
    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// The statements that make all writes.
    pub(super) fn take(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        let mut merged = Merged::default();
        for write in std::mem::take(&mut self.0) {
            match write {
                Write::Change(change) => merged.add(change),
                Write::Statement(statement) => {
                    // It may depend on the writes before it.
                    std::mem::take(&mut merged).add_statements(&mut statements);
                    statements.push(statement);
                }
            }
        }
        merged.add_statements(&mut statements);
        statements
    }
}
