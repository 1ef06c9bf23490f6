//! Printing the two output streams of a worker.

use std::io::{Result, Write};

use serde_json::json;

use crate::logs::{LogPart, Stream};
use crate::terminal::StreamDecoder;

/// How a log is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// Escaped, with a label when the stream changes.
    Text,
    /// The bytes as the worker wrote them.
    Raw,
    /// One JSON object per piece.
    Json,
}

/// Prints the pieces of both streams in one output.
pub(super) struct LogPrinter<'a, W> {
    out: &'a mut W,
    format: LogFormat,
    /// The stream of the last piece.
    last: Option<Stream>,
    is_at_line_start: bool,
}

impl<'a, W: Write> LogPrinter<'a, W> {
    /// A printer that has printed nothing yet.
    pub(super) fn new(out: &'a mut W, format: LogFormat) -> Self {
        LogPrinter { out, format, last: None, is_at_line_start: true }
    }

    /// Prints one piece of a stream.
    pub(super) fn print(
        &mut self,
        stream: Stream,
        decoder: &mut StreamDecoder,
        part: LogPart<'_>,
    ) -> Result<()> {
        match self.format {
            LogFormat::Json => return self.print_json(stream, part),
            LogFormat::Raw => {}
            LogFormat::Text => {
                if self.last.replace(stream) != Some(stream) {
                    self.end_line()?;
                    writeln!(self.out, "── {stream} ──")?;
                }
            }
        }
        match part {
            LogPart::Bytes(bytes) if self.format == LogFormat::Raw => self.out.write_all(bytes)?,
            LogPart::Bytes(bytes) => self.print_text(&decoder.decode(bytes))?,
            LogPart::Omitted(count) => {
                self.end_line()?;
                writeln!(self.out, "… {count} bytes left out …")?;
            }
        }
        self.out.flush()
    }

    /// Ends the last line.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.end_line()?;
        self.out.flush()
    }

    fn print_json(&mut self, stream: Stream, part: LogPart<'_>) -> Result<()> {
        let line = match part {
            LogPart::Bytes(bytes) => json!({ "stream": stream, "text": String::from_utf8_lossy(bytes) }),
            LogPart::Omitted(count) => json!({ "stream": stream, "left_out": count }),
        };
        writeln!(self.out, "{line}")
    }

    fn print_text(&mut self, text: &str) -> Result<()> {
        self.is_at_line_start = text.ends_with('\n') || (self.is_at_line_start && text.is_empty());
        self.out.write_all(text.as_bytes())
    }

    fn end_line(&mut self) -> Result<()> {
        if self.is_at_line_start || self.format == LogFormat::Raw { Ok(()) } else { self.print_text("\n") }
    }
}
