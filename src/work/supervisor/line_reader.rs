//! Splits a stream into lines without blocking for the rest of a line.

use std::io::{ErrorKind, Read};

use crate::error::{Error, Result};

/// The bytes that were read and not returned as a line yet.
#[derive(Default)]
pub(super) struct LineReader {
    bytes: Vec<u8>,
    position: usize,
}

impl LineReader {
    /// Reads what is available. Returns false at the end of the stream.
    pub(super) fn read_available(&mut self, from: &mut impl Read) -> Result<bool> {
        let mut bytes = [0; 64 * 1024];
        match from.read(&mut bytes) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.bytes.extend_from_slice(&bytes[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(Error::internal("the supervisor process cannot read its requests", error)),
        }
    }

    /// The next complete line, without its line feed.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        let length = self.bytes[self.position..].iter().position(|byte| *byte == b'\n');
        let Some(length) = length else {
            self.bytes.drain(..std::mem::take(&mut self.position));
            return None;
        };
        let line = self.bytes[self.position..self.position + length].to_vec();
        self.position += length + 1;
        Some(line)
    }
}
