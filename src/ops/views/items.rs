//! The open items of a chunk as its worker sees them.

use serde_json::{Map, Value, json};

use super::in_doubt::describe_doubt;
use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::model::limits::MAX_REPLY_CHARS;
use crate::model::step::Steps;
use crate::model::task::Task;
use crate::store::StoreRead;

/// Names in a worker's view of an item that only Tasktally sets: a field of the item with such a name is left out.
const RESERVED: [&str; 3] = ["key", "in_doubt", "earlier_steps"];

/// Items as a worker sees them, and the position after which the next page starts.
pub type ItemsPage = (Vec<Map<String, Value>>, Option<u64>);

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
        let mut item = item_view(item);
        if let Some(steps) = steps.as_ref().filter(|_| step > 0) {
            item.insert("earlier_steps".into(), earlier_steps(tx, chunk, steps, position)?);
        }
        if let Some(in_doubt) = in_doubt {
            item.insert("in_doubt".into(), in_doubt);
        }
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
) -> Result<Value> {
    let earlier = tx.earlier_outcomes(chunk.row, position)?.into_iter().map(|earlier| {
        let result = match earlier.category {
            Some(category) => json!({ "outcome": earlier.outcome, "category": category }),
            None => json!({ "outcome": earlier.outcome }),
        };
        (steps.name(earlier.step).to_owned(), result)
    });
    Ok(Value::Object(earlier.collect()))
}

/// An item as a worker sees it: its key, then its fields.
fn item_view(item: StoredItem) -> Map<String, Value> {
    let mut map = Map::with_capacity(item.fields.len() + 1);
    map.insert("key".into(), item.key.into());
    map.extend(item.fields.into_iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())));
    map
}
