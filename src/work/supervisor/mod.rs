//! Keepers: a process beside each worker, that starts it and ends it with all that it started.
//!
//! A keeper (`tasktally keeper`) is a *subreaper*: whatever a worker leaves behind, by setsid or by
//! forking twice, becomes the keeper's child, so a worker's tree is all that descends from its
//! keeper. When the runner dies, however it dies, the keeper's standard input ends, and it ends the
//! worker and itself. When a keeper is killed, its worker becomes the runner's child, which ends it.
//! Whatever is left when both were killed is found by its mark in the environment, and by its control
//! group where the system has one for it.

#[cfg(target_os = "linux")]
mod cgroup;
mod child_process;
mod event_loop;
mod handle;
mod messages;
mod output;
mod process_tree;

pub use event_loop::keep;
pub(crate) use handle::{
    ChildRegistry, Ender, MARK, SupervisorHandle, end_strays, this_program, this_program_by_name,
};
pub(crate) use messages::{Because, CommandSpec, Ended, Launch, Report};
