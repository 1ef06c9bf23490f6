//! Tasktally: the task manager that a swarm of AI agents shares.
//!
//! - [`model`]: tasks, receipts, claims, batches, chunks and items, and all rules; pure functions
//! - [`items`]: item sources (JSONL, CSV, folders), read one item at a time
//! - [`store`]: durable state; the only SQL
//! - [`prompts`]: the prompts for supervisors and workers
//! - [`ops`]: the operations, one file or folder each
//! - [`mcp`]: the MCP server; its tools are the operations
//! - [`cli`]: the command line; most commands are the operations
//! - [`config`]: worker profiles and limits from the operator's file
//! - [`work`]: the runner, which starts worker commands and ends them
//! - [`logs`]: the output of workers, bounded in size
//! - [`watch`]: the progress of a batch, on a screen or as lines
//! - [`report`]: a report about a batch, as files
//! - `terminal`: escaping, tables, progress bars and colours
//! - [`clock`], [`error`], [`file_system_type`], `disk_space`, `external_sort`, `host`, `open_without_links`, `paths`, `private_files`,
//!   `private_folder`, `proc_fs`: the time, errors, kinds of file systems, free space, sorting on disk, names of the machine, paths without links,
//!   paths as people write them, files for their owner alone, a folder where others may write, and what Linux reports about
//!   processes
//!
//! `mcp`, `report`, `terminal`, `watch` and `work` depend on `ops`, `cli` on all of these; `ops` depends on `model`,
//! `prompts`, `items` and `store`; `store` depends on `model`.

#[macro_use]
pub mod model;

pub mod cli;
pub mod clock;
pub mod config;
mod disk_space;
pub mod error;
mod external_sort;
pub mod file_system_type;
mod host;
pub mod items;
pub mod logs;
pub mod mcp;
mod open_without_links;
pub mod ops;
mod paths;
mod private_files;
mod private_folder;
#[cfg(target_os = "linux")]
mod proc_fs;
pub mod prompts;
pub mod report;
pub mod store;
mod terminal;
pub mod watch;
pub mod work;
