//! Claims, receipts, releases, completions and reads by several processes while the database is killed, recorded with the times
//! at which they were called and answered. Each task behaves as if its operations had happened one after the other, each
//! between its call and its answer: its history is linearizable.
//!
//! - `checker`: whether a history is linearizable
//! - `task`: what the operations on a task do
//! - `planted`: violations that the checker has to find
//! - `recorded`: histories of real processes

mod checker;
mod planted;
mod recorded;
mod task;
