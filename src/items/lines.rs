//! Lines that end with LF, CRLF or CR.

use std::io::{self, BufRead};

/// The longest line, and the largest row or value of a list, in bytes: 1 MiB.
pub(super) const MAX_LINE: usize = 1 << 20;

/// Reads the lines of a file, however they end.
pub(super) struct LineReader<R> {
    input: R,
    /// The number of the last line that was read, from 1.
    number: u64,
    /// The last line ended with CR: an LF that follows belongs to it.
    ended_with_cr: bool,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A line.
    Whole,
    /// A line that is longer than [`MAX_LINE`]. Its end was skipped without being kept.
    TooLong,
}

impl<R: BufRead> LineReader<R> {
    pub(super) fn new(input: R) -> Self {
        LineReader { input, number: 0, ended_with_cr: false }
    }

    /// The number of the last line that was read, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line into `line`, without its end; none at the end of the file.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        line.clear();
        let mut read = None;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                self.number += u64::from(read.is_some());
                return Ok(read);
            }
            if std::mem::take(&mut self.ended_with_cr) && chunk[0] == b'\n' {
                self.input.consume(1);
                continue;
            }
            let end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let content = &chunk[..end.unwrap_or(chunk.len())];
            if line.len() + content.len() > MAX_LINE {
                read = Some(Line::TooLong);
            } else if read != Some(Line::TooLong) {
                line.extend_from_slice(content);
                read = Some(Line::Whole);
            }
            let used = content.len() + usize::from(end.is_some());
            self.ended_with_cr = end.is_some_and(|end| chunk[end] == b'\r');
            self.input.consume(used);
            if end.is_some() {
                self.number += 1;
                return Ok(read);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_end_with_lf_crlf_or_cr() {
        // A buffer of two bytes also separates the CR of a line end from its LF.
        for capacity in [2, 100] {
            let text = "a\nbc\r\n\rd\r\r\ne";
            let mut lines = LineReader::new(BufReader::with_capacity(capacity, text.as_bytes()));
            let (mut line, mut read) = (Vec::new(), Vec::new());
            while lines.read_line(&mut line).unwrap().is_some() {
                read.push(format!("{}{}", lines.number(), String::from_utf8_lossy(&line)));
            }
            assert_eq!(read, ["1a", "2bc", "3", "4d", "5", "6e"]);
        }
    }
}
