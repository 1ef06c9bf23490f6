//! Writes a log: first the head, then the two tail files in turn.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Result, Write};
use std::path::{Path, PathBuf};

use super::log_files::{HEADER_BYTES, files_of, format_header, parse_header};
use crate::private_files::open_plain_file;

/// Writes one stream of an attempt. A log has one writer at a time.
#[derive(Debug)]
pub struct LogWriter {
    files: [PathBuf; 3],
    /// The file that is written to now.
    current: File,
    /// Its index in `files`.
    current_index: usize,
    /// How many bytes the current file still takes.
    space_left: u64,
    /// How many bytes the stream has had so far, dropped ones included.
    position: u64,
    /// How many bytes of the stream each tail file takes.
    tail_bytes: u64,
}

/// A tail file as an earlier writer left it.
struct ExistingTail {
    index: usize,
    start: u64,
    length: u64,
}

impl LogWriter {
    /// Opens a log of at most `limit_bytes`, half of them for the head, and continues after what an earlier writer left.
    /// A missing folder is created with mode 0700, files with mode 0600.
    ///
    /// # Errors
    /// A file cannot be created or read.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<LogWriter> {
        if let Some(folder) = path.parent() {
            create_private_folder(folder)?;
        }
        let files = files_of(path);
        let (head_bytes, tail_bytes) = ((limit_bytes / 2).max(1), (limit_bytes / 4).max(1));
        let mut latest: Option<ExistingTail> = None;
        for index in [1, 2] {
            if let Some((start, length)) = read_tail_extent(&files[index])?
                && latest.as_ref().is_none_or(|tail| start > tail.start)
            {
                latest = Some(ExistingTail { index, start, length });
            }
        }
        let (current_index, position, space_left) = match latest {
            Some(tail) => (tail.index, tail.start + tail.length, tail_bytes.saturating_sub(tail.length)),
            None => {
                let length = open_for_append(&files[0])?.metadata()?.len();
                (0, length, head_bytes.saturating_sub(length))
            }
        };
        let current = open_for_append(&files[current_index])?;
        Ok(LogWriter { files, current, current_index, space_left, position, tail_bytes })
    }

    /// Writes the next bytes of the stream.
    ///
    /// # Errors
    /// The bytes cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.space_left == 0 {
                bytes = self.skip_overwritten(bytes);
                self.switch_tail_file()?;
            }
            let count = usize::try_from(self.space_left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            self.current.write_all(now)?;
            self.position += count as u64;
            self.space_left -= count as u64;
            bytes = later;
        }
        Ok(())
    }

    /// How many bytes the stream has had, dropped ones included.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Skips bytes that this same call would overwrite again.
    fn skip_overwritten<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let kept = usize::try_from(self.tail_bytes.saturating_mul(2)).unwrap_or(usize::MAX);
        let skipped = bytes.len().saturating_sub(kept);
        self.position += skipped as u64;
        &bytes[skipped..]
    }

    /// Continues in the other tail file. Its old content is dropped.
    fn switch_tail_file(&mut self) -> Result<()> {
        self.current_index = if self.current_index == 1 { 2 } else { 1 };
        let path = &self.files[self.current_index];
        // Removed and not truncated: a reader may have the old file open.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.current = open_for_append(path)?;
        self.current.write_all(format_header(self.position).as_bytes())?;
        self.space_left = self.tail_bytes;
        Ok(())
    }
}

/// The position at which a tail file starts, and how many bytes of the stream it contains. `None` if the file does not
/// exist or its header is incomplete.
fn read_tail_extent(path: &Path) -> Result<Option<(u64, u64)>> {
    let mut file = match open_plain_file(OpenOptions::new().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut header = [0; HEADER_BYTES];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = file.metadata()?.len() - HEADER_BYTES as u64;
    Ok(parse_header(&header).map(|start| (start, length)))
}

fn open_for_append(path: &Path) -> Result<File> {
    open_plain_file(OpenOptions::new().append(true).create(true), path)
}

fn create_private_folder(folder: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
