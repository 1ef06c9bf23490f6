//! The command line: a command for each operation, and those that only people and scripts need.

mod backup;
mod caller;
mod command_line;
mod commands;
mod completions;
mod config;
mod connect;
mod demo;
mod doctor;
mod export;
mod heads;
mod import;
mod init;
mod input_file;
mod item_folders;
mod log_printer;
mod logs;
mod man;
mod manifest;
mod open_store;
mod package_runner;
mod positional;
mod process_setup;
mod program_name;
mod prompt;
mod reply;
mod report;
mod serve;
mod store_address;
mod store_contents;
mod store_path;
mod subcommand;
mod try_profile;
mod usage_error;
mod verify;

pub use command_line::{command, main};
