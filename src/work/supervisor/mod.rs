//! Supervisor processes: one child process per worker. It starts the worker's command and ends the whole process tree.
//!
//! A supervisor process (`tasktally supervisor-process`) is a *subreaper*: the kernel makes it the parent of every
//! descendant whose own parent exits. Neither `setsid` nor a double fork leads out of its process tree.
//!
//! - If the runner dies, the standard input of its supervisor processes closes. Each one ends its worker and exits.
//! - If a supervisor process is killed, its worker becomes a child of the runner, also a subreaper, which kills it.
//! - If both are killed, the next runner finds what is left by the run marker in its environment, or by its control
//!   group if the system has one.
//!
//! `process_tree` ends a tree, `worker_process` decides when, `event_loop` is the process around both, and `handle`
//! is the runner's side.

#[cfg(target_os = "linux")]
mod cgroup;
mod child_registry;
mod event_loop;
mod handle;
mod label_guard;
mod line_reader;
mod messages;
mod output_capture;
mod process_table;
mod process_tree;
mod readiness;
mod run_marker;
mod worker_process;
mod working_dir;

pub(crate) use child_registry::ChildRegistry;
pub use event_loop::run_supervisor_process;
pub(crate) use handle::{StopHandle, SupervisorHandle};
pub(crate) use messages::{CommandSpec, LaunchSpec, ProcessExit, StartFailure, StopReason, SupervisorReport};
pub(crate) use run_marker::{RUN_MARKER_VARIABLE, kill_marked_processes};
