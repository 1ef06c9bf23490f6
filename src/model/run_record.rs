//! What `tasktally run` records in its batch, so that the run can be continued from anywhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the items of a batch are worked by `tasktally run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRun")]
pub struct RunRecord {
    /// The command and its arguments; empty if every step has a command of its own.
    pub command: Vec<String>,
    /// The commands of steps that have one of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepCommand>,
    /// The folder in which the command runs. Older versions did not record it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Where the items came from: an absolute path, and the pattern of a folder's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether the record came with an import, so that the author of the imported file chose the commands.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_imported: bool,
    /// The limits of the command.
    #[serde(flatten)]
    pub limits: CommandLimits,
}

/// The command of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCommand {
    /// The name of the step.
    pub step: String,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// The limits of a command that was given at the command line. What is not set has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandLimits {
    /// How long one run for an item may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How often an item is tried again after any failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The least time between two starts, over all workers, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

impl CommandLimits {
    /// These limits; what is not set is taken from `earlier`.
    #[must_use]
    pub fn or(self, earlier: CommandLimits) -> CommandLimits {
        CommandLimits {
            timeout_ms: self.timeout_ms.or(earlier.timeout_ms),
            retries: self.retries.or(earlier.retries),
            delay_ms: self.delay_ms.or(earlier.delay_ms),
        }
    }

    /// How long one run for an item may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// The least time between two starts, over all workers.
    pub fn delay(&self) -> Option<Duration> {
        self.delay_ms.map(Duration::from_millis).filter(|delay| !delay.is_zero())
    }
}

/// The stored forms. The first one is that of older versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredRun {
    Command(Vec<String>),
    Record {
        command: Vec<String>,
        #[serde(default)]
        steps: Vec<StepCommand>,
        #[serde(default)]
        folder: Option<String>,
        #[serde(default)]
        source: Option<String>,
        #[serde(default)]
        is_imported: bool,
        #[serde(flatten)]
        limits: CommandLimits,
    },
}

impl From<StoredRun> for RunRecord {
    fn from(stored: StoredRun) -> Self {
        match stored {
            StoredRun::Command(command) => RunRecord {
                command,
                steps: Vec::new(),
                folder: None,
                source: None,
                is_imported: false,
                limits: CommandLimits::default(),
            },
            StoredRun::Record { command, steps, folder, source, is_imported, limits } => {
                RunRecord { command, steps, folder, source, is_imported, limits }
            }
        }
    }
}

impl RunRecord {
    /// Whether another run does the same: the same command for the items of the same source.
    pub fn is_same_work(&self, other: &RunRecord) -> bool {
        self.source.is_some()
            && self.source == other.source
            && self.command == other.command
            && self.steps == other.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_older_versions_are_read() {
        let record = |folder: Option<&str>| RunRecord {
            command: vec!["sh".into(), "-c".into()],
            steps: Vec::new(),
            folder: folder.map(str::to_owned),
            source: None,
            is_imported: false,
            limits: CommandLimits::default(),
        };
        let read = |text: &str| serde_json::from_str::<RunRecord>(text).unwrap();
        assert_eq!(read(r#"["sh", "-c"]"#), record(None));
        assert_eq!(read(r#"{"command": ["sh", "-c"], "folder": "/x"}"#), record(Some("/x")));
        let limits = CommandLimits { timeout_ms: Some(1_500), retries: Some(0), delay_ms: None };
        for limits in [limits, CommandLimits::default()] {
            let steps = vec![StepCommand { step: "move".into(), command: vec!["mv".into()] }];
            let record = RunRecord { limits, steps, ..record(Some("/x")) };
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(read(&text), record);
        }
    }

    #[test]
    fn the_same_work_is_the_same_command_on_the_same_source() {
        #[track_caller]
        fn check(source: Option<&str>, command: &str, expected: bool) {
            let record = |source: Option<&str>, command: &str, folder: &str| RunRecord {
                command: vec![command.to_owned()],
                steps: Vec::new(),
                folder: Some(folder.to_owned()),
                source: source.map(str::to_owned),
                is_imported: false,
                limits: CommandLimits::default(),
            };
            let first = record(Some("/a.jsonl"), "true", "/");
            assert_eq!(
                first.is_same_work(&record(source, command, "/other")),
                expected,
                "{source:?} {command}"
            );
        }
        check(Some("/a.jsonl"), "true", true);
        check(Some("/a.jsonl"), "false", false);
        check(Some("/b.jsonl"), "true", false);
        check(None, "true", false);
    }
}
