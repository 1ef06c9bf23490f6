//! Reads a log, as a whole or while it grows.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::log_files::{HEADER_BYTES, files_of, parse_header};
use crate::private_files::open_plain_file;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// So many bytes are not in the log any more.
    Omitted(u64),
}

/// Reads one stream of an attempt. Each call continues where the last one ended.
#[derive(Debug)]
pub struct LogReader {
    files: [PathBuf; 3],
    position: u64,
}

impl LogReader {
    /// A reader at the start of a log.
    pub fn new(path: &Path) -> LogReader {
        LogReader { files: files_of(path), position: 0 }
    }

    /// Whether the log exists.
    pub fn exists(&self) -> bool {
        self.files[0].exists()
    }

    /// Passes what was written since the last call to `visit`, in order, in parts of at most 64 KiB. A log that does
    /// not exist yet is empty.
    ///
    /// # Errors
    /// A file cannot be read, or the error of `visit`.
    pub fn read(&mut self, visit: &mut dyn FnMut(LogPart<'_>) -> Result<()>) -> Result<()> {
        // The tail files are opened first: if one exists, the head is complete.
        let mut tails = Vec::new();
        for path in &self.files[1..] {
            if let Some(mut file) = open(path)? {
                let mut header = Vec::new();
                file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header)?;
                if let Some(start) = parse_header(&header) {
                    tails.push((start, file));
                }
            }
        }
        tails.sort_by_key(|(start, _)| *start);
        if let Some(head) = open(&self.files[0])? {
            self.read_file(head, 0, 0, visit)?;
        }
        for (start, file) in tails {
            if start > self.position {
                visit(LogPart::Omitted(start - self.position))?;
                self.position = start;
            }
            self.read_file(file, start, HEADER_BYTES as u64, visit)?;
        }
        Ok(())
    }

    /// Reads the rest of a file whose content, after the header, starts at the position `start` of the stream.
    fn read_file(
        &mut self,
        mut file: File,
        start: u64,
        header_bytes: u64,
        visit: &mut dyn FnMut(LogPart<'_>) -> Result<()>,
    ) -> Result<()> {
        if start + file.metadata()?.len().saturating_sub(header_bytes) <= self.position {
            return Ok(());
        }
        file.seek(SeekFrom::Start(header_bytes + self.position - start))?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    visit(LogPart::Bytes(&buffer[..count]))?;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match open_plain_file(OpenOptions::new().read(true), path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
