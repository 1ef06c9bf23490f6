//! What a chunk's worker printed, to be read as it comes.

use super::pane::Pane;
use crate::cli::Decoder;
use crate::error::{Error, Result};
use crate::logs::{self, LogPart, LogReader, Stream};
use crate::model::id::TaskId;
use crate::ops::Session;

/// The log of one chunk: its newest attempt.
pub(super) struct Log {
    chunk: TaskId,
    attempt: Option<u64>,
    streams: Vec<(Stream, LogReader, Decoder)>,
    /// The stream of the last line.
    last: Option<Stream>,
    pub(super) pane: Pane,
}

impl Log {
    /// That of a chunk, nothing read yet.
    pub(super) fn new(chunk: TaskId, title: &str) -> Self {
        let pane = Pane::new(format!("log of {title}"));
        Log { chunk, attempt: None, streams: Vec::new(), last: None, pane }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(super) fn look(&mut self, session: &Session) -> Result<()> {
        let newest = logs::attempts_of(session.folder(), &self.chunk)?.pop();
        if let Some(attempt) = newest.filter(|_| newest != self.attempt) {
            self.attempt = newest;
            self.last = None;
            self.pane.extend([format!("── attempt {attempt} ──")]);
            self.streams = Stream::ALL
                .iter()
                .map(|stream| {
                    let path = logs::log_path(session.folder(), &self.chunk, attempt, *stream);
                    (*stream, LogReader::new(&path), Decoder::default())
                })
                .collect();
        }
        for (stream, reader, decoder) in &mut self.streams {
            let (pane, last) = (&mut self.pane, &mut self.last);
            let mut put = |text: String| {
                if *last != Some(*stream) {
                    *last = Some(*stream);
                    pane.extend([format!("── {stream} ──"), String::new()]);
                }
                let mut lines = text.split('\n').map(|line| line.replace('\t', "    "));
                pane.go_on(&lines.next().unwrap_or_default());
                pane.extend(lines);
            };
            let read = reader.read(&mut |part| {
                match part {
                    LogPart::Bytes(bytes) => put(decoder.decode(bytes)),
                    LogPart::Omitted(count) => put(format!("\n… {count} bytes left out …\n")),
                }
                Ok(())
            });
            read.map_err(|error| {
                Error::internal(format!("the log of {} cannot be read", self.chunk), error)
            })?;
        }
        Ok(())
    }
}
