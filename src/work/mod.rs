//! The runner: takes chunks, lets workers do them, writes the receipts.

mod background;
mod claim_heartbeat;
mod command_spec;
mod interrupt;
mod item_command;
pub mod leftovers;
mod log_retention;
mod per_chunk;
mod per_item;
pub mod preflight;
mod progress;
mod run;
mod runner_lock;
mod supervisor;
mod table;
mod worker;
mod worker_pool;
pub mod worktree;

pub use background::{Launcher, free_disk};
pub use run::{Run, Work, run, work, work_here};
pub use supervisor::keep;
