//! How a block of resources is stored: a line per resource, with its key and the chunks that touch it.

use std::fmt::Write as _;

use crate::error::{Code, Error, Result};
use crate::model::task::RowId;

/// Encodes a block. A line is a key, a tab and the chunks; no key contains a tab or a line end.
pub(super) fn encode_block(block: &[(String, Vec<RowId>)]) -> String {
    let mut text = String::with_capacity(block.len() * 48);
    for (key, chunks) in block {
        text.push_str(key);
        for (position, chunk) in chunks.iter().enumerate() {
            // Writing into a string cannot fail.
            let _ = write!(text, "{}{chunk}", if position == 0 { '\t' } else { ' ' });
        }
        text.push('\n');
    }
    text
}

/// Decodes a block.
///
/// # Errors
/// If it was not encoded by [`encode_block`].
pub(super) fn decode_block(text: &str) -> Result<Vec<(String, Vec<RowId>)>> {
    let bad = || Error::new(Code::Internal, "the stored resources of a batch cannot be read");
    text.lines()
        .map(|line| {
            let (key, chunks) = line.split_once('\t').ok_or_else(bad)?;
            let chunks: Result<_, _> = chunks.split(' ').map(str::parse).collect();
            let chunks = chunks.map_err(|error: std::num::ParseIntError| bad().caused_by(error))?;
            Ok((key.to_owned(), chunks))
        })
        .collect()
}
