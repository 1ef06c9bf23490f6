//! Extends the WAL with zeros ahead of the commits that will fill them.
//!
//! Syncing a file that grows costs twice as much as syncing one that does not. And ext4 that detects an error in itself
//! may confirm a sync and lose what the file grew by (measured, see `docs/reliability.md`). Zeros are no valid frame,
//! so SQLite ignores the padding.

use std::io;
use std::os::unix::fs::FileExt as _;

use super::wal::Wal;
use super::wal_reset::RESET_ABOVE;

/// The padded length is a multiple of this.
const PADDING: u64 = 1 << 20;
/// How much is written at a time.
const BUFFER: usize = 1 << 16;

/// Pads the WAL if a commit used up the padding. The caller is in a write transaction, so nobody else appends.
pub(super) fn pad(wal: &Wal) {
    let Ok(length) = wal.file.metadata().map(|metadata| metadata.len()) else {
        return;
    };
    // No sequence of frames ends at a multiple of PADDING, so such a length is still padded.
    let is_padded = length > 0 && length.is_multiple_of(PADDING);
    if is_padded || length >= RESET_ABOVE {
        return;
    }
    let end = (length + PADDING / 2).next_multiple_of(PADDING);
    if let Err(error) = write_zeros(wal, length, end) {
        tracing::debug!(%error, "the WAL cannot be padded");
        // If the disk is full, the space is needed for the commit.
        if let Err(error) = wal.file.set_len(length) {
            tracing::debug!(%error, "the padding cannot be removed");
        }
    }
}

fn write_zeros(wal: &Wal, mut at: u64, end: u64) -> io::Result<()> {
    let zeros = vec![0; BUFFER];
    while at < end {
        let count = zeros.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        wal.file.write_all_at(&zeros[..count], at)?;
        at += count as u64;
    }
    Ok(())
}
