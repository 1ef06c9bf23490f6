//! The store's instants.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};

use super::field::visible_excerpt;
use crate::error::{Error, Result};

/// 2999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 32_503_679_999_999;

/// An instant in milliseconds since the epoch, UTC, from 1970 to 2999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `millis` after the epoch, clamped to the range, so that a wrong clock cannot produce an instant
    /// that cannot be printed.
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.clamp(0, LAST_MS))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The date in UTC.
    pub fn date(self) -> Date {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Offset::UTC.to_datetime(instant).date()
    }

    /// The instant `secs` later (earlier if negative), clamped to the range.
    #[must_use]
    pub fn saturating_add_secs(self, secs: i64) -> Self {
        Timestamp::from_millis(self.0.saturating_add(secs.saturating_mul(1000)))
    }

    /// Reads RFC 3339, or a plain date as its midnight UTC.
    ///
    /// # Errors
    /// Any other text; instants before 1970-01-01 or after 2999-12-31.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |reason: &str| Error::invalid(format!("{} {reason}", quoted(text)));
        let millis = instant(text.trim()).ok_or_else(|| {
            refused("is not a time; allowed: RFC 3339 (2025-11-03T10:00:00Z) or a date (2025-11-03)")
        })?;
        if (0..=LAST_MS).contains(&millis) {
            Ok(Timestamp(millis))
        } else {
            Err(refused("is out of range; allowed: 1970-01-01 to 2999-12-31"))
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{instant:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

inline_schema!(Timestamp, {"type": "string"});

/// Milliseconds since the epoch of RFC 3339, or of the midnight of a date.
fn instant(text: &str) -> Option<i64> {
    // 20251103 is ISO 8601 as well, but it could also be an epoch.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let pieces = Pieces::parse(text).ok()?;
    let offset = pieces.offset().map(|offset| offset.to_numeric_offset());
    if offset.is_none() && (pieces.time().is_some() || pieces.time_zone_annotation().is_some()) {
        return None;
    }
    let written = DateTime::from_parts(pieces.date(), pieces.time().unwrap_or(Time::midnight()));
    let zoned = written.to_zoned_datetime(TimeZone::fixed(offset.unwrap_or(Offset::UTC))).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

fn quoted(text: &str) -> String {
    format!("'{}'", visible_excerpt(text, 80))
}

#[cfg(test)]
mod tests;
