//! The log of a chunk's worker, followed while it is written.

use super::scroll_pane::ScrollPane;
use crate::error::{Error, Result};
use crate::logs::{self, LogPart, LogReader, Stream};
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::terminal::StreamDecoder;

/// The log of a chunk's newest attempt.
pub(super) struct LogView {
    chunk: TaskId,
    attempt: Option<u64>,
    streams: Vec<(Stream, LogReader, StreamDecoder)>,
    /// The stream of the last line.
    last: Option<Stream>,
    pub(super) pane: ScrollPane,
}

impl LogView {
    /// The log of a chunk; nothing is read yet.
    pub(super) fn new(chunk: TaskId, title: &str) -> Self {
        let pane = ScrollPane::new(format!("log of {title}"), "  ");
        LogView { chunk, attempt: None, streams: Vec::new(), last: None, pane }
    }

    /// Reads what was added since the last read.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn update(&mut self, session: &Session) -> Result<()> {
        let newest = logs::attempts_of(session.folder(), &self.chunk)?.pop();
        if let Some(attempt) = newest.filter(|_| newest != self.attempt) {
            self.open_attempt(session, attempt);
        }
        for (stream, reader, decoder) in &mut self.streams {
            let (pane, last) = (&mut self.pane, &mut self.last);
            let mut append = |text: String| {
                if *last != Some(*stream) {
                    *last = Some(*stream);
                    pane.extend([format!("── {stream} ──"), String::new()]);
                }
                let mut lines = text.split('\n').map(|line| line.replace('\t', "    "));
                pane.append_to_last(&lines.next().unwrap_or_default());
                pane.extend(lines);
            };
            let read = reader.read(&mut |part| {
                match part {
                    LogPart::Bytes(bytes) => append(decoder.decode(bytes)),
                    LogPart::Omitted(count) => append(format!("\n… {count} bytes left out …\n")),
                }
                Ok(())
            });
            read.map_err(|error| {
                Error::internal(format!("the log of {} cannot be read", self.chunk), error)
            })?;
        }
        Ok(())
    }

    fn open_attempt(&mut self, session: &Session, attempt: u64) {
        self.attempt = Some(attempt);
        self.last = None;
        self.pane.extend([format!("── attempt {attempt} ──")]);
        let open = |stream: &Stream| {
            let path = logs::log_path(session.folder(), &self.chunk, attempt, *stream);
            (*stream, LogReader::new(&path), StreamDecoder::default())
        };
        self.streams = Stream::ALL.iter().map(open).collect();
    }
}
