//! What a batch's work cost, as callers see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::model::cost::{Spent, SpentBy};
use crate::model::task::Row;
use crate::store::Read;

/// How many workers, categories and models are shown: the dearest.
const SHOWN: usize = 20;

/// A batch's costs, from its receipts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SpentView {
    /// In all.
    #[serde(flatten)]
    pub all: Spent,
    /// By worker.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub workers: Map<String, Value>,
    /// By category; by outcome where there is none.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub categories: Map<String, Value>,
    /// By model.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub models: Map<String, Value>,
}

/// What a chunk or a batch cost in all, if its receipts say.
pub(in crate::ops) fn spent(tx: &dyn Read, row: Row) -> Result<Option<Spent>> {
    Ok(tx.spent(row)?.into_iter().find(|(by, ..)| *by == SpentBy::All).map(|(.., spent)| spent))
}

impl SpentView {
    /// The sum alone.
    pub(in crate::ops) fn of(all: Spent) -> Self {
        SpentView { all, workers: Map::new(), categories: Map::new(), models: Map::new() }
    }

    /// Adds what was spent by whom and on what.
    pub(in crate::ops) fn detailed(mut self, tx: &dyn Read, row: Row) -> Result<Self> {
        for (by, name, spent) in tx.spent(row)? {
            let map = match by {
                SpentBy::All => continue,
                SpentBy::Worker => &mut self.workers,
                SpentBy::Category => &mut self.categories,
                SpentBy::Model => &mut self.models,
            };
            if map.len() < SHOWN {
                let spent = serde_json::to_value(spent)
                    .map_err(|error| Error::internal("a cost could not be written as JSON", error))?;
                map.insert(name, spent);
            }
        }
        Ok(self)
    }
}
