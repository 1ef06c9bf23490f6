//! In builds for tests, every commit compares the rows that the transaction kept with those in the database: a write that
//! changes them differently here and there must not go unnoticed.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use super::Tx;
use super::entities::Entities;
use super::entity_load::Load;
use crate::model::batch::StoredItem;
use crate::model::task::RowId;
use crate::store::postgres::connection::Results;
use crate::store::postgres::statement::Statement;

/// The rows that were kept, to be compared with the result of a query.
pub(super) struct Check(Option<(Entities, Load)>);

impl Tx<'_> {
    /// The statements that read the kept rows again. None outside of tests.
    pub(super) fn check_statements(&self) -> (Vec<Statement>, Check) {
        if !cfg!(debug_assertions) || self.entities.borrow().is_empty() {
            return (Vec::new(), Check(None));
        }
        let kept = self.entities.take();
        let load = Load::again(&kept);
        (load.statements(), Check(Some((kept, load))))
    }
}

impl Check {
    /// Compares the kept rows with those that were read.
    pub(super) fn compare(self, results: Results) {
        let Some((kept, load)) = self.0 else { return };
        let mut stored = Entities::default();
        let read = stored.keep_loaded(&load, results);
        debug_assert!(read.is_ok(), "{read:?}");
        if let Some(difference) = kept.difference(&stored) {
            debug_assert!(false, "a kept row differs from the stored one: {difference}");
        }
    }
}

impl Entities {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.chunks.is_empty() && self.batches.is_empty()
    }

    /// The first row that is not as it is stored.
    fn difference(&self, stored: &Entities) -> Option<String> {
        first_difference("task", &self.tasks, &stored.tasks)
            .or_else(|| first_difference("chunk", &self.chunks, &stored.chunks))
            .or_else(|| first_difference("batch", &self.batches, &stored.batches))
            .or_else(|| first_difference("started items of", &self.started, &stored.started))
            .or_else(|| first_difference("last receipt of", &self.last_receipts, &stored.last_receipts))
            .or_else(|| first_difference("dependents of", &self.hard_dependents, &stored.hard_dependents))
            .or_else(|| {
                let differ = |(batch, items): (&RowId, &HashMap<String, StoredItem>)| {
                    first_difference("item", items, stored.items.get(batch)?)
                };
                self.items.iter().find_map(differ)
            })
    }
}

/// The first value that differs from the stored one with the same key.
fn first_difference<K: Eq + Hash + Debug, V: PartialEq + Debug>(
    what: &str,
    kept: &HashMap<K, V>,
    stored: &HashMap<K, V>,
) -> Option<String> {
    kept.iter().find_map(|(key, kept)| {
        let stored = stored.get(key)?;
        (kept != stored).then(|| format!("{what} {key:?}: kept {kept:?}, stored {stored:?}"))
    })
}
