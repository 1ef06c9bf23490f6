//! The size of a request's items, limited while they are read: a short source can have long items, such as rows of CSV
//! under long column names.

use crate::error::{Code, Error, Result};
use crate::items::Item;
use crate::model::limits::MIB;

/// The bytes of an item in the store besides its fields and its key: its rows and their places in indexes.
const ROW_BYTES: u64 = 120;

/// The size so far.
pub(super) struct BatchSize {
    items: u64,
    /// Bytes of keys and fields.
    bytes: u64,
    /// Bytes of keys alone. They are stored twice.
    key_bytes: u64,
    /// The limit, in MiB.
    max_mb: u64,
}

impl BatchSize {
    /// No items.
    pub(super) fn new(max_mb: u64) -> Self {
        BatchSize { items: 0, bytes: 0, key_bytes: 0, max_mb }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// `too_large` beyond the limit.
    pub(super) fn add(&mut self, item: &Item) -> Result<()> {
        self.items += 1;
        self.key_bytes += item.key.len() as u64;
        self.bytes += (item.key.len() + item.json.len()) as u64;
        if self.bytes <= self.max_mb.saturating_mul(MIB) {
            return Ok(());
        }
        let limit = self.max_mb;
        Err(Error::new(
            Code::TooLarge,
            format!(
                "{}: the items up to this one have {} bytes as JSON; the items of one request may have at most {limit} MiB (limits.max_batch_mb in the operator's configuration). Nothing was stored. Make several batches, keep large content in files and give their paths, or shorten the names of fields",
                item.origin, self.bytes
            ),
        ))
    }

    /// About how many bytes the items occupy on disk.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.bytes + self.key_bytes + self.items * ROW_BYTES
    }
}
