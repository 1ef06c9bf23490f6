//! Intermediate state: files that show a chunk, for a person's review and audit.
//!
//! They are a view. The store is the truth, and they can be written again from it at any time,
//! so a failure to write them is logged and never fails the request that is already committed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::store::pages::each_item;

/// The folder that a batch's files are written to.
pub fn folder(session: &Session, batch: &TaskId) -> PathBuf {
    session.scratch().join(format!("batch-{batch}"))
}

/// Writes `chunk-NN-summary.json` and `chunk-NN-details.md` of a chunk.
pub fn write_chunk(session: &Session, chunk: &TaskId) {
    if let Err(error) = try_write(session, chunk) {
        tracing::warn!(%chunk, %error, "intermediate state could not be written");
    }
}

struct Shown {
    batch: TaskId,
    name: String,
    summary: Value,
    details: String,
}

fn try_write(session: &Session, chunk: &TaskId) -> Result<()> {
    let chunk = chunk.clone();
    let Some(shown) = session.read(move |tx| show(tx, &chunk))? else { return Ok(()) };
    let folder = folder(session, &shown.batch);
    fs::create_dir_all(&folder)
        .map_err(|error| Error::internal(format!("{} cannot be made", folder.display()), error))?;
    let summary = format!("{}\n", shown.summary);
    for (ending, text) in [("summary.json", &summary), ("details.md", &shown.details)] {
        let path = folder.join(format!("chunk-{}-{ending}", shown.name));
        let written = tempfile::NamedTempFile::new_in(&folder).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(&path).map_err(|error| error.error)
        });
        written.map_err(|error| Error::internal(format!("{} cannot be written", path.display()), error))?;
    }
    Ok(())
}

fn show(tx: &dyn crate::store::Read, id: &TaskId) -> Result<Option<Shown>> {
    let task = tx.task(id)?;
    let Some(chunk) = tx.chunk(&task)? else { return Ok(None) };
    let categories = super::batch::categories(tx, task.row)?;
    let mut details = format!("# {}\n\n", excerpt(&task.title));
    each_item(tx, task.row, |item| {
        let key = excerpt(&item.key);
        // Writing to a String cannot fail.
        let _ = match &item.settled {
            None => writeln!(details, "- {key} | not processed"),
            Some(settled) => {
                let text =
                    tx.receipt(task.row, settled.receipt)?.map(|receipt| receipt.text).unwrap_or_default();
                let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let category = settled.category.as_deref().unwrap_or(settled.outcome.as_str());
                writeln!(details, "- {key} | {} | {} | {}", settled.outcome, excerpt(category), line)
            }
        };
        Ok(())
    })?;
    // The number as the id has it: a batch that grew keeps the names of its first files.
    let number = task.id.as_str().rsplit('.').next().unwrap_or_default();
    Ok(Some(Shown {
        batch: chunk.batch_id.clone(),
        name: number.to_owned(),
        summary: json!({ "processed": chunk.counts.processed(), "categories": categories }),
        details,
    }))
}
