//! Reads one output of a worker: its end is kept for the receipt, more of it in a log file.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use super::label_guard::LabelGuard;
use crate::logs::LogWriter;

/// How much of the end is kept for the receipt, in bytes.
const TAIL_BYTES: usize = 128 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Standard output or standard error of a worker.
pub(super) struct OutputCapture<R> {
    pipe: Option<R>,
    tail: VecDeque<u8>,
    /// Whether the output was longer than `tail`.
    is_cut: bool,
    log: LogTarget,
    buffer: Vec<u8>,
}

/// The log file. It is created with the first byte, so that a worker without output leaves no empty file.
enum LogTarget {
    None,
    NotOpened { file: PathBuf, limit: u64, title: String },
    Open(LogWriter, LabelGuard),
}

impl LogTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let LogTarget::NotOpened { file, limit, title } = self {
            let mut log = LogWriter::open(file, *limit)?;
            log.write(title.as_bytes())?;
            *self = LogTarget::Open(log, LabelGuard::default());
        }
        if let LogTarget::Open(log, guard) = self { log.write(&guard.quote(bytes)) } else { Ok(()) }
    }
}

impl<R: Read + AsFd> OutputCapture<R> {
    /// Captures what a worker writes to `pipe`. If there is a log `file`, it gets at most `limit` bytes, after `title`.
    pub(super) fn new(pipe: Option<R>, file: Option<PathBuf>, limit: u64, title: &str) -> Self {
        let title = title.to_owned();
        let log = file.map_or(LogTarget::None, |file| LogTarget::NotOpened { file, limit, title });
        OutputCapture { pipe, tail: VecDeque::new(), is_cut: false, log, buffer: vec![0; READ_BYTES] }
    }

    /// The file descriptor to poll for reading, until the output is closed.
    pub(super) fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is available.
    pub(super) fn read_available(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(&mut self.buffer) {
            Ok(0) => self.close(),
            Ok(count) => self.append(count),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => self.close(),
        }
    }

    fn append(&mut self, count: usize) {
        let bytes = &self.buffer[..count];
        self.tail.extend(&bytes[count.saturating_sub(TAIL_BYTES)..]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
        self.is_cut |= surplus > 0 || count > TAIL_BYTES;
        if let Err(error) = self.log.write(bytes) {
            // Receipts matter more than logs: the worker continues without one.
            tracing::warn!(%error, "the output of a worker cannot be logged");
            self.log = LogTarget::None;
        }
    }

    /// Stops reading.
    pub(super) fn close(&mut self) {
        self.pipe = None;
    }

    /// Whether the output was longer than the end that is kept.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The end of the output as text.
    pub(super) fn tail_text(&mut self) -> String {
        String::from_utf8_lossy(self.tail.make_contiguous()).into_owned()
    }
}
