//! Free space on the disk of a folder, and the check before a large write.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::model::limits::MIB;

/// A write of fewer bytes is not checked: reading the free space of each small write would gain nothing.
const LARGE_WRITE: u64 = 16 * MIB;
/// What is left free for others: the WAL of the store alone can grow to this size.
pub const RESERVE: u64 = 64 * MIB;

/// The free space on the disk of a folder, in bytes.
///
/// # Errors
/// The file system does not report it.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| {
        Error::internal(format!("the free disk space of {} cannot be read", folder.display()), error)
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses a write of about this many bytes to a folder, if it is large and the disk has too little space. `what` names
/// the write in the message.
///
/// # Errors
/// `too_large` with how much is needed and how much is free, or if the free space cannot be read.
pub fn check_space(folder: &Path, bytes: u64, what: &str) -> Result<()> {
    if bytes < LARGE_WRITE {
        return Ok(());
    }
    let free = free_bytes(folder)?;
    match missing(bytes, free) {
        None => Ok(()),
        Some(needed) => Err(Error::new(
            Code::TooLarge,
            format!(
                "{what} needs about {} MiB on the disk of {}, and {} MiB are free; nothing was written. Free some space and try again",
                needed.div_ceil(MIB),
                folder.display(),
                free / MIB
            ),
        )),
    }
}

/// How many bytes a large write needs, if fewer are free.
fn missing(bytes: u64, free: u64) -> Option<u64> {
    let needed = bytes.saturating_add(RESERVE);
    (free < needed).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_leaves_the_reserve_free() {
        assert_eq!(missing(MIB, RESERVE + MIB), None);
        assert_eq!(missing(MIB, RESERVE + MIB - 1), Some(RESERVE + MIB));
        assert_eq!(missing(u64::MAX, 5), Some(u64::MAX));
    }

    #[test]
    fn only_large_writes_are_checked() {
        let folder = std::env::temp_dir();
        assert!(check_space(&folder, 1, "it").is_ok());
        let refused = check_space(&folder, u64::MAX / 2, "it").unwrap_err();
        assert_eq!(refused.code, Code::TooLarge);
        assert!(refused.message.starts_with("it needs about 8796093022272 MiB"), "{}", refused.message);
    }
}
