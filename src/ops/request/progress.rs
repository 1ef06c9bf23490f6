//! Progress of a long operation, reported to the caller who asked for it. No result depends on it.

use std::sync::Arc;

/// Progress is reported once per this many items.
const REPORT_EVERY: u64 = 100;

/// How many items an operation has handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items read so far.
    pub read: u64,
    /// Items stored so far.
    pub stored: u64,
}

/// Calls the caller's function with the progress, if the caller gave one.
#[derive(Clone, Default)]
pub(in crate::ops) struct ProgressReporter(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl ProgressReporter {
    /// A reporter that calls `report`.
    pub(in crate::ops) fn new(report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        ProgressReporter(Some(Arc::new(report)))
    }

    /// Reports the progress if it is a multiple of 100 items.
    pub(in crate::ops) fn report(&self, progress: Progress) {
        if let Some(report) = &self.0
            && (progress.read + progress.stored).is_multiple_of(REPORT_EVERY)
        {
            report(progress);
        }
    }
}
