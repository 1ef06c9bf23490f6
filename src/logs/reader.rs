//! Reading a log, whole or as it grows.

use std::fs::File;
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{HEADER, files, from_byte};

/// A piece of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// So many bytes were written here and are not kept.
    LeftOut(u64),
}

/// One stream of an attempt's output, as it is read: each call goes on where the last one ended.
#[derive(Debug)]
pub struct LogReader {
    files: [PathBuf; 3],
    position: u64,
}

impl LogReader {
    /// Reads from the beginning.
    pub fn new(path: &Path) -> LogReader {
        LogReader { files: files(path), position: 0 }
    }

    /// Whether there is such a log.
    pub fn exists(&self) -> bool {
        self.files[0].exists()
    }

    /// Gives what was written since the last call, in order, in pieces of at most 64 KiB. A log that
    /// isn't there yet is empty.
    ///
    /// # Errors
    /// Why a file cannot be read, or what `visit` refuses.
    pub fn read(&mut self, visit: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<()> {
        // The tail is opened before the head is read: where there is a tail, the head is whole.
        let mut tails = Vec::new();
        for path in &self.files[1..] {
            if let Some(mut file) = open(path)? {
                let mut first = Vec::new();
                file.by_ref().take(HEADER as u64).read_to_end(&mut first)?;
                if let Some(from) = from_byte(&first) {
                    tails.push((from, file));
                }
            }
        }
        tails.sort_by_key(|(from, _)| *from);
        if let Some(head) = open(&self.files[0])? {
            self.go_on(head, 0, 0, visit)?;
        }
        for (from, file) in tails {
            if from > self.position {
                visit(Part::LeftOut(from - self.position))?;
                self.position = from;
            }
            self.go_on(file, from, HEADER as u64, visit)?;
        }
        Ok(())
    }

    /// Reads on in a file that holds the stream from a position, behind so many bytes that aren't its.
    fn go_on(
        &mut self,
        mut file: File,
        from: u64,
        header: u64,
        visit: &mut dyn FnMut(Part<'_>) -> Result<()>,
    ) -> Result<()> {
        if from + file.metadata()?.len().saturating_sub(header) <= self.position {
            return Ok(());
        }
        file.seek(SeekFrom::Start(header + self.position - from))?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    visit(Part::Bytes(&buffer[..count]))?;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
