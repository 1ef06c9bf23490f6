//! The runner: starts workers for batches and tasks, and writes their receipts.
//!
//! - `commands`: `tasktally run` and `tasktally work`
//! - `background`: one runner process per batch, which works by a profile of the operator's configuration
//! - `pool`: the workers, each of which claims a chunk or task and runs a command for it
//! - `limits`: what a background runner checks before a worker starts
//! - `sandbox`: what the kernel lets a worker write, read and reach
//! - `supervisor`: the processes that start workers and end their process trees
//! - `worktree`: a git worktree for each chunk

mod background;
mod claim_process;
mod commands;
mod file_lock;
mod inherited_descriptors;
mod lease_watch;
pub mod leftovers;
mod limit_remedy;
mod limits;
mod log_retention;
mod pool;
pub mod preflight;
mod process_lock;
mod progress;
mod run_lock;
mod sandbox;
mod stop_signal;
mod supervisor;
mod take_over;
mod this_program;
pub mod worktree;

/// The folders that runners create in a store's folder: files with the tokens of workers, their output, and their working
/// directories.
pub const DATA_SUBFOLDERS: [&str; 4] = ["jobs", "logs", "work", "worktrees"];

pub use background::{AgentFolders, Launcher};
pub use claim_process::claim_process_state;
pub use commands::{Run, RunEnd, Work, report_and_check, run, run_until, test_in_foreground, work};
pub use inherited_descriptors::close_inherited_descriptors;
pub use sandbox::{SANDBOX_EXEC, run_in_sandbox};
pub use stop_signal::StopSignal;
pub use supervisor::run_supervisor_process;
pub use this_program::running_executable;
