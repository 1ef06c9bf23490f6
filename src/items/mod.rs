//! Items, read one at a time from their source: a file or folder can hold more of them than memory does.

mod content;
mod csv;
mod file_kind;
mod folder;
mod glob;
mod inline;
mod item;
mod json_syntax;
mod json_values;
mod jsonl;
mod key_candidates;
mod lines;
mod roots;
mod source;
mod staging;

pub use csv::Delimiter;
pub use inline::{InlineItems, inline_items};
pub use item::{BadItem, BadItemEffect, Item, ItemOrigin, from_fields};
pub use key_candidates::KeyCandidates;
pub use roots::{MAX_SOURCE_BYTES, SourceRoots};
pub use source::{ItemSource, SourceFormat};
pub use staging::{Duplicate, Staging};

use crate::error::{Error, Result};
use content::{Content, Layout};
use roots::{Opened, quoted_path};

/// Items as they are read. An entry that is not an item comes with its place and reason, and reading continues after it.
pub type ItemIter = Box<dyn Iterator<Item = Result<Item, BadItem>> + Send>;

/// Reads the items of a source: a file of JSONL, a JSON list or CSV, each perhaps compressed, or a folder, in which each
/// file is an item.
///
/// # Errors
/// A source that cannot be opened, is outside of the roots, is too large, or is in no format that holds items; a CSV
/// file without a usable header; a glob that is not a pattern, or is given for a file.
pub fn read_source(
    source: &ItemSource,
    roots: &SourceRoots,
    key_field: &str,
    max_csv_growth: u64,
) -> Result<ItemIter> {
    let key = key_field.to_owned();
    let glob = source.glob.as_deref().map(glob::Glob::parse).transpose()?;
    let content = match roots.open(&source.path)? {
        Opened::Folder(folder, closed) => {
            refuse_for_folder(source)?;
            return Ok(Box::new(folder::read(folder, &closed, &source.path, glob.as_ref(), key)?));
        }
        _ if glob.is_some() => {
            return Err(Error::invalid(format!(
                "glob: {} is a file, and a glob chooses among the files of a folder; leave it out",
                quoted_path(&source.path)
            )));
        }
        // What is appended from now on is not part of the source.
        Opened::File(file, size) => Content::open(std::io::Read::take(file.into_std(), size), &source.path)?,
        Opened::Stream(stream) => Content::open(stream, &source.path)?,
    };
    Ok(match content.layout(source, key_field)? {
        Layout::Lines => Box::new(jsonl::read(content.into_reader(), key)),
        Layout::Values(arrangement) => Box::new(json_values::read(content.into_reader(), key, arrangement)),
        Layout::Table(dialect) => {
            let table = content.without_first(dialect.skipped).into_reader();
            Box::new(csv::read(table, dialect, &source.path, key, max_csv_growth)?)
        }
    })
}

/// Refuses what is said about the format of a folder.
fn refuse_for_folder(source: &ItemSource) -> Result<()> {
    if source.format.is_none() && source.delimiter.is_none() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "source: {} is a folder, in which each file is an item; leave out format and delimiter, or give one file",
        quoted_path(&source.path)
    )))
}

#[cfg(test)]
mod tests;
