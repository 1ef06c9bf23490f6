//! Working a batch in the background: a runner, one a batch, that starts workers by a profile.

mod launch;
mod runner;
mod standby;
mod starts;
mod turns;

pub use launch::Launcher;
pub(super) use launch::detach;
pub(super) use runner::{How, end_earlier, runner};
pub(super) use starts::Starts;
pub use starts::free_disk;
pub(super) use turns::{Turn, Turns};
