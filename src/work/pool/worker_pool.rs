//! Runs the workers of a pool, each on its own thread.

use std::sync::mpsc::channel;
use std::thread::Builder;

use super::claim_heartbeat::ClaimHeartbeat;
use super::context::WorkContext;
use super::worker::{WorkTotals, Worker};
use crate::error::{Code, Error, Result};
use crate::model::limits::MaxParallel;
use crate::model::text::LineText;
use crate::ops::ClaimTask;
use crate::work::log_retention;

/// Runs `count` workers and waits until all of them have ended. Each claims tasks by `request` under its own name,
/// which starts with `name`.
///
/// # Errors
/// The first error after which a worker could not continue.
pub(in crate::work) fn run_workers(
    context: &WorkContext<'_>,
    request: &ClaimTask,
    name: &str,
    count: MaxParallel,
) -> Result<WorkTotals> {
    log_retention::remove_old_logs(context.session);
    let (workers_running, workers_ended) = channel::<()>();
    let cannot = |error| {
        Error::internal(
            "no worker thread can be started: the limit on processes (ulimit -u, or a container's) or on memory (ulimit -v) is reached; raise it, or use fewer --workers",
            error,
        )
    };
    std::thread::scope(|scope| {
        let heartbeat = Builder::new()
            .name("heartbeat".into())
            .spawn_scoped(scope, move || ClaimHeartbeat::of(context).run(&workers_ended))
            .map_err(cannot)?;
        let mut workers = Vec::new();
        for number in 1..=count.get() {
            let name = format!("{name}-{number}").parse().unwrap_or(LineText::known("run"));
            let request = ClaimTask { worker: Some(name), ..request.clone() };
            let worker = Builder::new().name(format!("worker-{number}"));
            match worker.spawn_scoped(scope, move || Worker::new(context).run(&request)) {
                Ok(worker) => workers.push(worker),
                Err(error) if workers.is_empty() => return Err(cannot(error)),
                Err(error) => {
                    // The others do the work.
                    let started = workers.len();
                    context.progress.note(&format!("only {started} of {} workers run: {error}", count.get()));
                    break;
                }
            }
        }
        let mut totals = WorkTotals::default();
        let mut first_error = None;
        for worker in workers {
            match worker.join() {
                Ok(Ok(worked)) => {
                    totals.claimed += worked.claimed;
                    totals.failed += worked.failed;
                    totals.refusal = worked.refusal.or(totals.refusal);
                }
                Ok(Err(error)) => {
                    first_error.get_or_insert(error);
                }
                Err(_) => {
                    first_error.get_or_insert(Error::new(Code::Internal, "a worker thread panicked"));
                }
            }
        }
        // Dropping the sender ends the heartbeat.
        drop(workers_running);
        if heartbeat.join().is_err() {
            tracing::error!("the thread that renews claims panicked");
        }
        first_error.map_or(Ok(totals), Err)
    })
}
