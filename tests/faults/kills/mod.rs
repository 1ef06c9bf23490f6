//! Killed (SIGKILL) at any moment: what was acknowledged is there, what was not is there wholly or not at all,
//! nothing is written twice, and no receipted item is done again.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds, `TASKTALLY_SEED` for the same ones again. A kill comes after a random
//! time, or (where there is a compiler) right before a random call that writes or syncs a file: so it meets the
//! making of the store, the middle of a commit, the moment between commit and answer, the folding of the log.

mod commands;
#[cfg(target_os = "linux")]
mod making;
mod runners;
mod runs;
mod servers;

use std::process::Command;
use std::time::Duration;

use crate::support::rng::Rng;

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Timestamp {
    /// After so long.
    After(Duration),
    /// Before so many calls that write or sync.
    Before(u64),
}

impl Timestamp {
    /// Half of them by time, half by call.
    fn any(rng: &mut Rng, longest_ms: u64, most_calls: u64) -> Self {
        if cfg!(not(target_os = "linux")) || rng.below(2) == 0 {
            Timestamp::After(Duration::from_micros(rng.below(longest_ms * 1000)))
        } else {
            // The first calls as often as all of the later ones: they are the start-up.
            let most = if rng.below(2) == 0 { most_calls } else { 40 };
            Timestamp::Before(1 + rng.below(most))
        }
    }

    /// Lets a command be killed so, where it is by a call.
    fn prepare(self, command: &mut Command) {
        #[cfg(target_os = "linux")]
        if let Timestamp::Before(call) = self {
            command.env("LD_PRELOAD", crate::shim::shim("stop")).env("TASKTALLY_STOP_BY", "KILL");
            command.env("TASKTALLY_STOP_AT", call.to_string());
        }
    }

    /// How long until it is killed in any case.
    fn at_the_latest(self) -> Duration {
        match self {
            Timestamp::After(time) => time,
            Timestamp::Before(_) => Duration::from_millis(300),
        }
    }
}
