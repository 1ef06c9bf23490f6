//! The one harness: real `tasktally` processes over real files in a temporary folder.
//!
//! [`store::Store`] is the folder and the file, [`server::Server`] a `tasktally serve` with a
//! client's end of its pipes, [`cli::Run`] one command, [`reply::Reply`] what a tool answered.

#![allow(dead_code, reason = "each test file uses its part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

pub(crate) mod agent;
pub(crate) mod at_work;
pub(crate) mod background;
pub(crate) mod cli;
pub(crate) mod ledger;
pub(crate) mod mount;
pub(crate) mod reply;
pub(crate) mod rng;
pub(crate) mod screen;
pub(crate) mod server;
pub(crate) mod steps;
pub(crate) mod store;
pub(crate) mod touch;
pub(crate) mod untouched;

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. A bound, never a measurement.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks `condition` again and again until it gives something.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    eventually_or(what, &mut (), |()| condition(), |()| "nothing else was seen".to_owned())
}

/// The same over something; where it never gives anything, what is `seen` instead is told.
pub(crate) fn eventually_or<C, T>(
    what: &str,
    over: &mut C,
    mut condition: impl FnMut(&mut C) -> Option<T>,
    seen: impl FnOnce(&mut C) -> String,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition(over) {
            return found;
        }
        if start.elapsed() >= PATIENCE {
            panic!("waited {PATIENCE:?} in vain: {what}; {}", seen(over));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a child process to end by itself.
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    eventually("a process to end", || child.try_wait().expect("a child can be waited for"))
}

/// Sends a signal by its name, as a person at a terminal would.
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.expect("`kill` runs").success(), "SIG{name} to {pid}");
}

/// Resident memory of a process, in KiB; nothing for one that has ended.
#[cfg(target_os = "linux")]
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.map_or(0, |line| line.split_whitespace().nth(1).unwrap().parse().unwrap())
}

/// How many rounds a repeated test takes: `variable`, or a number that suits CI.
pub(crate) fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number of rounds"))
}

/// Runs `job` in `count` threads at once and hands back what each returned, in their order.
pub(crate) fn together<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let job = &job;
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || job(number))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
