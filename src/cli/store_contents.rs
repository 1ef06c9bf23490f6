//! What a backup, an export or an import holds, for people and for scripts.

use serde_json::{Value, json};

use crate::store::sqlite::transfer::Held;

/// The contents in a sentence.
pub(super) fn describe_contents(contents: &Held) -> String {
    let latest = match contents.changed {
        Some(at) => format!("up to change {} of {at}", contents.change),
        None => "with nothing in it yet".to_owned(),
    };
    format!("{} tasks and {} receipts, {latest}", contents.tasks, contents.receipts)
}

/// The contents for a script.
pub(super) fn contents_as_json(contents: &Held, message: &str) -> Value {
    json!({
        "success": true,
        "message": message,
        "tasks": contents.tasks,
        "receipts": contents.receipts,
        "claims": contents.claims,
        "change": contents.change,
        "changed": contents.changed,
        "bytes": contents.bytes,
    })
}
