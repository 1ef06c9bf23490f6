//! Items from a folder: each regular file in it and its subfolders, or those that a glob chooses.

use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, FileType};
use serde_json::{Map, Value, json};

use super::glob::Glob;
use super::item::{BadItem, Item, ItemOrigin, from_fields};
use super::roots::{ClosedFolders, quoted_path};
use crate::error::{Error, Result};
use crate::model::field::visible_excerpt;
use crate::model::timestamp::Timestamp;

/// The most files (and folders) that a folder may hold, at any depth.
const MAX_FILES: usize = 1_000_000;

/// Lists the files, sorted by path. Each is read when the iterator reaches it.
pub(super) fn read(
    folder: Dir,
    closed: &ClosedFolders,
    path: &str,
    glob: Option<&Glob>,
    key_field: String,
) -> Result<impl Iterator<Item = Result<Item, BadItem>> + use<>> {
    let mut found = list(&folder, closed, path, MAX_FILES)?;
    if let Some(glob) = glob {
        // A subfolder that is not listed may contain files that match.
        found.retain(|found| {
            matches!(found.kind, Kind::UnreadableFolder(_) | Kind::NotEntered(_)) || glob.chooses(&found.path)
        });
    }
    let prefix = path.trim_end_matches('/').to_owned();
    Ok(found.into_iter().map(move |Found { path, kind }| {
        let place = || ItemOrigin::File(path.clone());
        match kind {
            Kind::File => match describe(&folder, &prefix, &path) {
                Ok(fields) => from_fields(fields, &key_field, place()),
                Err(reason) => Err(BadItem::new(place(), reason)),
            },
            Kind::Unusable(reason) => Err(BadItem::new(place(), reason)),
            Kind::UnreadableFolder(reason) => Err(BadItem::end(place(), reason)),
            Kind::NotEntered(reason) | Kind::Ignored(reason) => Err(BadItem::ignored(place(), reason)),
        }
    }))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// The path within the folder, its parts joined by `/`.
    path: String,
    kind: Kind,
}

/// What an entry of the folder is. Reasons are part of a message: no entry may be left out silently.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A regular file.
    File,
    /// A file that cannot be an item.
    Unusable(String),
    /// A folder that cannot be listed.
    UnreadableFolder(String),
    /// A link to a folder or to nothing, or a closed folder.
    NotEntered(String),
    /// A link to a file, or a special file.
    Ignored(String),
}

/// Every file in the folder and its subfolders. Links are not followed: a link could lead into a circle, or name a file
/// twice.
fn list(folder: &Dir, closed: &ClosedFolders, shown_path: &str, max: usize) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    while let Some(inside) = waiting.pop() {
        let here = if inside.is_empty() { Path::new(".") } else { Path::new(&inside) };
        let entries = match folder.read_dir(here) {
            Ok(entries) => entries,
            Err(error) => {
                found.push(unreadable(inside, &error));
                continue;
            }
        };
        for entry in entries {
            seen += 1;
            if seen > max {
                return Err(Error::invalid(format!(
                    "{} holds more than {max} files and folders; create a batch for each subfolder",
                    quoted_path(shown_path)
                )));
            }
            let entry = entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)));
            let (name, file_type) = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    found.push(unreadable(inside.clone(), &error));
                    continue;
                }
            };
            let path =
                |name: &str| if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            match name.to_str() {
                Some(name) if file_type.is_dir() => {
                    let path = path(name);
                    if closed.contain(&path) {
                        let kind = Kind::NotEntered("a folder with Tasktally's own files".to_owned());
                        found.push(Found { path, kind });
                    } else {
                        waiting.push(path);
                    }
                }
                Some(name) => {
                    let path = path(name);
                    let kind =
                        if file_type.is_file() { Kind::File } else { special(folder, &path, file_type) };
                    found.push(Found { path, kind });
                }
                None => found.push(Found {
                    path: path(&name.to_string_lossy()),
                    kind: Kind::Unusable("its name is not UTF-8; rename it".to_owned()),
                }),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: String, error: &io::Error) -> Found {
    Found { path, kind: Kind::UnreadableFolder(format!("the folder cannot be listed: {error}")) }
}

/// What an entry is that is neither a folder nor a regular file.
fn special(folder: &Dir, path: &str, file_type: FileType) -> Kind {
    if !file_type.is_symlink() {
        return Kind::Ignored("not a regular file".to_owned());
    }
    let target =
        folder.read_link_contents(path).map_or_else(|_| "?".to_owned(), |to| to.display().to_string());
    let reason = format!("a symbolic link to {}, which is not followed", visible_excerpt(&target, 200));
    match folder.metadata(path) {
        Ok(metadata) if metadata.is_file() => Kind::Ignored(reason),
        _ => Kind::NotEntered(reason),
    }
}

fn describe(folder: &Dir, prefix: &str, path: &str) -> Result<Map<String, Value>, String> {
    let read = || -> io::Result<(u64, i64)> {
        let metadata = folder.symlink_metadata(PathBuf::from(path))?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file any more"));
        }
        let modified = metadata.modified()?.into_std();
        let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok((metadata.len(), i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)))
    };
    let (size, modified) = read().map_err(|error| format!("the file cannot be read: {error}"))?;
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
        let closed = ClosedFolders::default();
        assert_eq!(list(&dir, &closed, "mails", 3).unwrap().len(), 3);
        let refused = list(&dir, &closed, "mails", 2).err().unwrap().to_string();
        assert!(refused.starts_with("\"mails\" holds more than 2 files"), "{refused}");
    }
}
