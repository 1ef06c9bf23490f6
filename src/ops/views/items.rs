//! The open items of a chunk as its worker sees them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::in_doubt::{DoubtView, describe_doubt};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Chunk, StoredItem};
use crate::model::exact_json::parse_exact;
use crate::model::limits::MAX_REPLY_CHARS;
use crate::model::step::Steps;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::store::StoreRead;

/// An item as a worker sees it. The item's own fields are apart from those that Tasktally adds, so that no name can hide
/// another.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ItemView {
    /// Its key.
    pub key: String,
    /// Its own fields. A number that would lose digits is the string of its digits.
    pub fields: Map<String, Value>,
    /// Since when it is in doubt, and which worker had started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_doubt: Option<DoubtView>,
    /// Its outcome and category in earlier steps, by the steps' names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_steps: Option<Map<String, Value>>,
}

/// Items as a worker sees them, and the position after which the next page starts.
pub type ItemsPage = (Vec<ItemView>, Option<u64>);

/// A page of a chunk's items without an outcome. The page ends at `limit` items or when the reply grows too long.
pub(in crate::ops) fn open_items(
    tx: &dyn StoreRead,
    task: &Task,
    chunk: &Chunk,
    after: u64,
    limit: usize,
) -> Result<ItemsPage> {
    let steps = if chunk.step > 0 { tx.batch(chunk.batch_row)?.map(|batch| batch.steps) } else { None };
    let mut items = Vec::new();
    let mut length = 0;
    let mut last = after;
    for (count, item) in tx.items(chunk.row, after, limit + 1, true)?.into_iter().enumerate() {
        let (position, step) = (item.position, item.step);
        let in_doubt = describe_doubt(tx, task, chunk, &item)?;
        let earlier_steps = match steps.as_ref().filter(|_| step > 0) {
            Some(steps) => Some(earlier_steps(tx, chunk, steps, position)?),
            None => None,
        };
        let item = ItemView { fields: fields(&item)?, key: item.key, in_doubt, earlier_steps };
        length += serde_json::to_string(&item).map_or(0, |text| text.len());
        if count == limit || (count > 0 && length > MAX_REPLY_CHARS) {
            return Ok((items, Some(last)));
        }
        items.push(item);
        last = position;
    }
    Ok((items, None))
}

/// An item's outcome and category in the earlier steps, by the steps' names.
pub(in crate::ops) fn earlier_steps(
    tx: &dyn StoreRead,
    chunk: &Chunk,
    steps: &Steps,
    position: u64,
) -> Result<Map<String, Value>> {
    let earlier = tx.earlier_outcomes(chunk.row, position)?.into_iter().map(|earlier| {
        let result = match earlier.category {
            Some(category) => json!({ "outcome": earlier.outcome, "category": category }),
            None => json!({ "outcome": earlier.outcome }),
        };
        (steps.name(earlier.step).to_owned(), result)
    });
    Ok(earlier.collect())
}

/// The item's own fields.
pub(in crate::ops) fn fields(item: &StoredItem) -> Result<Map<String, Value>> {
    let unreadable = || format!("the fields of item '{}' cannot be read", excerpt(&item.key));
    match parse_exact(&item.json) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Error::new(Code::Internal, unreadable())),
        Err(error) => Err(Error::internal(unreadable(), error)),
    }
}
