//! What workers printed: a pair of files for each attempt at a chunk, bounded in size.
//!
//! A log is its head in one file, then a tail that moves on: two more files, written in turn. What lies
//! between them is left out, and how much that is can be told from the files. So a reader can follow while
//! it is written, and an end of any kind loses nothing that was written and not yet pushed out.

mod clear;
mod reader;
mod writer;

use std::path::{Path, PathBuf};

pub use clear::{Cleared, clear};
pub use reader::{LogReader, Part};
pub use writer::LogWriter;

use crate::error::{Error, Result};
use crate::model::id::TaskId;

words!(
    /// What a worker prints to.
    Stream, "stream" {
        /// Its standard output.
        Out = "out",
        /// Its standard error.
        Err = "err",
    }
);

/// The first line of a tail's file: where in the stream it begins. Of one length, so that it can be
/// taken off again.
const HEADER: usize = 33;

/// The line itself.
fn header(from: u64) -> String {
    format!("[from byte {from:>20}]\n")
}

/// The position in a header; none where it is not written yet, or is none.
fn from_byte(header: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(header).ok()?;
    text.strip_prefix("[from byte ")?.strip_suffix("]\n")?.trim_start().parse().ok()
}

/// The files of a log: its head, and the two that its tail is written to in turn.
fn files(path: &Path) -> [PathBuf; 3] {
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    [path.to_owned(), beside(".a"), beside(".b")]
}

/// The folder of all logs; `folder` is the one beside the store.
pub fn folder_of(folder: &Path) -> PathBuf {
    folder.join("logs")
}

/// Where an attempt at a chunk is logged; attempts count from 1.
pub fn place(folder: &Path, chunk: &TaskId, attempt: u64, stream: Stream) -> PathBuf {
    folder_of(folder).join(format!("{chunk}.{attempt}.{stream}"))
}

/// The attempts at a chunk that have a log, oldest first.
///
/// # Errors
/// Where the folder cannot be read; one that isn't there holds none.
pub fn attempts_of(folder: &Path, chunk: &TaskId) -> Result<Vec<u64>> {
    let folder = folder_of(folder);
    let unreadable = |error| Error::internal(format!("{} cannot be read", folder.display()), error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut attempts = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some((found, attempt)) = name.to_str().and_then(parts)
            && found == chunk.as_str()
        {
            attempts.push(attempt);
        }
    }
    attempts.sort_unstable();
    attempts.dedup();
    Ok(attempts)
}

/// The chunk and the attempt that a file's name tells.
fn parts(name: &str) -> Option<(&str, u64)> {
    let stem = name.strip_suffix(".a").or_else(|| name.strip_suffix(".b")).unwrap_or(name);
    let stem = Stream::ALL.iter().find_map(|stream| stem.strip_suffix(&format!(".{stream}")))?;
    let (chunk, attempt) = stem.rsplit_once('.')?;
    Some((chunk, attempt.parse().ok()?))
}

#[cfg(test)]
mod tests;
