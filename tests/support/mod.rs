//! The harness of all tests: real `tasktally` processes on real files in a temporary folder.
//!
//! [`store::Store`] is the folder and the store: a file, or with `TASKTALLY_TEST_STORE=postgres` a database of a
//! [`postgres::Cluster`]. [`server::Server`] is a `tasktally serve` process with the client's end of its pipes,
//! [`cli::Run`] one command, [`reply::Reply`] the reply of a tool.

#![allow(dead_code, reason = "each test file uses its part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

pub(crate) mod background;
pub(crate) mod cli;
pub(crate) mod conflict_model;
pub(crate) mod fake_agent;
pub(crate) mod full_store;
pub(crate) mod mount;
pub(crate) mod output_schemas;
pub(crate) mod postgres;
pub(crate) mod random_batch;
pub(crate) mod reply;
pub(crate) mod resources;
pub(crate) mod rng;
pub(crate) mod screen;
pub(crate) mod server;
pub(crate) mod skip;
pub(crate) mod sql;
pub(crate) mod steps;
pub(crate) mod store;
pub(crate) mod unchanged;
pub(crate) mod unprivileged;
pub(crate) mod values;
pub(crate) mod waits;

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long a test waits for a condition before it fails. Generous, so that a loaded machine never exceeds it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `condition` returns a value. Fails after [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    eventually_or_report(what, &mut (), |()| condition(), |()| String::new())
}

/// The same with a context; if the wait fails, the message includes what `report` returns.
pub(crate) fn eventually_or_report<C, T>(
    what: &str,
    context: &mut C,
    mut condition: impl FnMut(&mut C) -> Option<T>,
    report: impl FnOnce(&mut C) -> String,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition(context) {
            return found;
        }
        if start.elapsed() >= PATIENCE {
            panic!("waited {PATIENCE:?} in vain for {what} {}", report(context));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a child process to end by itself.
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    eventually("a process to end", || child.try_wait().expect("a child can be waited for"))
}

/// Sends a signal, named as for `kill`, and asserts that it was delivered.
pub(crate) fn send_signal(name: &str, pid: u32) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.expect("`kill` runs").success(), "SIG{name} to {pid}");
}

/// Resident memory of a process in KiB; 0 if it has ended.
#[cfg(target_os = "linux")]
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.map_or(0, |line| line.split_whitespace().nth(1).unwrap().parse().unwrap())
}

/// The number of rounds of a repeated test: the environment variable, or a default that suits CI.
pub(crate) fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number of rounds"))
}

/// Runs `job` in `count` threads at once. Returns their results in the order of the threads.
pub(crate) fn run_in_parallel<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let job = &job;
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || job(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
