//! The content of a file of items: decompressed, bounded, and its kind recognised.

use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::csv::{Dialect, detect_dialect, has_key_column};
use super::file_kind::{GZIP, describe_unreadable};
use super::json_values::Arrangement;
use super::lines::MAX_LINE;
use super::roots::{MAX_SOURCE_BYTES, quoted_path};
use super::source::{ItemSource, SourceFormat};
use crate::error::{Error, Result};

const BOM: &[u8] = "\u{feff}".as_bytes();

/// A file whose beginning is known.
pub(super) struct Content {
    /// At most a longest line of it.
    beginning: Vec<u8>,
    rest: Box<dyn Read + Send>,
}

/// How items are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON object per line.
    Lines,
    /// JSON values that span lines.
    Values(Arrangement),
    /// CSV.
    Table(Dialect),
}

impl Content {
    /// Reads the beginning of a file, and decompresses it if it is gzip.
    pub(super) fn open(file: impl Read + Send + 'static, path: &str) -> Result<Self> {
        let content = Content::begin(Box::new(file), path)?;
        if !content.beginning.starts_with(GZIP) {
            return Ok(content);
        }
        Content::begin(Box::new(MultiGzDecoder::new(content.into_reader())), path)
    }

    fn begin(file: Box<dyn Read + Send>, path: &str) -> Result<Self> {
        let mut rest: Box<dyn Read + Send> = Box::new(Bounded { input: file, left: MAX_SOURCE_BYTES });
        let mut beginning = Vec::new();
        rest.by_ref().take(MAX_LINE as u64).read_to_end(&mut beginning).map_err(|error| {
            Error::invalid(format!("{} cannot be read: {error}; check the file", quoted_path(path)))
        })?;
        if beginning.starts_with(BOM) {
            beginning.drain(..BOM.len());
        }
        Ok(Content { beginning, rest })
    }

    /// Recognises the layout by what the caller says, by the file's name and by its content.
    ///
    /// # Errors
    /// A file that is neither JSON nor CSV.
    pub(super) fn layout(&self, source: &ItemSource, key_field: &str) -> Result<Layout> {
        if source.delimiter.is_some()
            && matches!(source.format, Some(SourceFormat::Json | SourceFormat::Jsonl))
        {
            return Err(Error::invalid(
                "source.delimiter: JSON has none; leave it out, or set format=\"csv\"",
            ));
        }
        let ending = Path::new(&source.path).extension().map(|ending| ending.to_ascii_lowercase());
        if source.format.is_none() && ending.is_some_and(|ending| ending == "yaml" || ending == "yml") {
            return Err(Error::invalid(format!(
                "{} is YAML; convert it to JSON: yq -o=json FILE > items.json",
                quoted_path(&source.path)
            )));
        }
        if let Some(what) = describe_unreadable(&self.beginning) {
            return Err(Error::invalid(format!("{} {what}", quoted_path(&source.path))));
        }
        let table = || Layout::Table(detect_dialect(source.delimiter, &self.beginning, key_field));
        Ok(match source.format.or_else(|| format_of_name(&source.path)) {
            Some(SourceFormat::Csv) => table(),
            Some(SourceFormat::Tsv) => {
                let delimiter = source.delimiter.or_else(|| "tab".parse().ok());
                Layout::Table(detect_dialect(delimiter, &self.beginning, key_field))
            }
            _ if source.delimiter.is_some() => table(),
            Some(SourceFormat::Json | SourceFormat::Jsonl) => self.json_layout(),
            None => {
                let first = self.beginning.iter().find(|byte| !byte.is_ascii_whitespace());
                let dialect = detect_dialect(None, &self.beginning, key_field);
                match first {
                    Some(b'{' | b'[') | None => self.json_layout(),
                    Some(_) if has_key_column(dialect, &self.beginning, key_field) => Layout::Table(dialect),
                    // Each line is reported as it is.
                    Some(_) => Layout::Lines,
                }
            }
        })
    }

    /// A list, objects that span lines, or one object per line.
    fn json_layout(&self) -> Layout {
        let content = self.beginning.trim_ascii_start();
        if content.starts_with(b"[") {
            return Layout::Values(Arrangement::List);
        }
        let first_line = content.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        // Programs that indent JSON end a line after an opening bracket or a comma.
        let goes_on = matches!(first_line.trim_ascii_end().last(), Some(b'{' | b'[' | b','));
        if goes_on { Layout::Values(Arrangement::Sequence) } else { Layout::Lines }
    }

    /// The whole content.
    pub(super) fn into_reader(self) -> BufReader<impl Read + Send> {
        BufReader::with_capacity(1 << 16, Cursor::new(self.beginning).chain(self.rest))
    }

    /// The content without its first bytes.
    pub(super) fn without_first(mut self, bytes: usize) -> Self {
        self.beginning.drain(..bytes);
        self
    }
}

/// The format by the ending of a file's name, without the one of compression.
fn format_of_name(path: &str) -> Option<SourceFormat> {
    let lower = path.to_ascii_lowercase();
    let name = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".gzip")).unwrap_or(&lower);
    match Path::new(name).extension()?.to_str()? {
        "csv" => Some(SourceFormat::Csv),
        "tsv" | "tab" => Some(SourceFormat::Tsv),
        "json" => Some(SourceFormat::Json),
        "jsonl" | "ndjson" | "ldjson" => Some(SourceFormat::Jsonl),
        _ => None,
    }
}

/// Ends with an error after so many bytes: a small file can decompress to any size, and a pipe has no end.
struct Bounded {
    input: Box<dyn Read + Send>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!(
                "a source has at most {MAX_SOURCE_BYTES} bytes (4 GiB), also decompressed"
            ))
        })?;
        Ok(read)
    }
}
