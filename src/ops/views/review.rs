//! What a person is shown at a checkpoint: counts by category, a sample of each category, items in doubt.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::attention::AwaitingDecision;
use super::batch::categories;
use super::few_categories::sum_others;
use super::in_doubt::ItemStart;
use super::open_items::ListedFields;
use super::page_bytes::{cut_to_page, json_bytes};
use super::shorten::{shorten_receipt, shorten_receipt_to};
use crate::error::Result;
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::id::TaskId;
use crate::model::limits::{MAX_REPLY_CHARS, PAGE_ROWS};
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::store::StoreRead;
use crate::store::pages::{for_each_chunk, for_each_item};

/// The most chunks of a reply.
const CHUNKS: usize = 5;
/// The number of samples per category.
const SAMPLES: usize = 3;
/// The most items of one category in a reply.
const LISTED_ITEMS: usize = 100;
/// The most characters of a receipt in such a list.
const LISTED_RECEIPT_CHARS: usize = 1_000;
/// The most items in doubt that are shown per chunk.
const IN_DOUBT: usize = 20;
/// The most bytes of the samples of a chunk.
const SAMPLE_BYTES: usize = 20_000;
/// The most bytes of a chunk's counts by category that are all shown.
const CATEGORY_BYTES: usize = 4_000;
/// The most bytes of the items in doubt of a chunk.
const IN_DOUBT_BYTES: usize = 8_000;

/// A chunk that waits for a decision.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReviewView {
    /// The chunk's id.
    pub chunk: String,
    /// The chunk's title.
    pub title: String,
    /// The step that the chunk has completed.
    pub step: String,
    /// The number of items by category.
    pub categories: Map<String, Value>,
    /// Some items of each category, or the items of the requested category in order. The choice of some depends only on
    /// the batch's id, the keys and the last redo, so every caller sees the same items.
    pub samples: Vec<Sample>,
    /// How many categories, the smallest ones, have no sample here: get_batch(view="items", chunk) lists every item with its
    /// category.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unsampled_categories: u64,
    /// The notes of the redos of this step, the last one at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub redo_note: Option<String>,
    /// How many items were worked again since then. They come first among the samples of their category.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub redone: u64,
    /// Items in doubt: approve settles them as done, redo opens them again.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub in_doubt: Vec<ItemInDoubt>,
    /// How many more items are in doubt: get_batch(view="items", outcome="started") lists all.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more_in_doubt: u64,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// An item that was started and never settled.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ItemInDoubt {
    /// The item's key.
    pub item: String,
    /// When a worker started it.
    pub since: String,
    /// The worker that started it.
    pub by: String,
    /// The category that it named then: what it was about to do. An approval gives it to the item.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub category: Option<String>,
    /// The item itself.
    #[serde(flatten)]
    pub listed: ListedFields,
}

/// A sample of a category.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The item's key.
    pub item: String,
    /// The item's category, or its outcome if it has no category.
    pub category: String,
    /// The text of the item's receipt.
    pub receipt: String,
    /// Whether it was worked again since the last redo.
    #[serde(skip_serializing_if = "is_false", default)]
    pub redone: bool,
    /// The item itself.
    #[serde(flatten)]
    pub listed: ListedFields,
}

/// A page of chunks that wait for a decision and whose number is greater than `after`, and the number at which the page
/// ends if more follow.
pub(in crate::ops) fn reviews(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    only: Option<&TaskId>,
    after: u64,
) -> Result<(Vec<ReviewView>, Option<u64>)> {
    let (mut reviews, mut numbers, mut next) = (Vec::new(), Vec::new(), None);
    let awaiting = AwaitingDecision::of(tx, task, batch)?;
    for_each_chunk(tx, batch.row, after, |chunk, chunk_task| {
        if !awaiting.includes(&chunk_task) || only.is_some_and(|only| *only != chunk_task.id) {
            return Ok(true);
        }
        if reviews.len() == CHUNKS {
            next = numbers.last().copied();
            return Ok(false);
        }
        reviews.push(review(tx, task, batch, &chunk, &chunk_task)?);
        numbers.push(chunk.number);
        Ok(true)
    })?;
    if cut_to_page(&mut reviews) {
        next = numbers.get(reviews.len() - 1).copied();
    }
    Ok((reviews, next))
}

/// The items of one category, of the chunks that wait for a decision.
pub(in crate::ops) struct CategoryReader<'a> {
    pub(in crate::ops) tx: &'a dyn StoreRead,
    pub(in crate::ops) batch: &'a Batch,
    pub(in crate::ops) category: &'a str,
    /// Only this chunk.
    pub(in crate::ops) only: Option<&'a TaskId>,
    /// Which chunks wait for a decision.
    pub(in crate::ops) awaiting: AwaitingDecision,
}

/// A page of them: each chunk with its items as samples. Where the next page starts: after this chunk number, and after
/// this position in the chunk that follows it.
#[derive(Debug, Default)]
pub(in crate::ops) struct CategoryPage {
    pub(in crate::ops) reviews: Vec<ReviewView>,
    pub(in crate::ops) next: Option<(u64, u64)>,
    items: usize,
    length: usize,
}

impl CategoryReader<'_> {
    /// The items in chunks whose number is greater than `chunks_after`; in the first of them those after position
    /// `items_after`.
    pub(in crate::ops) fn page(&self, chunks_after: u64, mut items_after: u64) -> Result<CategoryPage> {
        let mut page = CategoryPage::default();
        for_each_chunk(self.tx, self.batch.row, chunks_after, |chunk, task| {
            if self.wants(&task) && self.count_in(&chunk)? > 0 {
                self.add_items(&chunk, &task, items_after, &mut page)?;
            }
            items_after = 0;
            Ok(page.next.is_none())
        })?;
        Ok(page)
    }

    /// How many items of the category wait for a decision.
    pub(in crate::ops) fn count(&self) -> Result<u64> {
        let mut count = 0;
        for_each_chunk(self.tx, self.batch.row, 0, |chunk, task| {
            if self.wants(&task) {
                count += self.count_in(&chunk)?;
            }
            Ok(true)
        })?;
        Ok(count)
    }

    /// Whether a chunk waits for a decision and was asked for.
    fn wants(&self, task: &Task) -> bool {
        self.awaiting.includes(task) && self.only.is_none_or(|only| *only == task.id)
    }

    fn count_in(&self, chunk: &Chunk) -> Result<u64> {
        let counts = self.tx.category_counts(chunk.row)?;
        Ok(counts.into_iter().find(|(name, _)| name == self.category).map_or(0, |(_, count)| count))
    }

    /// Adds the items of a chunk, until the page is full.
    fn add_items(&self, chunk: &Chunk, task: &Task, mut after: u64, page: &mut CategoryPage) -> Result<()> {
        let categories = shown_categories(self.tx, chunk)?;
        let head = task.title.len() + json_bytes(&categories) + 100;
        if page.items > 0 && page.length + head > MAX_REPLY_CHARS {
            page.next = Some((chunk.number - 1, after));
            return Ok(());
        }
        page.length += head;
        let last_redo = Redo::last(self.tx, chunk, task)?;
        let mut samples = Vec::new();
        'pages: loop {
            let items = self.tx.items(chunk.row, after, PAGE_ROWS, false)?;
            if items.is_empty() {
                break;
            }
            for item in items {
                let position = item.position;
                let settled = item.settled.as_ref().filter(|_| item.step == chunk.step);
                if let Some(settled) = settled
                    && settled.category.as_deref().unwrap_or(settled.outcome.as_str()) == self.category
                {
                    let text = self.tx.receipt(chunk.row, settled.receipt)?.map(|receipt| receipt.text);
                    let text = text.unwrap_or_default();
                    let receipt = shorten_receipt_to(text, LISTED_RECEIPT_CHARS, &task.id, settled.receipt);
                    let sample = Sample {
                        listed: ListedFields::of(&item)?,
                        item: item.key.clone(),
                        category: self.category.to_owned(),
                        receipt,
                        redone: last_redo.as_ref().is_some_and(|redo| redo.repeated(&item, settled.receipt)),
                    };
                    let length = json_bytes(&sample);
                    if page.items == LISTED_ITEMS
                        || (page.items > 0 && page.length + length > MAX_REPLY_CHARS)
                    {
                        page.next = Some((chunk.number - 1, after));
                        break 'pages;
                    }
                    page.length += length;
                    page.items += 1;
                    samples.push(sample);
                }
                after = position;
            }
        }
        if !samples.is_empty() {
            page.reviews.push(ReviewView {
                chunk: task.id.to_string(),
                title: task.title.clone(),
                step: self.batch.steps.name(chunk.step).to_owned(),
                categories,
                samples,
                unsampled_categories: 0,
                redo_note: None,
                redone: 0,
                in_doubt: Vec::new(),
                more_in_doubt: 0,
            });
        }
        Ok(())
    }
}

impl CategoryPage {
    /// The number of its items.
    pub(in crate::ops) fn len(&self) -> usize {
        self.items
    }
}

impl ReviewView {
    /// A category of which only some items are shown.
    pub(in crate::ops) fn shortened_category(&self) -> Option<&str> {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let mut categories = self.categories.iter();
        categories.find(|(_, value)| count(value) > SAMPLES as u64).map(|(name, _)| name.as_str())
    }
}

/// The items of each category that come first: their place in the order, the item, and the number of its receipt. Items
/// that were worked again since the last redo come before others, then the smaller hash.
type Candidates = BTreeMap<String, Vec<((bool, [u8; 32]), StoredItem, u64)>>;

/// The last redo of a chunk's step.
struct Redo {
    /// The number of its receipt.
    number: u64,
    /// The items that had been worked in the step before it.
    worked: HashSet<String>,
}

impl Redo {
    /// Reads it; `None` if there was none.
    fn last(tx: &dyn StoreRead, chunk: &Chunk, task: &Task) -> Result<Option<Self>> {
        // The note is cleared with each step.
        if chunk.review_note.is_empty() {
            return Ok(None);
        }
        let (mut number, mut worked, mut before) = (None, HashSet::new(), task.receipt_count);
        while before > 0 {
            let after = before.saturating_sub(PAGE_ROWS as u64);
            for receipt in tx.receipts(task.row, after, (before - after) as usize)?.into_iter().rev() {
                match number {
                    None if receipt.decision == Some(Decision::Redo) => number = Some(receipt.number),
                    Some(_) if !receipt.late && receipt.step == chunk.step_name => {
                        worked.extend(receipt.item)
                    }
                    _ => {}
                }
            }
            before = after;
        }
        Ok(number.map(|number| Redo { number, worked }))
    }

    /// Whether an item was worked again since.
    fn repeated(&self, item: &StoredItem, settled_by: u64) -> bool {
        settled_by > self.number && self.worked.contains(&item.key)
    }
}

/// The samples of a chunk, in the order of their categories, and the number of categories for which there is no room. The
/// largest categories come first to the room.
fn sample(
    tx: &dyn StoreRead,
    chunk: &Chunk,
    task: &Task,
    mut candidates: Candidates,
) -> Result<(Vec<Sample>, u64)> {
    let (mut samples, mut bytes, mut unsampled) = (Vec::new(), 0, 0);
    for (category, _) in tx.category_counts(chunk.row)? {
        let Some(of_category) = candidates.remove(&category) else { continue };
        let of_category = of_category.into_iter().map(|((is_first_work, _), item, number)| {
            let text = tx.receipt(chunk.row, number)?.map(|receipt| receipt.text).unwrap_or_default();
            let receipt = shorten_receipt(text, &task.id, number);
            let listed = ListedFields::of(&item)?;
            Ok(Sample { item: item.key, category: category.clone(), receipt, redone: !is_first_work, listed })
        });
        let of_category = of_category.collect::<Result<Vec<_>>>()?;
        bytes += json_bytes(&of_category);
        if bytes > SAMPLE_BYTES && !samples.is_empty() {
            unsampled += 1;
        } else {
            samples.extend(of_category);
        }
    }
    samples.sort_by(|a: &Sample, b: &Sample| a.category.cmp(&b.category));
    Ok((samples, unsampled))
}

/// The counts by category of a chunk: all of them, or the largest and the sum of the others.
fn shown_categories(tx: &dyn StoreRead, chunk: &Chunk) -> Result<Map<String, Value>> {
    let mut counts = categories(tx, chunk.row)?;
    if json_bytes(&counts) > CATEGORY_BYTES {
        sum_others(&mut counts);
    }
    Ok(counts)
}

/// Reads one chunk in review for a reply.
pub(in crate::ops) fn review(
    tx: &dyn StoreRead,
    batch_task: &Task,
    batch: &Batch,
    chunk: &Chunk,
    task: &Task,
) -> Result<ReviewView> {
    // The samples of a category are the items with the smallest hashes: anybody can repeat the selection.
    let mut smallest = Candidates::new();
    let last_redo = Redo::last(tx, chunk, task)?;
    let mut redone = 0;
    for_each_item(tx, chunk.row, |item| {
        let Some(settled) = item.settled.clone().filter(|_| item.step == chunk.step) else { return Ok(()) };
        let hash = Sha256::digest(format!("{}\n{}", batch_task.id, item.key)).into();
        let category = settled.category.unwrap_or_else(|| settled.outcome.to_string());
        let is_redone = last_redo.as_ref().is_some_and(|redo| redo.repeated(&item, settled.receipt));
        redone += u64::from(is_redone);
        let of_category = smallest.entry(category).or_default();
        of_category.push(((!is_redone, hash), item, settled.receipt));
        of_category.sort_by_key(|(order, ..)| *order);
        of_category.truncate(SAMPLES);
        Ok(())
    })?;
    let (samples, unsampled_categories) = sample(tx, chunk, task, smallest)?;
    let (mut in_doubt, mut bytes) = (Vec::new(), 0);
    let started = tx.started_items(chunk)?;
    let count = started.len();
    for item in started.into_iter().take(IN_DOUBT) {
        let start = ItemStart::of(tx, chunk, &item)?;
        let (listed, since) = (ListedFields::of(&item)?, start.since());
        let doubt = ItemInDoubt { listed, item: item.key, since, by: start.by, category: start.category };
        bytes += json_bytes(&doubt);
        if bytes > IN_DOUBT_BYTES && !in_doubt.is_empty() {
            break;
        }
        in_doubt.push(doubt);
    }
    let more_in_doubt = (count - in_doubt.len()) as u64;
    Ok(ReviewView {
        chunk: task.id.to_string(),
        title: task.title.clone(),
        step: batch.steps.name(chunk.step).to_owned(),
        categories: shown_categories(tx, chunk)?,
        samples,
        unsampled_categories,
        redo_note: last_redo.map(|redo| shorten_receipt(chunk.review_note.clone(), &task.id, redo.number)),
        redone,
        in_doubt,
        more_in_doubt,
    })
}
