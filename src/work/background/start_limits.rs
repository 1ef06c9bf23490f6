//! Whether a worker may be started now: room on the machine, starts a minute, a profile that works at all.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Limits, Profile};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::MIB;
use crate::ops::{Session, pause_profile, profile_pause, record_worker_start};

/// How often it is looked at what keeps a worker from being started.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// So many starts in a row that fail at once pause a profile.
const MOST_FAILED: u32 = 5;

/// What stands before every start.
pub(in crate::work) struct Starts<'a> {
    session: &'a Session,
    batch: &'a TaskId,
    profile: &'a Profile,
    limits: Limits,
    looked: Mutex<Option<Instant>>,
    waits_for: Mutex<Option<String>>,
    streak: Mutex<Streak>,
    has_paused: AtomicBool,
}

#[derive(Debug, Default)]
struct Streak {
    failed: u32,
    has_worked: bool,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Starts<'a> {
    /// By a profile, within limits, for a batch.
    pub(super) fn new(
        session: &'a Session,
        batch: &'a TaskId,
        profile: &'a Profile,
        limits: &Limits,
    ) -> Self {
        Starts {
            session,
            batch,
            profile,
            limits: limits.clone(),
            looked: Mutex::default(),
            waits_for: Mutex::default(),
            streak: Mutex::default(),
            has_paused: AtomicBool::new(false),
        }
    }

    /// What starts wait for, for people who wonder.
    pub(super) fn waits_for(&self) -> Option<String> {
        open(&self.waits_for).clone()
    }

    /// Waits until a worker may be started; false where it is no longer wanted, or the profile is paused.
    ///
    /// # Errors
    /// Where the store or the machine cannot be looked at.
    pub(in crate::work) fn may_begin(&self, mut is_off: impl FnMut() -> Result<bool>) -> Result<bool> {
        loop {
            // Also where somebody has let it go on already: it is read anew first.
            if self.has_paused() || is_off()? {
                return Ok(false);
            }
            let mut looked = open(&self.looked);
            let is_due = looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
            if is_due && let Some(why) = profile_pause(self.session, self.profile.name.as_str())? {
                *open(&self.waits_for) = None;
                self.has_paused.store(true, Ordering::SeqCst);
                pause_profile(self.session, self.batch, self.profile.name.as_str(), &why)?;
                return Ok(false);
            }
            let obstacle = self.obstacle(&mut looked, is_due)?;
            drop(looked);
            let is_free = obstacle.is_none();
            *open(&self.waits_for) = obstacle;
            if is_free {
                return Ok(true);
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    fn obstacle(&self, looked: &mut Option<Instant>, is_due: bool) -> Result<Option<String>> {
        if is_due {
            if let Some(lacks) = lacking(&self.limits, self.session.folder())? {
                return Ok(Some(lacks));
            }
            *looked = Some(Instant::now());
        }
        let Some(most) = self.profile.max_starts_per_minute else { return Ok(None) };
        let wait = record_worker_start(self.session, self.profile.name.as_str(), u64::from(most))?;
        Ok(wait.map(|wait| {
            format!(
                "profile '{}' starts {most} workers a minute; the next in {} s",
                self.profile.name,
                wait.as_secs() + 1
            )
        }))
    }

    /// Takes note of a start that failed at once, or of one that did not. So many in a row pause the
    /// profile with what the last one was told of by.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(in crate::work) fn saw(&self, has_failed: bool, told: impl FnOnce() -> String) -> Result<()> {
        let failed = {
            let mut streak = open(&self.streak);
            streak.failed = if has_failed { streak.failed + 1 } else { 0 };
            streak.has_worked |= !has_failed;
            streak.failed
        };
        if failed == MOST_FAILED {
            self.pause(&format!(
                "{failed} starts in a row failed within a second, the last with {}",
                told()
            ))?;
        }
        Ok(())
    }

    /// Whether the profile was found paused: what is known of it may be mended by now.
    pub(in crate::work) fn has_paused(&self) -> bool {
        self.has_paused.load(Ordering::SeqCst)
    }

    /// Whether a worker of the profile was ever seen to work.
    pub(in crate::work) fn has_worked(&self) -> bool {
        open(&self.streak).has_worked
    }

    /// Pauses the profile.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(super) fn pause(&self, why: &str) -> Result<()> {
        self.has_paused.store(true, Ordering::SeqCst);
        // Whoever starts next sees it.
        *open(&self.looked) = None;
        pause_profile(self.session, self.batch, self.profile.name.as_str(), why)
    }
}

/// What is free on the disk of a folder, in MiB.
///
/// # Errors
/// Where it cannot be looked at.
pub fn free_disk(folder: &Path) -> Result<u64> {
    let room = rustix::fs::statvfs(folder).map_err(|error| {
        Error::internal(format!("the disk of {} cannot be looked at", folder.display()), error)
    })?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize) / MIB)
}

/// What the machine lacks for another worker.
fn lacking(limits: &Limits, folder: &Path) -> Result<Option<String>> {
    let free = free_disk(folder)?;
    if free < limits.min_free_disk_mb {
        return Ok(Some(format!(
            "{free} MiB are free on the disk of {}, less than limits.min_free_disk_mb {}",
            folder.display(),
            limits.min_free_disk_mb
        )));
    }
    Ok(free_memory().filter(|free| *free < limits.min_free_memory_mb).map(|free| {
        format!(
            "{free} MiB of memory are free, less than limits.min_free_memory_mb {}",
            limits.min_free_memory_mb
        )
    }))
}

/// Memory that can be had without swapping, in MiB, where the system tells.
#[cfg(target_os = "linux")]
fn free_memory() -> Option<u64> {
    use procfs::Current as _;
    procfs::Meminfo::current().ok()?.mem_available.map(|bytes| bytes / MIB)
}

#[cfg(not(target_os = "linux"))]
fn free_memory() -> Option<u64> {
    None
}
