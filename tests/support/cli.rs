//! One command, run to its end, with its output held to what a test expects.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use super::ended;

/// A command that is about to run.
pub(crate) struct Run {
    command: Command,
    told: String,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Everything on stdout.
    pub(crate) stdout: String,
    /// Everything on stderr.
    pub(crate) stderr: String,
    told: String,
}

impl Run {
    /// `command` with more arguments.
    pub(crate) fn new<A: AsRef<str>>(mut command: Command, args: impl IntoIterator<Item = A>) -> Self {
        let mut told = String::from("tasktally");
        for arg in args {
            command.arg(arg.as_ref());
            told = told + " " + arg.as_ref();
        }
        Run { command, told }
    }

    /// Starts it and leaves it to the caller; its output goes nowhere.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("tasktally starts")
    }

    /// Runs it to its end.
    pub(crate) fn finish(mut self) -> Ran {
        let mut child =
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tasktally starts");
        let stdout = gather(child.stdout.take().expect("stdout is piped"));
        let stderr = gather(child.stderr.take().expect("stderr is piped"));
        let code = ended(&mut child).code();
        let text = |reader: thread::JoinHandle<String>| reader.join().expect("a reader ends");
        Ran { code, stdout: text(stdout), stderr: text(stderr), told: self.told }
    }

    /// Runs it and holds it to exit code 0.
    #[track_caller]
    pub(crate) fn success(self) -> Ran {
        self.code(0)
    }

    /// Runs it and holds it to an exit code.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Ran {
        let ran = self.finish();
        assert_eq!(ran.code, Some(expected), "{}\n{}\n{}", ran.told, ran.stdout, ran.stderr);
        ran
    }
}

impl Ran {
    /// Stdout as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}\n{}", self.told, self.stdout, self.stderr))
    }

    /// Everything it said, wherever.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

fn gather(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}
