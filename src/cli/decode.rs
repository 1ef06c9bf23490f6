//! Bytes that come in pieces, as text for a terminal.

use super::render::safe;

/// Makes text of a stream's pieces: a character that is cut between two is put together again, and what
/// would move the cursor or turn a line around is escaped.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a character whose rest is to come.
    begun: Vec<u8>,
}

impl Decoder {
    /// The text of the next piece.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => all.len() - cut_character(&all),
        };
        self.begun = all.split_off(whole);
        safe(&String::from_utf8_lossy(&all))
    }
}

/// How many bytes at the end are the beginning of a character, whatever stands before them.
fn cut_character(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(3)..];
    let cut = |at: &usize| {
        std::str::from_utf8(&end[*at..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (0..end.len()).find(cut).map_or(0, |at| end.len() - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_may_come_in_pieces_and_none_moves_the_cursor() {
        fn check(pieces: &[&[u8]], text: &str) {
            let mut decoder = Decoder::default();
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
