//! What a check found, and the command that mends it.

use std::path::Path;

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

/// A word of a shell command, quoted where the shell would read it as something else.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.,:=@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path as a word of a shell command; one that begins like an option, or counts from here, in full.
pub(super) fn path_word(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_more_into_it() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(word(text), expected);
        }
        check("/home/me/docket.db", "/home/me/docket.db");
        check("/home/me/my files", "'/home/me/my files'");
        check("$(rm -rf ~)", "'$(rm -rf ~)'");
        check("it's", r"'it'\''s'");
        check("", "''");
    }

    #[test]
    fn a_problem_is_worse_than_a_warning() {
        assert!(Level::Problem > Level::Warning && Level::Warning > Level::Ok);
    }
}
