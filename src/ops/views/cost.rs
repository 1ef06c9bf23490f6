//! The cost of a batch's work as callers see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::shorten::shorten_to_bytes;
use crate::error::{Error, Result};
use crate::model::cost::{CostGroup, CostSum};
use crate::model::task::RowId;
use crate::store::StoreRead;

/// The most workers, categories and models that are shown: the most expensive ones.
const SHOWN: usize = 20;
/// The most bytes of a name.
const NAME_BYTES: usize = 120;

/// The cost of a batch, added up from its receipts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SpentView {
    /// The total.
    #[serde(flatten)]
    pub all: CostSum,
    /// The cost by worker.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub workers: Map<String, Value>,
    /// The cost by category, or by outcome for items without a category.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub categories: Map<String, Value>,
    /// The cost by model.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub models: Map<String, Value>,
}

/// The total cost of a chunk or a batch; `None` if no receipt reports a cost.
pub(in crate::ops) fn spent(tx: &dyn StoreRead, row: RowId) -> Result<Option<CostSum>> {
    Ok(tx.cost_totals(row)?.into_iter().find(|(by, ..)| *by == CostGroup::All).map(|(.., spent)| spent))
}

impl SpentView {
    /// The total alone.
    pub(in crate::ops) fn total(all: CostSum) -> Self {
        SpentView { all, workers: Map::new(), categories: Map::new(), models: Map::new() }
    }

    /// Adds the cost by worker, category and model.
    pub(in crate::ops) fn with_details(mut self, tx: &dyn StoreRead, row: RowId) -> Result<Self> {
        for (by, name, spent) in tx.cost_totals(row)? {
            let map = match by {
                CostGroup::All => continue,
                CostGroup::Worker => &mut self.workers,
                CostGroup::Category => &mut self.categories,
                CostGroup::Model => &mut self.models,
            };
            if map.len() < SHOWN {
                let spent = serde_json::to_value(spent)
                    .map_err(|error| Error::internal("a cost could not be written as JSON", error))?;
                map.insert(shorten_to_bytes(name, NAME_BYTES), spent);
            }
        }
        Ok(self)
    }
}
