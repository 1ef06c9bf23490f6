//! The receipt of a write, as its caller sees it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::status::ItemReport;

/// The receipt that a write appended or found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptView {
    /// The receipt's number in the task's body.
    pub number: u64,
    /// The item's outcome, as it counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<ItemReport>,
    /// The item's category, as it counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub category: Option<String>,
    /// Whether the receipt existed before this request.
    pub duplicate: bool,
    /// Whether the receipt came with a lost claim: it is kept and not counted.
    pub late: bool,
    /// The receipt that settled the item, if this one is a note on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled_by: Option<u64>,
    /// The number of items of the chunk without an outcome; a field of the reply itself.
    #[serde(skip)]
    pub items_left: Option<u64>,
}

impl ReceiptView {
    /// A new receipt that is not about an item.
    pub(in crate::ops) fn new(number: u64) -> Self {
        ReceiptView {
            number,
            outcome: None,
            category: None,
            duplicate: false,
            late: false,
            settled_by: None,
            items_left: None,
        }
    }
}
