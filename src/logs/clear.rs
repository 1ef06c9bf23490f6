//! Old logs: a bound on what all of them together take.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{folder_of, parts};
use crate::error::{Error, Result};

/// What was removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cleared {
    /// Attempts whose logs went.
    pub attempts: u64,
    /// How many bytes that was.
    pub bytes: u64,
}

/// The logs of one attempt.
#[derive(Default)]
struct Attempt {
    files: Vec<PathBuf>,
    bytes: u64,
    written: Option<SystemTime>,
}

/// Removes the logs of whole attempts, those first that were written to longest ago, until all together
/// hold at most `most_bytes`. What `is_live` knows is still being written is left alone.
///
/// # Errors
/// Where the folder cannot be read or a file cannot be removed.
pub fn clear(folder: &Path, most_bytes: u64, is_live: &dyn Fn(&str, u64) -> bool) -> Result<Cleared> {
    let folder = folder_of(folder);
    let cannot =
        |error| Error::internal(format!("old logs in {} cannot be removed", folder.display()), error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Cleared::default()),
        Err(error) => return Err(cannot(error)),
    };
    let mut attempts: HashMap<(String, u64), Attempt> = HashMap::new();
    let mut total = 0;
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name();
        let Some((chunk, attempt)) = name.to_str().and_then(parts) else { continue };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Its writer turned to the other file just now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(cannot(error)),
        };
        total += metadata.len();
        let of = attempts.entry((chunk.to_owned(), attempt)).or_default();
        of.files.push(entry.path());
        of.bytes += metadata.len();
        of.written = of.written.max(metadata.modified().ok());
    }
    let mut oldest: Vec<_> = attempts.into_iter().collect();
    oldest.sort_by(|(a, of_a), (b, of_b)| (of_a.written, a).cmp(&(of_b.written, b)));
    let mut cleared = Cleared::default();
    for ((chunk, attempt), of) in oldest {
        if total - cleared.bytes <= most_bytes {
            break;
        }
        if is_live(&chunk, attempt) {
            continue;
        }
        for file in &of.files {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
                _ => {}
            }
        }
        cleared.attempts += 1;
        cleared.bytes += of.bytes;
    }
    Ok(cleared)
}
