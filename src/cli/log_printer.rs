//! Printing the two output streams of a worker.

use std::io::{Result, Write};

use serde_json::json;
use unicode_width::UnicodeWidthChar as _;

use crate::logs::{LogPart, Stream};
use crate::terminal::{StreamDecoder, stdout_columns};

/// How a log is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// Escaped, with a label when the stream changes.
    Text,
    /// The bytes of the log.
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
    /// The columns of the terminal, if the output goes to one.
    columns: Option<usize>,
    /// How many columns of the terminal the current row has filled.
    filled: usize,
}

/// What a line that is wrapped continues behind: only labels stand in the first column.
const CONTINUATION: &str = "  ";

impl<'a, W: Write> LogPrinter<'a, W> {
    /// A printer that has printed nothing yet.
    pub(super) fn new(out: &'a mut W, format: LogFormat) -> Self {
        LogPrinter { out, format, last: None, is_at_line_start: true, columns: stdout_columns(), filled: 0 }
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
        match self.columns {
            Some(columns) => self.print_wrapped(text, columns),
            None => self.out.write_all(text.as_bytes()),
        }
    }

    /// Prints text to a terminal, which must not break a line itself: what it breaks stands in the first column, as a label.
    fn print_wrapped(&mut self, text: &str, columns: usize) -> Result<()> {
        let mut rows = String::with_capacity(text.len());
        for c in text.chars() {
            // A tab ends at a multiple of eight columns.
            let width = if c == '\t' { 8 - self.filled % 8 } else { c.width().unwrap_or(0) };
            if self.filled + width > columns {
                rows.push('\n');
                rows.push_str(CONTINUATION);
                self.filled = CONTINUATION.len();
            }
            self.filled = if c == '\n' { 0 } else { self.filled + width };
            rows.push(c);
        }
        self.out.write_all(rows.as_bytes())
    }

    fn end_line(&mut self) -> Result<()> {
        if self.is_at_line_start || self.format == LogFormat::Raw { Ok(()) } else { self.print_text("\n") }
    }
}
