//! Working a batch in the background: a runner, one a batch, that starts workers by a profile.

mod fair_share;
mod launcher;
mod runner;
mod standby;
mod start_limits;

pub(super) use fair_share::{Turn, Turns};
pub use launcher::Launcher;
pub(super) use launcher::detach;
pub(super) use runner::{How, end_earlier, runner};
pub(super) use start_limits::Starts;
pub use start_limits::free_disk;
