//! The log of a batch's background runners: one file per batch, in the folder of the worker logs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::logs;
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::private_files::open_plain_file;

/// How much of the end is read for the last line, in bytes.
const TAIL_BYTES: u64 = 2_000;
/// How many characters of the last line are shown. A configuration error names a path and the next step.
const LAST_LINE_CHARS: usize = 400;

/// An open runner log.
pub(super) struct RunnerLog {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl RunnerLog {
    /// Opens the log of a batch for reading and appending.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn open(data: &Path, batch: &TaskId) -> Result<Self> {
        let folder = logs::logs_folder(data);
        let path = folder.join(format!("runner-{batch}.log"));
        let cannot = |error| Error::internal(format!("{} cannot be written", path.display()), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
        let file = open_plain_file(OpenOptions::new().create(true).read(true).append(true), &path)
            .map_err(cannot)?;
        Ok(RunnerLog { path, file })
    }

    /// The length of the log, in bytes.
    pub(super) fn length(&mut self) -> u64 {
        self.file.seek(SeekFrom::End(0)).unwrap_or_default()
    }

    /// The last line that was written after the first `from` bytes.
    pub(super) fn last_line(&mut self, from: u64) -> String {
        match self.read_tail(from) {
            Ok(text) => visible_excerpt(text.trim().lines().last().unwrap_or("no output"), LAST_LINE_CHARS),
            Err(error) => format!("its log cannot be read: {error}"),
        }
    }

    fn read_tail(&mut self, from: u64) -> std::io::Result<String> {
        let length = self.file.metadata()?.len();
        self.file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The batch of a runner log, from the name of its file.
pub(in crate::work) fn batch_of_file(name: &str) -> Option<TaskId> {
    let batch = name.strip_prefix("runner-")?.strip_suffix(".log")?;
    Some(TaskId::stored(batch.to_owned()))
}
