//! Bytes that arrive in pieces, as text for a terminal.

use crate::model::hidden::escape_hidden;

/// Decodes a stream of UTF-8 that is read in pieces. A character that is split between two pieces is joined
/// again; control and bidirectional characters are escaped.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    /// The first bytes of a character whose remaining bytes have not arrived yet.
    partial: Vec<u8>,
}

impl StreamDecoder {
    /// The text of the next piece.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let complete = match std::str::from_utf8(&all) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => all.len() - partial_length(&all),
        };
        self.partial = all.split_off(complete);
        escape_hidden(&String::from_utf8_lossy(&all))
    }
}

/// How many bytes at the end are the start of an incomplete character, also after invalid bytes.
fn partial_length(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(3)..];
    let is_partial = |at: &usize| {
        std::str::from_utf8(&end[*at..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (0..end.len()).find(is_partial).map_or(0, |at| end.len() - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_characters_are_joined_and_control_characters_escaped() {
        fn check(pieces: &[&[u8]], text: &str) {
            let mut decoder = StreamDecoder::default();
            let decoded: String = pieces.iter().map(|piece| decoder.decode(piece)).collect();
            assert_eq!(decoded, text, "{pieces:?}");
        }
        check(&[b"a\xe6\x97", b"\xa5b"], "a日b");
        check(&[b"\xff\xe6", b"\x97", b"\xa5"], "\u{fffd}日");
        check(&[b"a\xffb"], "a\u{fffd}b");
        check(&[b"\x1b[2Jx\n\ty\r"], "\\u{1b}[2Jx\n\ty\\u{d}");
        check(&["\u{202e}evil".as_bytes()], "\\u{202e}evil");
    }
}
