//! What a worker writes: its end is kept for the receipt, more of it in a file.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use crate::logs::LogWriter;

/// How much of the end is kept for the receipt, in bytes.
const TAIL: usize = 16 * 1024;
/// How much is read at once, in bytes.
const AT_ONCE: usize = 64 * 1024;

/// One output of a worker.
pub(super) struct Output<R> {
    from: Option<R>,
    tail: VecDeque<u8>,
    kept: Kept,
    buffer: Vec<u8>,
}

/// Where more of it is kept; nothing is made for a worker that says nothing.
enum Kept {
    Nowhere,
    Later { file: PathBuf, limit: u64, title: String },
    Here(LogWriter),
}

impl Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Kept::Later { file, limit, title } = self {
            let mut log = LogWriter::open(file, *limit)?;
            log.write(title.as_bytes())?;
            *self = Kept::Here(log);
        }
        if let Kept::Here(log) = self { log.write(bytes) } else { Ok(()) }
    }
}

impl<R: Read + AsFd> Output<R> {
    /// What comes `from` a worker; kept in a file of at most `limit` bytes, under a title, where there is one.
    pub(super) fn new(from: Option<R>, file: Option<PathBuf>, limit: u64, title: &str) -> Self {
        let kept = file.map_or(Kept::Nowhere, |file| Kept::Later { file, limit, title: title.to_owned() });
        Output { from, tail: VecDeque::new(), kept, buffer: vec![0; AT_ONCE] }
    }

    /// What to wait for, until it has ended.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.from.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there.
    pub(super) fn take(&mut self) {
        let Some(from) = &mut self.from else { return };
        match from.read(&mut self.buffer) {
            Ok(0) => self.close(),
            Ok(count) => self.keep(count),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => self.close(),
        }
    }

    fn keep(&mut self, count: usize) {
        let read = &self.buffer[..count];
        self.tail.extend(&read[count.saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        if let Err(error) = self.kept.write(read) {
            // The work goes on: its receipts are what counts.
            tracing::warn!(%error, "a worker's output cannot be kept");
            self.kept = Kept::Nowhere;
        }
    }

    /// Reads no more.
    pub(super) fn close(&mut self) {
        self.from = None;
    }

    /// The end of it as text.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.tail.make_contiguous()).into_owned()
    }
}
