//! The runner: takes chunks, lets workers do them, writes the receipts.

mod command;
mod crew;
mod in_hand;
mod items;
mod keeper;
mod method;
mod progress;
pub mod ready;
mod run;
mod slot;
mod stop;
mod table;
pub mod worktree;

pub use keeper::keep;
pub use run::{Run, Work, run, work};
