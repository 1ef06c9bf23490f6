//! Start limits: free disk and memory, starts per minute, and the pause after failed starts in a row.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::free_disk_and_memory::missing_resource;
use crate::config::{Limits, Profile};
use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::text::counted;
use crate::ops::{Session, pause_profile, profile_pause, record_worker_start};

/// How often free disk and memory, and the profile's pause, are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a waiting worker tries again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// After so many failed starts in a row, the profile is paused.
const MAX_FAILED_STARTS: u32 = 5;

/// The start limits of one profile, for one batch.
pub(in crate::work) struct StartLimits<'a> {
    session: &'a Session,
    batch: &'a TaskId,
    profile: &'a Profile,
    limits: Limits,
    /// When the machine was last checked and had enough free disk and memory.
    checked_at: Mutex<Option<Instant>>,
    waits_for: Mutex<Option<String>>,
    history: Mutex<StartHistory>,
    is_paused: AtomicBool,
}

#[derive(Debug, Default)]
struct StartHistory {
    failed_in_a_row: u32,
    has_succeeded: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> StartLimits<'a> {
    /// The limits of a profile, together with those over all batches.
    pub(in crate::work) fn new(
        session: &'a Session,
        batch: &'a TaskId,
        profile: &'a Profile,
        limits: &Limits,
    ) -> Self {
        StartLimits {
            session,
            batch,
            profile,
            limits: limits.clone(),
            checked_at: Mutex::default(),
            waits_for: Mutex::default(),
            history: Mutex::default(),
            is_paused: AtomicBool::new(false),
        }
    }

    /// Which limit the next start waits for, for `get_batch`.
    pub(in crate::work) fn waits_for(&self) -> Option<String> {
        lock(&self.waits_for).clone()
    }

    /// Waits until a worker may start. Returns false if `gives_up` returns true, or if the profile is paused.
    ///
    /// # Errors
    /// The store cannot be read or written, or the free disk space cannot be read.
    pub(in crate::work) fn wait_until_allowed(
        &self,
        mut gives_up: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        loop {
            // A pause is final for this value, even if the profile was resumed: the configuration is read again first.
            if self.is_paused() || gives_up()? {
                return Ok(false);
            }
            let mut checked_at = lock(&self.checked_at);
            let is_due = checked_at.is_none_or(|at| at.elapsed() >= CHECK_INTERVAL);
            if is_due && let Some(why) = profile_pause(self.session, self.profile.name.as_str())? {
                *lock(&self.waits_for) = None;
                self.is_paused.store(true, Ordering::SeqCst);
                pause_profile(self.session, self.batch, self.profile.name.as_str(), &why)?;
                return Ok(false);
            }
            let obstacle = self.obstacle(&mut checked_at, is_due)?;
            drop(checked_at);
            let is_allowed = obstacle.is_none();
            *lock(&self.waits_for) = obstacle;
            if is_allowed {
                return Ok(true);
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
    }

    fn obstacle(&self, checked_at: &mut Option<Instant>, is_due: bool) -> Result<Option<String>> {
        if is_due {
            if let Some(missing) = missing_resource(&self.limits, self.session.folder())? {
                return Ok(Some(missing));
            }
            *checked_at = Some(Instant::now());
        }
        let Some(limit) = self.profile.max_starts_per_minute else { return Ok(None) };
        let wait = record_worker_start(self.session, self.profile.name.as_str(), u64::from(limit))?;
        Ok(wait.map(|wait| {
            format!(
                "profile '{}' starts {} a minute; the next one starts in {} s",
                self.profile.name,
                counted(u64::from(limit), "worker"),
                wait.as_secs() + 1
            )
        }))
    }

    /// Records whether a start failed. After too many failed starts in a row, pauses the profile with the last
    /// `reason`.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(in crate::work) fn record_start(
        &self,
        has_failed: bool,
        reason: impl FnOnce() -> String,
    ) -> Result<()> {
        let failed = {
            let mut history = lock(&self.history);
            history.failed_in_a_row = if has_failed { history.failed_in_a_row + 1 } else { 0 };
            history.has_succeeded |= !has_failed;
            history.failed_in_a_row
        };
        if failed == MAX_FAILED_STARTS {
            self.pause(&format!(
                "{failed} starts in a row failed within a second, the last one with {}",
                reason()
            ))?;
        }
        Ok(())
    }

    /// Whether the profile was paused since this value was made. The operator may have fixed it meanwhile.
    pub(in crate::work) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    /// Whether a worker of the profile has worked at least once.
    pub(in crate::work) fn has_succeeded(&self) -> bool {
        lock(&self.history).has_succeeded
    }

    /// Pauses the profile and the batch.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(in crate::work) fn pause(&self, why: &str) -> Result<()> {
        self.is_paused.store(true, Ordering::SeqCst);
        // The next start checks at once.
        *lock(&self.checked_at) = None;
        pause_profile(self.session, self.batch, self.profile.name.as_str(), why)
    }
}
