//! How a runner was started.

/// How a runner was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::work) enum RunnerMode {
    /// In the foreground, by a person at a terminal.
    Foreground,
    /// In the foreground, to test a profile: nothing is tried again.
    Test,
    /// Detached from the terminal.
    Background,
    /// Detached, to wait until the current runner has died.
    Standby,
}

impl RunnerMode {
    /// Whether the runner is detached from the terminal.
    pub(super) fn is_detached(self) -> bool {
        matches!(self, RunnerMode::Background | RunnerMode::Standby)
    }
}
