//! The runner: takes chunks, lets workers do them, writes the receipts.

mod background;
mod chunk;
mod command;
mod crew;
mod in_hand;
mod items;
mod keeper;
pub mod leftovers;
mod lock;
mod method;
mod old_logs;
mod progress;
pub mod ready;
mod run;
mod slot;
mod stop;
mod table;
pub mod worktree;

pub use background::{Launcher, free_disk};
pub use keeper::keep;
pub use run::{Run, Work, run, work, work_here};
