//! Comparison of a task's content with the hash that was stored with it.

use super::StoreRead;
use super::pages::for_each_item;
use crate::error::Result;
use crate::model::chain::ContentHead;
use crate::model::content_hash::{ContentHash, NO_ITEMS, batch_hash, items_hash, text_hash};
use crate::model::task::Task;

/// The content of a task as it is now.
#[derive(Debug)]
struct Content {
    hash: ContentHash,
    /// How many items were hashed; 0 unless the task is a chunk.
    items: u64,
    /// The hash of as many items as a head names.
    hash_at_head: Option<ContentHash>,
    /// What was hashed, with "was" or "were", for messages.
    subject: &'static str,
    /// Whether a text differs that has no hash of its own.
    is_initial_text_changed: bool,
}

/// The head of a task's content, whose stored hash is `hash`.
///
/// # Errors
/// If the store cannot be read.
pub fn content_head(tx: &dyn StoreRead, task: &Task, hash: &ContentHash) -> Result<ContentHead> {
    let items = tx.chunk(task)?.map_or(0, |chunk| chunk.counts.total);
    Ok(ContentHead::new(items, hash))
}

/// The first difference between a task's content, the stored hash and an exported head. `stored` is `None` for tasks of
/// schemas that had no content hashes.
///
/// # Errors
/// If the store cannot be read.
pub fn content_problem(
    tx: &dyn StoreRead,
    task: &Task,
    stored: Option<&ContentHash>,
    head: Option<&ContentHead>,
) -> Result<Option<String>> {
    let Some(stored) = stored else {
        let removed =
            || format!("task {}: its content had a hash when its head was exported, and has none", task.id);
        return Ok(head.map(|_| removed()));
    };
    let content = hash_content(tx, task, head)?;
    let (id, subject) = (&task.id, content.subject);
    let total = tx.chunk(task)?.map_or(content.items, |chunk| chunk.counts.total);
    if content.items != total {
        return Ok(Some(format!("task {id}: {} of {total} items are there", content.items)));
    }
    if content.hash != *stored || content.is_initial_text_changed {
        return Ok(Some(format!("task {id}: {subject} changed after it was created")));
    }
    Ok(head.and_then(|head| match content.hash_at_head {
        Some(hash) if head.matches(&hash) => None,
        Some(_) => Some(format!("task {id}: {subject} rewritten since its head was exported")),
        None => Some(format!(
            "task {id}: {} items are there, {} were when its head was exported",
            content.items, head.items
        )),
    }))
}

fn hash_content(tx: &dyn StoreRead, task: &Task, head: Option<&ContentHead>) -> Result<Content> {
    let initial_text = tx.initial_text(task.row)?;
    if task.is_chunk {
        let (mut hash, mut items) = (NO_ITEMS, 0);
        let mut hash_at_head = None;
        for_each_item(tx, task.row, |item| {
            hash = items_hash(&hash, &item.key, &item.json);
            items += 1;
            if head.is_some_and(|head| head.items == items) {
                hash_at_head = Some(hash);
            }
            Ok(())
        })?;
        let is_initial_text_changed = !initial_text.is_empty();
        return Ok(Content {
            hash,
            items,
            hash_at_head,
            subject: "its items or its text were",
            is_initial_text_changed,
        });
    }
    let (hash, subject, is_initial_text_changed) = match tx.batch(task.row)? {
        Some(batch) => {
            let is_changed = batch.instructions != initial_text;
            (batch_hash(&batch), "its instructions or its rules were", is_changed)
        }
        None => (text_hash(&initial_text), "its initial text was", false),
    };
    Ok(Content { hash, items: 0, hash_at_head: Some(hash), subject, is_initial_text_changed })
}
