//! What a backup, an export or an import holds, for people and for scripts.

use serde_json::{Value, json};

use crate::model::text::counted;
use crate::store::sqlite::transfer::StoreContents;

/// The contents in a sentence.
pub(super) fn describe_contents(contents: &StoreContents) -> String {
    let latest = match contents.changed_at {
        Some(at) => format!("up to change {} of {at}", contents.latest_change),
        None => "with nothing in it yet".to_owned(),
    };
    format!("{} and {}, {latest}", counted(contents.tasks, "task"), counted(contents.receipts, "receipt"))
}

/// The contents for a script.
pub(super) fn contents_as_json(contents: &StoreContents, message: &str) -> Value {
    json!({
        "success": true,
        "message": message,
        "tasks": contents.tasks,
        "receipts": contents.receipts,
        "claims": contents.claims,
        "change": contents.latest_change,
        "changed": contents.changed_at,
        "bytes": contents.bytes,
    })
}
