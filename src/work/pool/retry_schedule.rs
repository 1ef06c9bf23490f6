//! The items whose command failed and is run again, and when. All workers of a pool share it, so that an
//! item keeps its place if another worker claims its chunk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::id::TaskId;
use crate::model::retry::{LastTry, RetryPolicy};

/// The failures of one item.
struct ItemFailures {
    count: u32,
    first_at: Instant,
    due_at: Instant,
    /// How many items had succeeded at the first failure.
    succeeded_before: u64,
    last_reason: String,
}

/// What follows a failure that may be retried.
pub(super) enum AfterFailure {
    /// The item is tried again after this delay.
    RetryIn(Duration),
    /// There is no further try.
    Over {
        /// What happens to the item.
        last_try: LastTry,
        /// How often it failed.
        failures: u32,
        /// How long ago it failed first.
        elapsed: Duration,
    },
}

/// When items that failed are tried again.
pub(in crate::work) struct RetrySchedule {
    policy: RetryPolicy,
    items: Mutex<HashMap<(TaskId, String), ItemFailures>>,
    succeeded: AtomicU64,
}

impl RetrySchedule {
    /// An empty schedule.
    pub(in crate::work) fn new(policy: RetryPolicy) -> Self {
        RetrySchedule { policy, items: Mutex::default(), succeeded: AtomicU64::new(0) }
    }

    fn items(&self) -> MutexGuard<'_, HashMap<(TaskId, String), ItemFailures>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a failure that is not temporary is retried as well.
    pub(super) fn covers_every_failure(&self) -> bool {
        self.policy.retries_every_failure()
    }

    /// Records a failure of an item of `task`; the key is empty for the task itself.
    pub(super) fn record_failure(
        &self,
        task: &TaskId,
        key: &str,
        retry_after: Option<Duration>,
        reason: &str,
    ) -> AfterFailure {
        let now = Instant::now();
        let succeeded = self.succeeded.load(Ordering::SeqCst);
        let mut items = self.items();
        let id = (task.clone(), key.to_owned());
        let failures = items.entry(id.clone()).or_insert_with(|| ItemFailures {
            count: 0,
            first_at: now,
            due_at: now,
            succeeded_before: succeeded,
            last_reason: String::new(),
        });
        failures.count += 1;
        reason.clone_into(&mut failures.last_reason);
        let elapsed = now.saturating_duration_since(failures.first_at);
        if let Some(delay) = self.policy.next_try(failures.count, elapsed, retry_after) {
            failures.due_at = now + delay;
            return AfterFailure::RetryIn(delay);
        }
        let last_try = match self.policy.retries {
            // The person chose the number, so the failure is the item's.
            Some(_) => LastTry::ItemFailed,
            None => LastTry::decide(succeeded - failures.succeeded_before),
        };
        let failures = failures.count;
        items.remove(&id);
        AfterFailure::Over { last_try, failures, elapsed }
    }

    /// Records that an item was done.
    pub(super) fn record_success(&self) {
        self.succeeded.fetch_add(1, Ordering::SeqCst);
    }

    /// Removes an item that was settled.
    pub(super) fn remove(&self, task: &TaskId, key: &str) {
        let mut items = self.items();
        if !items.is_empty() {
            items.remove(&(task.clone(), key.to_owned()));
        }
    }

    /// When an item is tried again; `None` if it did not fail.
    pub(super) fn due_at(&self, task: &TaskId, key: &str) -> Option<Instant> {
        let items = self.items();
        if items.is_empty() {
            return None;
        }
        items.get(&(task.clone(), key.to_owned())).map(|failures| failures.due_at)
    }

    /// The delay of a worker that has seen this number of temporary failures in a row.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        self.policy.delay(failures)
    }

    /// What the pool waits for, for `get_batch`.
    pub(in crate::work) fn waits_for(&self) -> Option<String> {
        let items = self.items();
        let last = items.values().max_by_key(|failures| failures.due_at)?;
        Some(match items.len() {
            1 => format!("1 item asked to be tried again: {}", last.last_reason),
            count => format!("{count} items asked to be tried again; the last one: {}", last.last_reason),
        })
    }
}
