//! The worker pool: several workers at once, each of which claims a chunk or task, runs a command for it and
//! completes it.

mod active_claim;
mod claim_heartbeat;
mod context;
mod exit_text;
mod failure_guard;
mod held_claims;
mod item_context;
mod item_queue;
mod item_result;
mod job_files;
mod per_chunk;
mod per_item;
mod per_task;
mod process_run;
mod release;
mod retry_schedule;
mod start_pace;
mod stop_requests;
mod waiting;
mod worker;
mod worker_command;
mod worker_pool;
mod worker_slots;

pub(super) use context::WorkContext;
pub(super) use failure_guard::FailureGuard;
pub(super) use held_claims::HeldClaims;
pub(super) use job_files::{mcp_config_folder, remove_context_files, remove_mcp_configs};
pub(super) use retry_schedule::RetrySchedule;
pub(super) use start_pace::StartPace;
pub(super) use worker::WorkTotals;
pub(super) use worker_command::WorkerCommand;
pub(super) use worker_pool::run_workers;
pub(super) use worker_slots::WorkerSlots;
