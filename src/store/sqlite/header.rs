//! The first bytes of a store's file, read before SQLite opens it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::files::{beside, file_error};
use super::schema::{SCHEMA_VERSION, foreign_file, newer_schema};
use super::writer::file_identity::FileIdentity;
use crate::error::{Error, Result};

/// Marks a SQLite file as a Tasktally store; see `migrations/V1`.
pub(super) const APPLICATION_ID: i64 = 0x446F_636B;

/// What a file's header says. It is as old as the last checkpoint: newer values may be in the WAL.
#[derive(Default)]
pub(super) struct Header {
    pub(super) version: i64,
    /// Whether the file is in WAL mode.
    pub(super) is_wal: bool,
    /// Bytes per page.
    pub(super) page_size: u64,
    /// The file's length in pages.
    pub(super) pages: u64,
}

/// Reads the header as plain bytes. Refuses a file that is not SQLite's, not Tasktally's, or a newer Tasktally's,
/// before SQLite can change it.
///
/// Closing the file drops every lock that this process has on it. The caller's `identity` proves that no connection
/// of this process has it open.
pub(super) fn read_header(identity: &FileIdentity) -> Result<Header> {
    let path = identity.path();
    let metadata = fs::metadata(path).map_err(|error| file_error(path, "it cannot be read", error))?;
    if !metadata.is_file() {
        return Err(Error::invalid(format!(
            "store {}: not a regular file; name another with --db or TASKTALLY_DB",
            path.display()
        )));
    }
    let mut header = [0_u8; 100];
    let mut file = File::open(path).map_err(|error| file_error(path, "it cannot be read", error))?;
    let mut length = 0;
    while length < header.len() {
        match file.read(&mut header[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) => return Err(file_error(path, "it cannot be read", error)),
        }
    }
    if length == 0 {
        return Ok(Header::default());
    }
    if length < header.len() || !header.starts_with(b"SQLite format 3\0") {
        // A power cut tore the first page of a new store. SQLite restores it from the rollback journal.
        if has_hot_journal(path) {
            return Ok(Header::default());
        }
        return Err(Error::invalid(format!(
            "store {}: not a SQLite file; it was left unchanged. Name another with --db or TASKTALLY_DB",
            path.display()
        )));
    }
    let number = |at: usize| {
        i64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    let (version, application) = (number(60), number(68));
    if version > SCHEMA_VERSION {
        return Err(newer_schema(path, version));
    }
    if application != APPLICATION_ID && (application != 0 || version != 0) {
        return Err(foreign_file(path));
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        // 65,536 does not fit into two bytes.
        1 => 1 << 16,
        size => u64::from(size),
    };
    Ok(Header { version, is_wal: header[18] == 2, page_size, pages: number(28).cast_unsigned() })
}

/// Whether a rollback journal begins with SQLite's magic number: SQLite will roll it back.
fn has_hot_journal(path: &Path) -> bool {
    let mut magic = [0_u8; 8];
    File::open(beside(path, "-journal")).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]
}
