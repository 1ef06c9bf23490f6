//! Writing a log: the head first, then the tail's two files in turn.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Result, Write};
use std::path::{Path, PathBuf};

use super::{HEADER, files, from_byte, header};

/// One stream of an attempt's output, as it is written. A file has one writer at a time.
#[derive(Debug)]
pub struct LogWriter {
    files: [PathBuf; 3],
    /// What is written to now.
    file: File,
    /// Which of `files` that is.
    at: usize,
    /// How many bytes that file still takes.
    room: u64,
    /// How many bytes the stream has had so far, those that are left out too.
    position: u64,
    /// How many bytes of the stream each file of the tail holds.
    segment: u64,
}

impl LogWriter {
    /// Opens a log of at most `limit_bytes`, half of them for the head; goes on behind what an earlier
    /// writer left. The folder is made (0700) where it isn't there, files are 0600.
    ///
    /// # Errors
    /// Why a file cannot be made or read.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<LogWriter> {
        if let Some(folder) = path.parent() {
            make_private(folder)?;
        }
        let files = files(path);
        let (head, segment) = ((limit_bytes / 2).max(1), (limit_bytes / 4).max(1));
        // The later one of the tail's files is the one to go on with.
        let mut latest: Option<(usize, u64, u64)> = None;
        for at in [1, 2] {
            if let Some((from, length)) = tail(&files[at])?
                && latest.is_none_or(|(_, known, _)| from > known)
            {
                latest = Some((at, from, length));
            }
        }
        let (at, position, room) = match latest {
            Some((at, from, length)) => (at, from + length, segment.saturating_sub(length)),
            None => {
                let length = append(&files[0])?.metadata()?.len();
                (0, length, head.saturating_sub(length))
            }
        };
        Ok(LogWriter { file: append(&files[at])?, files, at, room, position, segment })
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// Why they cannot be written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.room == 0 {
                bytes = self.skip(bytes);
                self.turn()?;
            }
            let count = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            self.file.write_all(now)?;
            self.position += count as u64;
            self.room -= count as u64;
            bytes = later;
        }
        Ok(())
    }

    /// How many bytes the stream has had, those that are left out too.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Leaves out what this very write would push out again.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let tail = usize::try_from(self.segment.saturating_mul(2)).unwrap_or(usize::MAX);
        let skipped = bytes.len().saturating_sub(tail);
        self.position += skipped as u64;
        &bytes[skipped..]
    }

    /// Begins the tail's other file anew: what it held is left out from now on.
    fn turn(&mut self) -> Result<()> {
        self.at = if self.at == 1 { 2 } else { 1 };
        let path = &self.files[self.at];
        // Not cut to nothing: a reader may be in the midst of it.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file = append(path)?;
        self.file.write_all(header(self.position).as_bytes())?;
        self.room = self.segment;
        Ok(())
    }
}

/// Where a file of the tail begins in the stream, and how much of it it holds.
fn tail(path: &Path) -> Result<Option<(u64, u64)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut first = [0; HEADER];
    match file.read_exact(&mut first) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = file.metadata()?.len() - HEADER as u64;
    Ok(from_byte(&first).map(|from| (from, length)))
}

fn append(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_private(folder: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
