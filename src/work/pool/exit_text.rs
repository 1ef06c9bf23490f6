//! Describes in words how a worker's process ended.

use crate::model::field::is_hidden;
use crate::work::supervisor::{ProcessExit, StopReason};

/// The most characters of a receipt that is made from a command's output.
const MAX_RECEIPT_CHARS: usize = 2_000;
/// How many lines of standard error are shown.
const MAX_ERROR_LINES: usize = 5;

/// How a process ended, in a few words.
pub(super) fn describe_exit(exit: &ProcessExit) -> String {
    let seconds = exit.duration.as_secs_f64();
    match (exit.stop_reason, exit.code, exit.signal) {
        (Some(StopReason::Timeout), ..) => format!("stopped after {seconds:.0} s (timeout_s)"),
        (Some(StopReason::MemoryLimit), ..) => {
            "stopped because it used more memory than memory_mb".to_owned()
        }
        (Some(StopReason::Requested), ..) => "stopped on request".to_owned(),
        (None, Some(code), _) => format!("exit code {code}"),
        (None, None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None, None) => "ended without an exit status".to_owned(),
    }
}

/// How a process ended, with the last lines of its standard error.
pub(super) fn describe_exit_with_errors(exit: &ProcessExit) -> String {
    match last_error_lines(&exit.stderr_tail) {
        lines if lines.is_empty() => describe_exit(exit),
        lines => format!("{}: {lines}", describe_exit(exit)),
    }
}

/// The last lines of standard error, as one line.
pub(super) fn last_error_lines(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    printable(&lines[lines.len().saturating_sub(MAX_ERROR_LINES)..].join(" | "))
}

/// An output as it may appear in a receipt: cut to its limit, without control characters.
pub(super) fn printable(text: &str) -> String {
    let mut kept: String =
        text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).take(MAX_RECEIPT_CHARS).collect();
    kept.truncate(kept.trim_end().len());
    kept
}
