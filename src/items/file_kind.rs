//! Kinds of files that hold no items that can be read, recognised by their first bytes.

/// The first bytes of a gzip file.
pub(super) const GZIP: &[u8] = b"\x1f\x8b";

/// First bytes, and what such a file is and what to do.
const KINDS: [(&[u8], &str); 18] = [
    (b"\xd0\xcf\x11\xe0", "is an old Office document (.xls, .doc); open it and save the table as CSV UTF-8"),
    (b"%PDF", "is a PDF; export its table as CSV"),
    (
        b"SQLite format 3\0",
        "is a SQLite database; export a table: sqlite3 -json FILE 'SELECT …' > items.json",
    ),
    (b"PAR1", "is a Parquet file; convert it to CSV or JSONL, for example with duckdb"),
    (b"ARROW1", "is an Arrow file; convert it to CSV or JSONL, for example with duckdb"),
    (b"Obj\x01", "is an Avro file; convert it to JSONL: avro-tools tojson FILE"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; decompress it (zstd -d), or compress it with gzip"),
    (b"BZh", "is compressed with bzip2; decompress it (bunzip2), or compress it with gzip"),
    (b"\xfd7zXZ\0", "is compressed with xz; decompress it (unxz), or compress it with gzip"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4; decompress it (lz4 -d), or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; extract the file of items from it"),
    (b"Rar!", "is a RAR archive; extract the file of items from it"),
    (GZIP, "is compressed twice; decompress it once (gunzip)"),
    (b"\xff\xfe", "is UTF-16; save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"),
    (b"\xfe\xff", "is UTF-16; save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"),
    (b"\x89PNG", "is an image; give its folder, so that each file is an item"),
    (b"\xff\xd8\xff", "is an image; give its folder, so that each file is an item"),
    (b"\x7fELF", "is a program; give a file of items"),
];

/// What a file is that holds no items, and what to do about it; none if it may hold items.
pub(super) fn describe_unreadable(beginning: &[u8]) -> Option<String> {
    if beginning.starts_with(b"PK\x03\x04") {
        return Some(describe_zip(beginning).to_owned());
    }
    if let Some((_, what)) = KINDS.iter().find(|(first, _)| beginning.starts_with(first)) {
        return Some((*what).to_owned());
    }
    // A tar archive has its mark at this place, behind the name of its first file.
    if beginning.get(257..262) == Some(b"ustar") {
        return Some("is a tar archive; extract the file of items from it".to_owned());
    }
    let holds = |words: &[u8]| beginning.windows(words.len()).any(|bytes| bytes == words);
    if beginning.starts_with(b"From ") && holds(b"\nFrom:") && holds(b"\nDate:") {
        return Some("is a mailbox (mbox); split it into one file per mail, and give the folder".to_owned());
    }
    let content = beginning.trim_ascii_start();
    if content.starts_with(b"<") {
        let is_html = content.get(..200).unwrap_or(content).to_ascii_lowercase();
        let kind =
            if is_html.windows(5).any(|word| word == b"<html" || word == b"<!doc") { "HTML" } else { "XML" };
        return Some(format!("is {kind}; convert it to CSV or JSONL, one object per item"));
    }
    if let Some(at) = beginning.iter().take(8192).position(|byte| *byte == 0) {
        return Some(format!(
            "is not text: byte {} is zero; give JSONL, a JSON list or CSV, in UTF-8",
            at + 1
        ));
    }
    None
}

/// What a ZIP archive is: office documents are archives of XML.
fn describe_zip(beginning: &[u8]) -> &'static str {
    let holds = |name: &[u8]| beginning.windows(name.len()).any(|bytes| bytes == name);
    if holds(b"xl/") {
        "is an Excel workbook (.xlsx); save the sheet as CSV UTF-8"
    } else if holds(b"opendocument.spreadsheet") {
        "is an OpenDocument spreadsheet (.ods); save the sheet as CSV with UTF-8"
    } else if holds(b"word/") || holds(b"opendocument.text") {
        "is a text document; save its table as CSV with UTF-8"
    } else {
        "is a ZIP archive; extract the file of items from it, or give the extracted folder"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_items_is_named_with_the_remedy() {
        for (beginning, what) in [
            (&b"PK\x03\x04\x14\0[Content_Types].xml ... xl/workbook.xml"[..], "Excel workbook"),
            (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "OpenDocument spreadsheet"),
            (b"PK\x03\x04items.csv", "ZIP archive"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1", "save the table as CSV"),
            (b"PAR1\x15", "Parquet"),
            (b"\xff\xfek\0e\0y\0", "UTF-16"),
            (b"<?xml version=\"1.0\"?><a/>", "is XML"),
            (b"\n<!DOCTYPE html><html>", "is HTML"),
            (b"key\0a", "byte 4 is zero"),
            (b"From a@b Mon Nov 3\nDate: x\nFrom: a@b\n", "mbox"),
        ] {
            let found = describe_unreadable(beginning).unwrap();
            assert!(found.contains(what), "{found}");
        }
        for text in ["{\"key\":1}", "[]", "key,a", "", "From,To\n", "From x,y\n"] {
            assert_eq!(describe_unreadable(text.as_bytes()), None, "{text}");
        }
    }
}
