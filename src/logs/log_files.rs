//! The names of log files, and the header of tail files.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::id::TaskId;

word_enum!(
    /// An output of a worker.
    Stream, "stream" {
        /// Standard output.
        Out = "out",
        /// Standard error.
        Err = "err",
    }
);

/// The length of a tail file's header, in bytes.
pub(super) const HEADER_BYTES: usize = 33;

/// The header of a tail file that starts at a position of the stream. Its length is fixed, so that a reader can skip it.
pub(super) fn format_header(position: u64) -> String {
    format!("[from byte {position:>20}]\n")
}

/// The position in a header. `None` if the header is incomplete.
pub(super) fn parse_header(header: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(header).ok()?;
    text.strip_prefix("[from byte ")?.strip_suffix("]\n")?.trim_start().parse().ok()
}

/// The files of a log: its head, and the two files of its tail.
pub(super) fn files_of(path: &Path) -> [PathBuf; 3] {
    let with_suffix = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    [path.to_owned(), with_suffix(".a"), with_suffix(".b")]
}

/// The folder of all logs, in the data folder of the store.
pub fn logs_folder(data: &Path) -> PathBuf {
    data.join("logs")
}

/// The log of an attempt at a chunk. Attempts count from 1.
pub fn log_path(data: &Path, chunk: &TaskId, attempt: u64, stream: Stream) -> PathBuf {
    logs_folder(data).join(format!("{chunk}.{attempt}.{stream}"))
}

/// The attempts at a chunk that have a log, in ascending order.
///
/// # Errors
/// The folder exists and cannot be read.
pub fn attempts_of(data: &Path, chunk: &TaskId) -> Result<Vec<u64>> {
    let folder = logs_folder(data);
    let unreadable = |error| Error::internal(format!("{} cannot be read", folder.display()), error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut attempts = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some((found, attempt)) = name.to_str().and_then(parse_file_name)
            && found == chunk.as_str()
        {
            attempts.push(attempt);
        }
    }
    attempts.sort_unstable();
    attempts.dedup();
    Ok(attempts)
}

/// The chunk and the attempt in the name of a log file.
pub(super) fn parse_file_name(name: &str) -> Option<(&str, u64)> {
    let stem = name.strip_suffix(".a").or_else(|| name.strip_suffix(".b")).unwrap_or(name);
    let stem = Stream::ALL.iter().find_map(|stream| stem.strip_suffix(&format!(".{stream}")))?;
    let (chunk, attempt) = stem.rsplit_once('.')?;
    Some((chunk, attempt.parse().ok()?))
}
