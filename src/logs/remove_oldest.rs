//! Removes the oldest logs, so that all logs together stay below a limit.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::log_files::{logs_folder, parse_file_name};
use crate::error::{Error, Result};

/// What was removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RemovedLogs {
    /// The number of attempts whose logs were removed.
    pub attempts: u64,
    /// The size of these logs.
    pub bytes: u64,
}

/// The logs of one attempt.
#[derive(Default)]
struct AttemptLogs {
    files: Vec<PathBuf>,
    bytes: u64,
    modified_at: Option<SystemTime>,
}

/// Removes the logs of whole attempts, the oldest first, until the rest takes at most `max_bytes`. Logs of attempts that
/// `is_in_use` stay.
///
/// # Errors
/// The folder cannot be read, or a file cannot be removed.
pub fn remove_oldest(
    data: &Path,
    max_bytes: u64,
    is_in_use: &dyn Fn(&str, u64) -> bool,
) -> Result<RemovedLogs> {
    let folder = logs_folder(data);
    let cannot =
        |error| Error::internal(format!("old logs in {} cannot be removed", folder.display()), error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RemovedLogs::default()),
        Err(error) => return Err(cannot(error)),
    };
    let mut attempts: HashMap<(String, u64), AttemptLogs> = HashMap::new();
    let mut total = 0;
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name();
        let Some((chunk, attempt)) = name.to_str().and_then(parse_file_name) else { continue };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // A writer has just replaced this tail file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(cannot(error)),
        };
        total += metadata.len();
        let logs = attempts.entry((chunk.to_owned(), attempt)).or_default();
        logs.files.push(entry.path());
        logs.bytes += metadata.len();
        logs.modified_at = logs.modified_at.max(metadata.modified().ok());
    }
    let mut oldest_first: Vec<_> = attempts.into_iter().collect();
    oldest_first.sort_by(|(a, logs_a), (b, logs_b)| (logs_a.modified_at, a).cmp(&(logs_b.modified_at, b)));
    let mut removed = RemovedLogs::default();
    for ((chunk, attempt), logs) in oldest_first {
        if total - removed.bytes <= max_bytes {
            break;
        }
        if is_in_use(&chunk, attempt) {
            continue;
        }
        for file in &logs.files {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
                _ => {}
            }
        }
        removed.attempts += 1;
        removed.bytes += logs.bytes;
    }
    Ok(removed)
}
