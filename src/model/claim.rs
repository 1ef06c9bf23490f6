//! A claim: the right to work on a task, under a lease that the holder's writes renew.

use super::id::Token;
use super::timestamp::Timestamp;

/// A claim on a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The name that the worker gave; several workers may share one name.
    pub worker: String,
    /// The token that later writes must carry; an open claim has none.
    pub token: Option<Token>,
    /// When the task was claimed.
    pub claimed_at: Timestamp,
    /// When the lease ends, unless a write by the holder renews it.
    pub expires_at: Timestamp,
    /// How long the lease lasts after a write, in seconds.
    pub lease_seconds: i64,
}

impl Claim {
    /// A new claim under a lease.
    pub fn new(worker: impl Into<String>, token: Option<Token>, now: Timestamp, lease_seconds: i64) -> Self {
        Claim {
            worker: worker.into(),
            token,
            claimed_at: now,
            expires_at: now.saturating_add_secs(lease_seconds),
            lease_seconds,
        }
    }
}
