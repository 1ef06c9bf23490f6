//! Intermediate state: files that show each chunk, for a person's review and audit.
//!
//! The files are a view: they can be written again from the store at any time. A failure to write them is logged
//! and never fails the request, which is already committed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::batch::categories;
use crate::error::{Error, Result};
use crate::model::author::name_with_kind;
use crate::model::batch::StoredItem;
use crate::model::id::TaskId;
use crate::model::markdown::Markdown;
use crate::model::receipt::Receipt;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::private_folder::PrivateFolder;
use crate::store::StoreRead;
use crate::store::pages::for_each_page_of_items;

/// The folder of a batch's files.
pub fn folder(session: &Session, batch: &TaskId) -> PathBuf {
    session.scratch().join(format!("batch-{batch}"))
}

/// The folder of a batch's files, if it contains any: a scratch folder may be unwritable.
pub fn existing_folder(session: &Session, batch: &TaskId) -> Option<PathBuf> {
    let folder = folder(session, batch);
    let is_folder = std::fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir());
    let has_files = || std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    (is_folder && has_files()).then_some(folder)
}

/// Writes `chunk-NN-summary.json` and `chunk-NN-details.md` of a chunk.
pub fn write_chunk(session: &Session, chunk: &TaskId) {
    if let Err(error) = try_write_chunk(session, chunk) {
        tracing::warn!(%chunk, %error, "intermediate state could not be written");
    }
}

/// The contents of a chunk's files.
struct ChunkFiles {
    batch: TaskId,
    /// The `NN` of the files' names.
    number: String,
    summary: Value,
    details: String,
}

fn try_write_chunk(session: &Session, chunk: &TaskId) -> Result<()> {
    let chunk = chunk.clone();
    let Some(files) = session.read(move |tx| read_chunk(tx, &chunk))? else { return Ok(()) };
    let folder = folder(session, &files.batch);
    let opened = PrivateFolder::create(&folder)
        .map_err(|error| Error::internal(format!("{} cannot be used", folder.display()), error))?;
    let open_path = opened.open_path();
    let summary = format!("{}\n", files.summary);
    for (suffix, text) in [("summary.json", &summary), ("details.md", &files.details)] {
        let name = format!("chunk-{}-{suffix}", files.number);
        let written = tempfile::NamedTempFile::new_in(&open_path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(open_path.join(&name)).map_err(|error| error.error)
        });
        written.map_err(|error| {
            Error::internal(format!("{} cannot be written", folder.join(&name).display()), error)
        })?;
    }
    Ok(())
}

/// A name as a column of a line: it cannot contain the separator of columns, or anything that Markdown reads.
fn column(name: &str) -> String {
    Markdown(&excerpt(name)).to_string()
}

/// Adds the line of an item.
fn add_item(details: &mut String, item: &StoredItem, receipts: &HashMap<u64, &Receipt>) {
    let key = column(&item.key);
    // Writing to a String cannot fail.
    let _ = match &item.settled {
        None => writeln!(details, "- {key} | not processed"),
        Some(settled) => {
            let (author, text) = match receipts.get(&settled.receipt) {
                Some(receipt) => {
                    (name_with_kind(&receipt.author, receipt.author_kind), receipt.text.as_str())
                }
                None => (String::new(), ""),
            };
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let category = settled.category.as_deref().unwrap_or(settled.outcome.as_str());
            writeln!(
                details,
                "- {key} | {} | {} | {} | {}",
                settled.outcome,
                column(category),
                column(&author),
                Markdown(&line)
            )
        }
    };
}

fn read_chunk(tx: &dyn StoreRead, id: &TaskId) -> Result<Option<ChunkFiles>> {
    let task = tx.task(id)?;
    let Some(chunk) = tx.chunk(&task)? else { return Ok(None) };
    let mut details = format!("# {}\n\n", column(&task.title));
    for_each_page_of_items(tx, task.row, |items| {
        let numbers: Vec<u64> =
            items.iter().filter_map(|item| item.settled.as_ref()).map(|settled| settled.receipt).collect();
        let receipts = tx.receipts_numbered(task.row, &numbers)?;
        let receipts = receipts.iter().map(|receipt| (receipt.number, receipt)).collect();
        items.iter().for_each(|item| add_item(&mut details, item, &receipts));
        Ok(())
    })?;
    // The id has as many digits as the batch had chunks at first: a batch that grows keeps its files' names.
    let number = task.id.as_str().rsplit('.').next().unwrap_or_default().to_owned();
    Ok(Some(ChunkFiles {
        batch: chunk.batch_id.clone(),
        number,
        summary: json!({ "processed": chunk.counts.processed(), "categories": categories(tx, task.row)? }),
        details,
    }))
}
