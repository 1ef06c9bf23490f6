//! The open items of a chunk as its worker sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::in_doubt::{DoubtView, describe_doubt};
use super::page_bytes::json_bytes;
use super::task_part_name::Part;
use crate::error::{Code, Error, Result};
use crate::model::batch::{Chunk, StoredItem};
use crate::model::exact_json::parse_exact;
use crate::model::step::Steps;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::store::StoreRead;
use crate::store::pages::OPEN_ITEMS_AT_ONCE;

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
    /// What is left out because the item is too large, as in `fields.body`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The call that returns the whole item, if something is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
}

/// Items as a worker sees them, and the position after which the next page starts.
pub type ItemsPage = (Vec<ItemView>, Option<u64>);

/// What a reply says if an item is too large for it.
pub(in crate::ops) const ITEMS_LEFT_OUT: &str = "; an item with left_out is too large for this reply: the call in its field whole returns all of it, in pages";
/// The most bytes of the results of earlier steps in an item that is too large.
const EARLIER_BYTES: usize = 1_000;
/// The most bytes of the names of what is left out.
const NAMES_BYTES: usize = 1_000;
/// The most bytes of an item's fields in a list.
const LISTED_FIELDS_BYTES: usize = 1_000;

/// A page of a chunk's items without an outcome. The page ends at `limit` items, or before `max_bytes`. An item that is
/// larger by itself is shown without its largest fields.
pub(in crate::ops) fn open_items(
    tx: &dyn StoreRead,
    task: &Task,
    chunk: &Chunk,
    after: u64,
    limit: usize,
    max_bytes: usize,
) -> Result<ItemsPage> {
    let steps = passed_steps(tx, chunk)?;
    let (mut items, mut bytes, mut last) = (Vec::new(), 0, after);
    loop {
        let read = tx.items(chunk.row, last, OPEN_ITEMS_AT_ONCE, true)?;
        let is_end = read.len() < OPEN_ITEMS_AT_ONCE;
        for item in read {
            let position = item.position;
            let mut item = view(tx, task, chunk, steps.as_ref(), item)?;
            leave_out(&mut item, task, max_bytes);
            bytes += json_bytes(&item);
            if items.len() == limit || (!items.is_empty() && bytes > max_bytes) {
                return Ok((items, Some(last)));
            }
            items.push(item);
            last = position;
        }
        if is_end {
            return Ok((items, None));
        }
    }
}

/// The whole item of a chunk with this key, also if it has an outcome.
///
/// # Errors
/// `not_found`.
pub(in crate::ops) fn open_item(tx: &dyn StoreRead, task: &Task, key: &str) -> Result<ItemView> {
    let none = || {
        Error::not_found(format!(
            "part: task {0} has no item '{1}'; get_task(id=\"{0}\") shows its open items",
            task.id,
            excerpt(key)
        ))
    };
    let chunk = tx.chunk(task)?.ok_or_else(none)?;
    let item = tx.item(chunk.batch_row, key)?.filter(|item| item.chunk_row == chunk.row).ok_or_else(none)?;
    let steps = passed_steps(tx, &chunk)?;
    view(tx, task, &chunk, steps.as_ref(), item)
}

/// The steps of the chunk's batch, if the chunk has passed one.
fn passed_steps(tx: &dyn StoreRead, chunk: &Chunk) -> Result<Option<Steps>> {
    Ok(if chunk.step > 0 { tx.batch(chunk.batch_row)?.map(|batch| batch.steps) } else { None })
}

fn view(
    tx: &dyn StoreRead,
    task: &Task,
    chunk: &Chunk,
    steps: Option<&Steps>,
    item: StoredItem,
) -> Result<ItemView> {
    let in_doubt = describe_doubt(tx, task, chunk, &item)?;
    let earlier_steps = match steps.filter(|_| item.step > 0) {
        Some(steps) => Some(earlier_steps(tx, chunk, steps, item.position)?),
        None => None,
    };
    let fields = fields(&item)?;
    Ok(ItemView { fields, key: item.key, in_doubt, earlier_steps, left_out: Vec::new(), whole: None })
}

/// Leaves out the largest fields of an item that has more than `max_bytes`, and names them.
fn leave_out(item: &mut ItemView, task: &Task, max_bytes: usize) {
    if json_bytes(item) <= max_bytes {
        return;
    }
    item.whole = Some(Part::Item(item.key.clone()).call(&task.id));
    let mut names = Vec::new();
    if item.earlier_steps.as_ref().is_some_and(|steps| json_bytes(steps) > EARLIER_BYTES) {
        item.earlier_steps = None;
        names.push("earlier_steps".to_owned());
    }
    names
        .extend(keep_small(&mut item.fields, max_bytes / 2).into_iter().map(|name| format!("fields.{name}")));
    let mut bytes = 0;
    let named = names.iter().take_while(|name| {
        bytes += json_bytes(name);
        bytes <= NAMES_BYTES
    });
    let named = named.count();
    let unnamed = names.len() - named;
    names.truncate(named);
    if unnamed > 0 {
        names.push(format!("{unnamed} more"));
    }
    item.left_out = names;
}

/// Keeps the fields that have at most a quarter of `max_bytes`, until these are used up. Returns the names of the others.
fn keep_small(fields: &mut Map<String, Value>, max_bytes: usize) -> Vec<String> {
    let (mut kept, mut names) = (0, Vec::new());
    fields.retain(|name, value| {
        let bytes = name.len() + json_bytes(value);
        let fits = bytes <= max_bytes / 4 && kept + bytes <= max_bytes;
        if fits {
            kept += bytes;
        } else {
            names.push(name.clone());
        }
        fits
    });
    names
}

/// The fields of an item in a list of items for a person or a supervisor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListedFields {
    /// The item's own fields, those that are small; absent if it has no field besides its key.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub fields: Map<String, Value>,
    /// How many of its fields are left out here, if some are large. `get_task(id=CHUNK, part="item KEY")` returns all.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub fields_left_out: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ListedFields {
    /// Reads them.
    ///
    /// # Errors
    /// If the stored item is no JSON object.
    pub(in crate::ops) fn of(item: &StoredItem) -> Result<Self> {
        let mut fields = fields(item)?;
        if fields.len() == 1 && fields.values().all(|value| *value == *item.key) {
            fields.clear();
        }
        let left_out = if json_bytes(&fields) > LISTED_FIELDS_BYTES {
            keep_small(&mut fields, LISTED_FIELDS_BYTES).len() as u64
        } else {
            0
        };
        Ok(ListedFields { fields, fields_left_out: left_out })
    }
}

/// The end of a message about these items: how to read fields that are left out, if any are.
pub(in crate::ops) fn left_out_hint<'a>(mut items: impl Iterator<Item = &'a ListedFields>) -> &'static str {
    if items.any(|item| item.fields_left_out > 0) {
        "; fields_left_out counts large fields: get_task(id=CHUNK, part=\"item KEY\") returns them"
    } else {
        ""
    }
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
