//! The result of a check, and the command that fixes a problem.

use serde::Serialize;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// There is nothing to do.
    Ok,
    /// A person should look into it.
    Warning,
    /// Something does not work, or will soon stop working.
    Problem,
}

impl Level {
    /// The level's name.
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
    pub(super) level: Level,
    pub(super) message: String,
    /// The command that fixes it, or that shows more if only a person can fix it.
    pub(super) fix: Option<String>,
}

impl Finding {
    fn new(level: Level, message: impl Into<String>) -> Self {
        Finding { level, message: message.into(), fix: None }
    }

    /// A finding with nothing to do.
    pub(super) fn ok(message: impl Into<String>) -> Self {
        Finding::new(Level::Ok, message)
    }

    /// A finding that a person should look into.
    pub(super) fn warning(message: impl Into<String>) -> Self {
        Finding::new(Level::Warning, message)
    }

    /// Something that does not work, or will soon stop working.
    pub(super) fn problem(message: impl Into<String>) -> Self {
        Finding::new(Level::Problem, message)
    }

    /// The finding with the command that fixes it.
    pub(super) fn with_fix(mut self, command: impl Into<String>) -> Self {
        self.fix = Some(command.into());
        self
    }
}

/// The findings; if there are none, one that everything is in order.
pub(super) fn or_ok(findings: Vec<Finding>, message: impl Into<String>) -> Vec<Finding> {
    if findings.is_empty() { vec![Finding::ok(message)] } else { findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_more_serious_than_a_warning() {
        assert!(Level::Problem > Level::Warning && Level::Warning > Level::Ok);
    }
}
