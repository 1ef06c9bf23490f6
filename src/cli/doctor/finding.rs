//! What a check found, and the command that mends it.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// Something does not work, or will not for long.
    Problem,
}

impl Level {
    /// In a word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) level: Level,
    /// What is so.
    pub(super) message: String,
    /// The command that mends it, or shows more where only a person can.
    pub(super) mend: Option<String>,
}

impl Finding {
    fn new(level: Level, message: impl Into<String>) -> Self {
        Finding { level, message: message.into(), mend: None }
    }

    /// All is well.
    pub(super) fn ok(message: impl Into<String>) -> Self {
        Finding::new(Level::Ok, message)
    }

    /// Somebody should look at it.
    pub(super) fn warning(message: impl Into<String>) -> Self {
        Finding::new(Level::Warning, message)
    }

    /// It does not work, or will not for long.
    pub(super) fn problem(message: impl Into<String>) -> Self {
        Finding::new(Level::Problem, message)
    }

    /// With the command that mends it.
    pub(super) fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }
}

/// The findings, or that all is well.
pub(super) fn or_ok(found: Vec<Finding>, well: impl Into<String>) -> Vec<Finding> {
    if found.is_empty() { vec![Finding::ok(well)] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_worse_than_a_warning() {
        assert!(Level::Problem > Level::Warning && Level::Warning > Level::Ok);
    }
}
