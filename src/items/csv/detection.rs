//! Recognises the dialect of a CSV file by its beginning.

use super::dialect::{Delimiter, Dialect};
use super::records::{RecordReader, column_names};
use crate::items::item::LINE_KEY;

/// The delimiters that are recognised, the likeliest first.
const RECOGNISED: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Recognises the dialect by the beginning of a file, unless the caller names the delimiter.
pub(in crate::items) fn detect_dialect(
    named: Option<Delimiter>,
    beginning: &[u8],
    key_field: &str,
) -> Dialect {
    let (declared, skipped) = declared(beginning);
    let table = &beginning[skipped..];
    let delimiter = named.map(|named| named.0).or(declared).unwrap_or_else(|| {
        // The first of the best ones; one that finds the key's column is better than one that finds more columns.
        let score = |delimiter: u8| match columns(table, delimiter) {
            names if names.iter().any(|name| name == key_field) && names.len() > 1 => usize::MAX,
            names => names.len(),
        };
        let mut best = (b',', score(b','));
        for delimiter in RECOGNISED {
            if score(delimiter) > best.1 {
                best = (delimiter, score(delimiter));
            }
        }
        best.0
    });
    let header = table.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let mut parts = header.split(|byte| *byte == delimiter).skip(1).peekable();
    let has_spaces = delimiter != b' ' && parts.peek().is_some() && parts.all(|part| part.starts_with(b" "));
    Dialect { delimiter, has_spaces, skipped }
}

/// Whether a file of unknown kind has a header with the key's column.
pub(in crate::items) fn has_key_column(dialect: Dialect, beginning: &[u8], key_field: &str) -> bool {
    let names = columns(&beginning[dialect.skipped..], dialect.delimiter);
    names.len() > 1 && (key_field == LINE_KEY || names.iter().any(|name| name == key_field))
}

/// The delimiter of a first line `sep=;`, as spreadsheets write it, and how many bytes the line has.
fn declared(beginning: &[u8]) -> (Option<u8>, usize) {
    let Some([delimiter, end @ ..]) = beginning.strip_prefix(b"sep=") else { return (None, 0) };
    match end {
        [b'\r', b'\n', ..] => (Some(*delimiter), 7),
        [b'\r' | b'\n', ..] => (Some(*delimiter), 6),
        _ => (None, 0),
    }
}

/// The columns that the header has if this is the delimiter.
fn columns(beginning: &[u8], delimiter: u8) -> Vec<String> {
    let dialect = Dialect::with_delimiter(delimiter);
    let header = RecordReader::new(beginning, dialect).next_record();
    header.ok().flatten().and_then(|header| column_names(header).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_recognised_by_the_header() {
        let check = |header: &str, delimiter: u8, has_spaces: bool| {
            let found = detect_dialect(None, header.as_bytes(), "key");
            assert_eq!((found.delimiter, found.has_spaces), (delimiter, has_spaces), "{header:?}");
        };
        check("key,a\n", b',', false);
        check("key;a;b\r\n1;2,5;3", b';', false);
        check("key\ta\n", b'\t', false);
        check("key|a\r", b'|', false);
        check("key, a, b\n", b',', true);
        check("key, a,b\n", b',', false);
        check("key;name, first\n", b';', false);
        check("key", b',', false);
        check("", b',', false);
        check("sep=|\r\nkey,x|a\n", b'|', false);
        assert_eq!(detect_dialect("\t".parse().ok(), b"key,a\n", "key").delimiter, b'\t');
    }
}
