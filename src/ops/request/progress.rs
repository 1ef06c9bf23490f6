//! How far a long operation is, for whoever asked to be told. Nothing depends on it.

use std::sync::Arc;

/// How often somebody is told: once in so many items.
const EVERY: u64 = 100;

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items read so far.
    pub read: u64,
    /// Items stored so far.
    pub stored: u64,
}

/// Who is told, if anybody.
#[derive(Clone, Default)]
pub(in crate::ops) struct Tell(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Tell {
    /// Tells `to`.
    pub(in crate::ops) fn to(to: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Tell(Some(Arc::new(to)))
    }

    /// Tells it now and then.
    pub(in crate::ops) fn now_and_then(&self, progress: Progress) {
        if let Some(tell) = &self.0
            && (progress.read + progress.stored).is_multiple_of(EVERY)
        {
            tell(progress);
        }
    }
}
