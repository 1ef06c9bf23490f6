//! The worker pool: several workers at once, each of which claims a chunk or task, runs a command for it and
//! completes it.

mod active_claim;
mod claim_heartbeat;
mod context;
mod exit_text;
mod held_claims;
mod item_environment;
mod item_result;
mod mcp_config;
mod per_chunk;
mod per_item;
mod process_run;
mod release;
mod worker;
mod worker_command;
mod worker_pool;

pub(super) use context::WorkContext;
pub(super) use held_claims::HeldClaims;
pub(super) use mcp_config::{mcp_config_folder, remove_mcp_configs};
pub(super) use worker::WorkTotals;
pub(super) use worker_command::WorkerCommand;
pub(super) use worker_pool::run_workers;
