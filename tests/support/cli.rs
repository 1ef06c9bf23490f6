//! One `tasktally` command, run to its end.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use super::wait_for_exit;

/// A command that has not started yet.
pub(crate) struct Run {
    command: Command,
    command_line: String,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; none if a signal ended the process.
    pub(crate) code: Option<i32>,
    /// Everything on stdout.
    pub(crate) stdout: String,
    /// Everything on stderr.
    pub(crate) stderr: String,
    command_line: String,
}

impl Run {
    /// `command` with these arguments added.
    pub(crate) fn new<A: AsRef<str>>(mut command: Command, args: impl IntoIterator<Item = A>) -> Self {
        let mut command_line = String::from("tasktally");
        for arg in args {
            command.arg(arg.as_ref());
            command_line = command_line + " " + arg.as_ref();
        }
        Run { command, command_line }
    }

    /// Starts the process without output and returns it.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("tasktally starts")
    }

    /// Runs the command and waits for its end.
    pub(crate) fn finish(mut self) -> Ran {
        let mut child =
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tasktally starts");
        let stdout = read_in_background(child.stdout.take().expect("stdout is piped"));
        let stderr = read_in_background(child.stderr.take().expect("stderr is piped"));
        let code = wait_for_exit(&mut child).code();
        let text = |reader: thread::JoinHandle<String>| reader.join().expect("the reading thread ends");
        Ran { code, stdout: text(stdout), stderr: text(stderr), command_line: self.command_line }
    }

    /// Runs the command and asserts exit code 0.
    #[track_caller]
    pub(crate) fn success(self) -> Ran {
        self.code(0)
    }

    /// Runs the command and asserts its exit code.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Ran {
        let ran = self.finish();
        assert_eq!(ran.code, Some(expected), "{}\n{}\n{}", ran.command_line, ran.stdout, ran.stderr);
        ran
    }
}

impl Ran {
    /// Stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{}: {error}\n{}\n{}", self.command_line, self.stdout, self.stderr)
        })
    }

    /// Stdout followed by stderr.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

fn read_in_background(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}
