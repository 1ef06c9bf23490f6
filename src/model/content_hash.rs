//! Hashes of what workers are told to do: the initial text of a task, the instructions and rules of a batch, the items of
//! a chunk. Receipts contain none of it, so their chain does not protect it.

use super::batch::Batch;
use super::text_hasher::PartHasher;

/// A hash of content: SHA-256.
pub type ContentHash = [u8; 32];

/// The hash of no items.
pub const NO_ITEMS: ContentHash = [0; 32];

/// The hash of a task's initial text.
pub fn text_hash(initial_text: &str) -> ContentHash {
    let mut hasher = PartHasher::default();
    hasher.add("initial_text");
    hasher.add(initial_text);
    hasher.finish()
}

/// The hash of a batch's instructions and of its rules, as far as no operation changes them. (`control_batch` changes
/// `max_parallel` and the worker profile.)
pub fn batch_hash(batch: &Batch) -> ContentHash {
    let mut hasher = PartHasher::default();
    let mut add = |name: &str, value: &str| {
        hasher.add(name);
        hasher.add(value);
    };
    add("instructions", &batch.instructions);
    add("key_field", &batch.key_field);
    add("split", &batch.split);
    for step in batch.steps.iter() {
        add("step", step.name.as_str());
        add("step_instructions", step.instructions.as_str());
        step.only_categories.iter().for_each(|category| add("only_category", category.as_str()));
    }
    add("checkpoint", batch.checkpoint.as_str());
    add("review", batch.review.as_str());
    add("in_doubt", batch.in_doubt.as_str());
    // Rules of later schemas are hashed only if they are set, too, so that the hashes of older batches stay valid.
    let optional = [
        ("auto_approve_after", batch.auto_approve_after.map(|count| count.to_string())),
        ("max_failures", batch.max_failures.map(|most| most.to_string())),
        ("on_conflict", batch.on_conflict.map(|rule| rule.to_string())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            add(name, &value);
        }
    }
    batch.resources.iter().for_each(|field| add("resource", field.as_str()));
    hasher.finish()
}

/// The hash of a chunk's items after one more item, given the hash of those before it.
pub fn items_hash(before: &ContentHash, key: &str, fields: &str) -> ContentHash {
    let mut hasher = PartHasher::after(before);
    hasher.add(key);
    hasher.add(fields);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_fields_and_order_of_items_change_the_hash() {
        let hash = |items: &[(&str, &str)]| {
            items.iter().fold(NO_ITEMS, |before, (key, fields)| items_hash(&before, key, fields))
        };
        let base = hash(&[("a", "{}"), ("b", "{}")]);
        for other in [
            &[("b", "{}"), ("a", "{}")][..],
            &[("a", "{}"), ("b", "{ }")],
            &[("a", "{}"), ("c", "{}")],
            &[("a", "{}")],
            &[("a", "{}"), ("b", "{}"), ("b", "{}")],
            &[("a{", "}"), ("b", "{}")],
        ] {
            assert_ne!(hash(other), base, "{other:?}");
        }
        assert_ne!(text_hash(""), text_hash(" "));
    }
}
