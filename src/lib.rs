//! Tasktally: the task manager that a swarm of AI agents shares.
//!
//! - [`model`]: what a task, receipt, claim, batch is; every rule, pure
//! - [`items`]: items, read one at a time from where they lie
//! - [`store`]: durable state; the only SQL
//! - [`prompts`]: what agents are told
//! - [`ops`]: an operation a file, over the store
//! - [`mcp`]: the protocol, made from the operations
//! - [`config`]: the operator's worker profiles and limits
//! - [`cli`]: the commands, made from the same operations
//! - [`logs`]: what workers printed, bounded in size
//! - [`report`]: a batch's audit as files
//! - `terminal`: escaped text, tables, progress bars and colours
//! - [`watch`]: a batch as it is worked, on a screen or as lines
//! - [`work`]: the runner of worker commands
//!
//! `mcp`, `cli`, `report`, `watch` and `work` know `ops`; `ops` knows `model`, `prompts`, `items` and `store`; `store` knows `model`.

#[macro_use]
pub mod model;

pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
mod external_sort;
pub mod file_system;
pub mod items;
pub mod logs;
pub mod mcp;
pub mod ops;
pub mod prompts;
pub mod report;
pub mod store;
mod terminal;
pub mod watch;
pub mod work;
