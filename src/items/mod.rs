//! Items, read one at a time from where they lie: a file or folder can hold more
//! of them than memory does.

mod csv;
mod folder;
mod glob;
mod item;
mod jsonl;
mod roots;
mod source;
mod staging;

use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::Value;

pub use item::{BadItem, Item, ItemOrigin};
pub use roots::{MAX_SOURCE_BYTES, SourceRoots};
pub use source::ItemSource;
pub use staging::{Duplicate, Staging};

use crate::error::{Error, Result};
use roots::{Opened, quoted_path};

/// Items as they are read; what cannot be taken comes with its place and reason,
/// and reading goes on behind it.
pub type ItemIter = Box<dyn Iterator<Item = Result<Item, BadItem>> + Send>;

/// Reads the items of a source: a CSV file (`.csv`), a folder (an item a file), or
/// JSONL (whatever else the file is called).
///
/// # Errors
/// A source that cannot be opened, lies outside the roots, is too large, is no
/// regular file, or is a CSV file without a usable header; a glob that is no
/// pattern, or goes with a file.
pub fn read_source(source: &ItemSource, roots: &SourceRoots, key_field: &str) -> Result<ItemIter> {
    let key_field = key_field.to_owned();
    let glob = source.glob.as_deref().map(glob::Glob::parse).transpose()?;
    Ok(match roots.open(&source.path)? {
        Opened::Folder(folder) => Box::new(folder::read(folder, &source.path, glob.as_ref(), key_field)?),
        Opened::File(..) if glob.is_some() => {
            return Err(Error::invalid(format!(
                "glob: {} is a file, and a glob chooses among the files of a folder; leave it out",
                quoted_path(&source.path)
            )));
        }
        Opened::File(file, size) => {
            // What is appended from now on is not part of the source.
            let file = file.into_std().take(size);
            let ending = Path::new(&source.path).extension();
            if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
                Box::new(csv::read(file, &source.path, key_field)?)
            } else {
                Box::new(jsonl::read(BufReader::new(file), key_field))
            }
        }
    })
}

/// Takes items that came with the request: objects, or bare strings and numbers
/// that are their own keys.
pub fn inline_items(
    values: Vec<Value>,
    key_field: &str,
) -> impl Iterator<Item = Result<Item, BadItem>> + Send + use<> {
    let key_field = key_field.to_owned();
    (1..)
        .map(ItemOrigin::Position)
        .zip(values)
        .map(move |(place, value)| item::from_value(value, &key_field, place))
}

#[cfg(test)]
mod tests;
