//! Processes killed (SIGKILL) at any moment: acknowledged writes are kept, other writes are there completely or not at
//! all, nothing is written twice, and no item with a receipt is processed again.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same ones. A kill comes after a random
//! time or, on Linux, right before a random call that writes or syncs a file. So it hits the creation of the store,
//! the middle of a commit, the time between commit and reply, and a WAL checkpoint.

mod commands;
mod runners;
mod runs;
mod servers;
#[cfg(target_os = "linux")]
mod store_creation;

use std::process::Command;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::rng::Rng;

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum KillTime {
    /// Not before the test's patience ends.
    Never,
    /// After this time.
    After(Duration),
    /// Right before the n-th call that writes or syncs a file.
    Before(u64),
}

impl KillTime {
    /// A random kill: half of them by time, half by call.
    fn random(rng: &mut Rng, max_ms: u64, max_calls: u64) -> Self {
        if cfg!(not(target_os = "linux")) || rng.below(2) == 0 {
            KillTime::After(Duration::from_micros(rng.below(max_ms * 1000)))
        } else {
            // The first 40 calls are the start of the process. They are chosen as often as all later calls.
            let max = if rng.below(2) == 0 { max_calls } else { 40 };
            KillTime::Before(1 + rng.below(max))
        }
    }

    /// A kill before the process has written anything.
    fn before_any_write() -> Self {
        if cfg!(target_os = "linux") { KillTime::Before(1) } else { KillTime::After(Duration::ZERO) }
    }

    /// Prepares a command that is killed by a call.
    fn prepare(self, command: &mut Command) {
        #[cfg(target_os = "linux")]
        if let KillTime::Before(call) = self {
            command.env("LD_PRELOAD", crate::shim::shim("stop")).env("TASKTALLY_STOP_BY", "KILL");
            command.env("TASKTALLY_STOP_AT", call.to_string());
        }
    }

    /// When the test kills the process at the latest.
    fn deadline(self) -> Duration {
        match self {
            KillTime::Never => PATIENCE,
            KillTime::After(time) => time,
            KillTime::Before(_) => Duration::from_millis(300),
        }
    }
}
