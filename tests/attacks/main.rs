//! Attacks that once succeeded. Each is told as it was carried out, by an agent, a repository, another user or whoever can
//! write to the store's file, and has to fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod authors;
mod folders;
mod hidden_text;
mod imports;
mod inherited;
mod items;
mod log_files;
mod programs;
mod repository;
mod resources;
mod sandbox;
mod sandbox_links;
mod scopes;
mod store_file;
mod terminal;
mod texts;
mod waits;
mod working_dir;
