//! Keeps the output of a worker apart from the labels in its log.

/// What a label in a log begins with: the name of an item, of a stream, or the number of an attempt.
const LABEL: &[u8] = "─".as_bytes();
/// What is written before a line of the worker that begins like a label.
const QUOTE: &[u8] = b"> ";

/// Quotes the lines of an output, which arrives in pieces, that begin like a label.
#[derive(Debug)]
pub(super) struct LabelGuard {
    /// How many bytes of [`LABEL`] the current line has begun with; `None` after other bytes.
    matched: Option<usize>,
}

impl Default for LabelGuard {
    fn default() -> Self {
        LabelGuard { matched: Some(0) }
    }
}

impl LabelGuard {
    /// The next bytes as they are logged. The first bytes of a label are kept back until the next piece.
    pub(super) fn quote(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut quoted = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match self.matched {
                Some(matched) if byte == LABEL[matched] => {
                    self.matched = Some(matched + 1).filter(|matched| *matched < LABEL.len());
                    if self.matched.is_none() {
                        quoted.extend_from_slice(QUOTE);
                        quoted.extend_from_slice(LABEL);
                    }
                    continue;
                }
                Some(matched) => quoted.extend_from_slice(&LABEL[..matched]),
                None => {}
            }
            quoted.push(byte);
            self.matched = (byte == b'\n').then_some(0);
        }
        quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_like_a_label_are_quoted() {
        fn check(pieces: &[&str], logged: &str) {
            let mut guard = LabelGuard::default();
            let bytes: Vec<u8> =
                pieces.iter().flat_map(|piece| piece.bytes()).flat_map(|byte| guard.quote(&[byte])).collect();
            assert_eq!(String::from_utf8(bytes).unwrap(), logged);
            let mut guard = LabelGuard::default();
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| guard.quote(piece.as_bytes())).collect();
            assert_eq!(String::from_utf8(bytes).unwrap(), logged);
        }
        check(&["── other\nx ── y\n", "── stdout ──\n"], "> ── other\nx ── y\n> ── stdout ──\n");
        check(&["• one\n", "\n", "── two"], "• one\n\n> ── two");
        check(&["plain"], "plain");
    }
}
