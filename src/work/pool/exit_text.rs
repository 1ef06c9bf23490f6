//! Describes in words how a worker's process ended.

use crate::model::hidden::is_control;
use crate::work::supervisor::{ProcessExit, StopReason};

/// The most characters of a receipt that is made from a command's output.
const MAX_RECEIPT_CHARS: usize = 2_000;
/// How many lines of an output are shown.
const MAX_LINES: usize = 5;
/// The most characters of an output in the reason of a failure.
const MAX_OUTPUT_CHARS: usize = 800;

/// How a process ended, in a few words. `timeout_setting` is the name of the setting that limits its time.
pub(super) fn describe_exit(exit: &ProcessExit, timeout_setting: &str) -> String {
    match (exit.stop_reason, exit.code, exit.signal) {
        (Some(StopReason::Timeout(limit)), ..) => {
            format!("stopped because it ran longer than {} s ({timeout_setting})", limit.as_secs_f64())
        }
        (Some(StopReason::MemoryLimit), ..) => {
            "stopped because it used more memory than memory_mb".to_owned()
        }
        (Some(StopReason::Requested), ..) => "stopped on request".to_owned(),
        (None, Some(code), _) => format!("exit code {code}"),
        (None, None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None, None) => "ended without an exit status".to_owned(),
    }
}

/// How a process failed: `how` it ended, the end of its standard error and of what it `said` on standard output, and the
/// command that prints the rest. An agent that is not logged in says so on standard output.
pub(super) fn describe_failure(how: &str, exit: &ProcessExit, said: &str, task: &str) -> String {
    let outputs =
        [("stderr", last_lines(&exit.stderr_tail)), ("stdout", shorten_start(said, MAX_OUTPUT_CHARS))];
    let mut text = how.to_owned();
    for (name, output) in outputs {
        if !output.is_empty() {
            text.push_str(&format!("; {name}: {output}"));
        }
    }
    if exit.stderr_tail.trim().is_empty() && exit.stdout_tail.trim().is_empty() {
        text.push_str("; it printed nothing");
    } else {
        text.push_str(&format!("; whole output: tasktally logs {task}"));
    }
    printable(&text)
}

/// The last lines of an output, as one line.
pub(super) fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    shorten_start(&lines[lines.len().saturating_sub(MAX_LINES)..].join(" | "), MAX_OUTPUT_CHARS)
}

/// The end of a text. What is missing is marked.
fn shorten_start(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - max).collect();
    format!("…{end}")
}

/// An output as it may appear in a receipt: without control characters. If it is cut to the limit, it says so.
pub(super) fn printable(text: &str) -> String {
    let shown = |text: &mut dyn Iterator<Item = char>| -> String {
        text.map(|c| if is_control(c) { ' ' } else { c }).collect()
    };
    let text = text.trim_end();
    let count = text.chars().count();
    if count <= MAX_RECEIPT_CHARS {
        return shown(&mut text.chars());
    }
    let kept = shown(&mut text.chars().take(MAX_RECEIPT_CHARS));
    format!("{}… (cut: {MAX_RECEIPT_CHARS} of {count} characters)", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exit(code: Option<i32>, stop_reason: Option<StopReason>, stdout: &str, stderr: &str) -> ProcessExit {
        ProcessExit {
            code,
            signal: None,
            stop_reason,
            stdout_tail: stdout.to_owned(),
            stdout_is_cut: false,
            stderr_tail: stderr.to_owned(),
            duration: Duration::from_secs(7),
            unkillable: 0,
        }
    }

    #[test]
    fn a_failure_has_the_end_of_both_outputs_and_the_command_for_the_rest() {
        #[track_caller]
        fn check(exit: &ProcessExit, expected: &str) {
            let text = describe_failure(
                &describe_exit(exit, "timeout_s"),
                exit,
                &last_lines(&exit.stdout_tail),
                "b1.02",
            );
            assert_eq!(text, expected);
        }
        check(
            &exit(Some(1), None, "Invalid API key\n\nPlease run /login\n", ""),
            "exit code 1; stdout: Invalid API key | Please run /login; whole output: tasktally logs b1.02",
        );
        check(
            &exit(Some(2), None, "half", "a\nb\nc\nd\ne\nf\n"),
            "exit code 2; stderr: b | c | d | e | f; stdout: half; whole output: tasktally logs b1.02",
        );
        check(&exit(Some(3), None, "", " \n"), "exit code 3; it printed nothing");
        check(
            &exit(None, Some(StopReason::Timeout(Duration::from_secs(5))), "start", ""),
            "stopped because it ran longer than 5 s (timeout_s); stdout: start; whole output: tasktally logs b1.02",
        );
        let long = exit(Some(1), None, "", &format!("{}the end", "x".repeat(5_000)));
        let text = describe_failure("exit code 1", &long, "", "b");
        assert!(text.contains("stderr: …xxx") && text.contains("the end; whole output"), "{text}");
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(printable("a\u{1b}[31mb \n"), "a [31mb");
        let cut = printable(&"é".repeat(5_003));
        assert!(cut.ends_with("é… (cut: 2000 of 5003 characters)"), "{cut}");
        assert_eq!(printable(&"é".repeat(2_000)), "é".repeat(2_000));
    }
}
