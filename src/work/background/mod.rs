//! Background runners: one process per batch, which works the batch by a profile, and a standby runner that takes over
//! if that process dies.

mod batch_pass;
mod launcher;
mod previous_runner;
mod run_batch;
mod runner_heartbeat;
pub(super) mod runner_log;
mod runner_mode;
mod spawn;
mod standby_runner;

pub use launcher::{AgentFolders, Launcher};
pub(super) use previous_runner::end_previous_runner;
pub(super) use run_batch::run_batch;
pub(super) use runner_mode::RunnerMode;
pub(super) use spawn::start_detached;
