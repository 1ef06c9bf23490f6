//! The `since` parameter: the change number from which a poll continues.

use crate::error::{Error, Result};
use crate::model::text::{LineText, excerpt};

/// Parses `since`.
///
/// # Errors
/// `invalid_argument` if it is not a change number.
pub(in crate::ops) fn parse_since(since: &LineText) -> Result<u64> {
    since.as_str().parse().map_err(|_| {
        Error::invalid(format!(
            "since: '{}' is not a change number; pass `since` of an earlier reply unchanged",
            excerpt(since.as_str())
        ))
    })
}

/// The change number to poll from. A store that was restored from a backup has fewer changes than the
/// caller has seen; then everything in it counts as changed.
pub(in crate::ops) fn poll_from(since: u64, latest: u64) -> u64 {
    if since > latest { 0 } else { since }
}
