//! The commands: one for each operation, and those that only a person or a script needs.

mod args;
mod backup;
mod bar;
mod calls;
mod commands;
mod config;
mod connect;
mod decode;
mod doctor;
mod export;
mod import;
pub mod init;
mod logs;
mod manifest;
mod open;
mod prompt;
mod render;
mod report;
mod shell;
mod try_profile;
mod verify;

pub use args::main;
pub(crate) use decode::Decoder;
pub(crate) use render::safe;
