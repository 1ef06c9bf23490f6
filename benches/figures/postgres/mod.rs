//! A store in PostgreSQL, compared with bare PostgreSQL, with job queues over it, and with goals.
//!
//! Each section starts a cluster of its own in `TMPDIR`, and is skipped, by name, if PostgreSQL is not installed.

pub mod batch;
pub mod churn;
mod cluster;
pub mod delay;
mod job_queues;
mod pgbench;
pub mod service;
pub mod stored;
pub mod swarm;

/// The number of processes that work at the same time.
const PROCESSES: usize = 8;

/// A number that the caller sets by a variable.
fn number(variable: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => {
            text.parse().map_err(|_| anyhow::anyhow!("{variable} is '{text}', which is not a whole number"))
        }
    }
}
