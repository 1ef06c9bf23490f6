//! Items from a folder: each regular file beneath it, or those that a glob chooses.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use serde_json::{Map, Value, json};

use super::glob::Glob;
use super::item::{BadItem, Item, ItemOrigin, from_fields};
use super::roots::quoted_path;
use crate::error::{Error, Result};
use crate::model::timestamp::Timestamp;

/// The most files (and folders) that a folder may hold, at any depth.
const MAX_FILES: usize = 1_000_000;

/// Lists the files, sorted by path; each is looked at when its turn comes.
pub(super) fn read(
    folder: Dir,
    path: &str,
    glob: Option<&Glob>,
    key_field: String,
) -> Result<impl Iterator<Item = Result<Item, BadItem>> + use<>> {
    let mut found = list(&folder, path, MAX_FILES)?;
    if let Some(glob) = glob {
        // A subfolder that cannot be listed may hold files that are meant.
        found.retain(|found| found.is_folder || glob.chooses(&found.path));
    }
    let prefix = path.trim_end_matches('/').to_owned();
    Ok(found.into_iter().map(move |Found { path, trouble, is_folder }| {
        let fields = match trouble {
            Some(trouble) => Err(trouble),
            None => describe(&folder, &prefix, &path),
        };
        match fields {
            Ok(fields) => from_fields(fields, &key_field, ItemOrigin::File(path)),
            Err(reason) if is_folder => Err(BadItem::end(ItemOrigin::File(path), reason)),
            Err(reason) => Err(BadItem::new(ItemOrigin::File(path), reason)),
        }
    }))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// The path within the folder, its parts joined by `/`.
    path: String,
    /// Why it cannot be an item: it must not go missing unsaid.
    trouble: Option<String>,
    /// Whether it is a folder that could not be listed.
    is_folder: bool,
}

/// Every regular file beneath the folder. Links are not followed: one could lead
/// into a circle, or name a file twice.
fn list(folder: &Dir, shown_path: &str, max: usize) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    while let Some(inside) = waiting.pop() {
        let here = if inside.is_empty() { Path::new(".") } else { Path::new(&inside) };
        let entries = match folder.read_dir(here) {
            Ok(entries) => entries,
            Err(error) => {
                found.push(Found {
                    path: inside,
                    trouble: Some(format!("the folder cannot be listed: {error}")),
                    is_folder: true,
                });
                continue;
            }
        };
        for entry in entries {
            seen += 1;
            if seen > max {
                return Err(Error::invalid(format!(
                    "{} holds more than {max} files and folders; give its subfolders as batches of their own",
                    quoted_path(shown_path)
                )));
            }
            let entry = entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)));
            let (name, file_type) = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    found.push(Found {
                        path: inside.clone(),
                        trouble: Some(format!("the folder cannot be listed: {error}")),
                        is_folder: true,
                    });
                    continue;
                }
            };
            let path =
                |name: &str| if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            if !file_type.is_dir() && !file_type.is_file() {
                continue;
            }
            match name.to_str() {
                Some(name) if file_type.is_dir() => waiting.push(path(name)),
                Some(name) => found.push(Found { path: path(name), trouble: None, is_folder: false }),
                None => found.push(Found {
                    path: path(&name.to_string_lossy()),
                    trouble: Some("its name is not UTF-8; rename it".to_owned()),
                    is_folder: false,
                }),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn describe(folder: &Dir, prefix: &str, path: &str) -> Result<Map<String, Value>, String> {
    let look = || -> io::Result<(u64, i64)> {
        let metadata = folder.symlink_metadata(PathBuf::from(path))?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file any more"));
        }
        let modified = metadata.modified()?.into_std();
        let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok((metadata.len(), i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)))
    };
    let (size, modified) = look().map_err(|error| format!("the file cannot be looked at: {error}"))?;
    let fields = [
        ("key", json!(path)),
        ("path", json!(format!("{prefix}/{path}"))),
        ("size", json!(size)),
        ("modified", json!(Timestamp::from_millis(modified).to_string())),
    ];
    Ok(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_too_many_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        assert_eq!(list(&dir, "mails", 3).unwrap().len(), 3);
        let refused = list(&dir, "mails", 2).err().unwrap().to_string();
        assert!(refused.starts_with("\"mails\" holds more than 2 files"), "{refused}");
    }
}
