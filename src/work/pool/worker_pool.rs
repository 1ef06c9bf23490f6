//! Runs the workers of a pool, each on its own thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use super::claim_heartbeat::ClaimHeartbeat;
use super::context::WorkContext;
use super::stop_requests::forward_stop_requests;
use super::worker::{WorkTotals, Worker};
use crate::error::{Code, Error, Result};
use crate::model::limits::MaxParallel;
use crate::model::text::LineText;
use crate::ops::{ClaimTask, batch_max_parallel};
use crate::work::limit_remedy::limit_remedy;
use crate::work::log_retention;

/// How often the batch is read for the number of its workers.
const LIMIT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How often processes that died are looked for.
const TAKE_OVER_INTERVAL: Duration = Duration::from_secs(5);

/// The end of a worker's thread.
struct WorkerEnd {
    result: Result<WorkTotals>,
    /// Whether it ended because more workers ran than may.
    had_given_up: bool,
}

/// Runs at most `most` workers, and no more than the batch's `max_parallel` if the request names a batch, and waits until
/// all of them have ended. Each claims tasks by `request` under its own name, which starts with `name`.
///
/// # Errors
/// The first error after which a worker could not continue.
pub(in crate::work) fn run_workers(
    context: &WorkContext<'_>,
    request: &ClaimTask,
    name: &str,
    most: MaxParallel,
) -> Result<WorkTotals> {
    log_retention::remove_old_logs(context.session);
    let (workers_running, workers_ended) = channel::<()>();
    let (may_stop, stops_ended) = channel::<()>();
    std::thread::scope(|scope| {
        let stops = Builder::new()
            .name("stops".into())
            .spawn_scoped(scope, move || forward_stop_requests(context, &stops_ended))
            .map_err(cannot_start)?;
        let heartbeat = Builder::new()
            .name("heartbeat".into())
            .spawn_scoped(scope, move || ClaimHeartbeat::of(context).run(&workers_ended))
            .map_err(cannot_start)?;
        let result = WorkerPool { context, request, name }.run(scope, most);
        // Dropping the senders ends both threads.
        drop((workers_running, may_stop));
        if stops.join().is_err() {
            tracing::error!("the thread that stops workers panicked");
        }
        if heartbeat.join().is_err() {
            tracing::error!("the thread that renews claims panicked");
        }
        result
    })
}

fn cannot_start(error: std::io::Error) -> Error {
    Error::internal(format!("no worker thread can be started{}", limit_remedy(&error)), error)
}

struct WorkerPool<'a> {
    context: &'a WorkContext<'a>,
    request: &'a ClaimTask,
    name: &'a str,
}

impl<'a> WorkerPool<'a> {
    fn run<'scope>(&self, scope: &'scope Scope<'scope, '_>, most: MaxParallel) -> Result<WorkTotals>
    where
        'a: 'scope,
    {
        let slots = &self.context.slots;
        slots.reset();
        let mut most = usize::try_from(most.get()).unwrap_or(usize::MAX);
        slots.set_limit(self.limit(most)?);
        let (ends, ended) = channel();
        let (mut started, mut running) = (0, 0);
        let mut totals = WorkTotals::default();
        let mut first_error = None;
        let mut checked_at = Instant::now();
        let mut took_over_at = Instant::now();
        loop {
            while slots.take() {
                match self.start_worker(scope, started + 1, ends.clone()) {
                    Ok(()) => (started, running) = (started + 1, running + 1),
                    Err(error) => {
                        slots.worker_ended(false);
                        if started == 0 {
                            return Err(cannot_start(error));
                        }
                        // The others do the work.
                        most = running;
                        slots.set_limit(most);
                        self.context.progress.note(&format!("only {running} workers run: {error}"));
                    }
                }
            }
            if running == 0 {
                break;
            }
            if let Ok(WorkerEnd { result, had_given_up }) = ended.recv_timeout(LIMIT_CHECK_INTERVAL) {
                running -= 1;
                slots.worker_ended(had_given_up);
                match result {
                    Ok(worked) => totals.add(worked),
                    Err(error) => {
                        first_error.get_or_insert(error);
                    }
                }
            }
            if checked_at.elapsed() >= LIMIT_CHECK_INTERVAL {
                checked_at = Instant::now();
                self.follow_limit(most);
            }
            if took_over_at.elapsed() >= TAKE_OVER_INTERVAL {
                (self.context.take_over)();
                took_over_at = Instant::now();
            }
        }
        first_error.map_or(Ok(totals), Err)
    }

    /// How many workers may run now.
    fn limit(&self, most: usize) -> Result<usize> {
        let Some(batch) = &self.request.batch else { return Ok(most) };
        let of_batch = batch_max_parallel(self.context.session, batch)?;
        Ok(usize::try_from(of_batch.get()).unwrap_or(usize::MAX).min(most))
    }

    /// Follows a change of the batch's `max_parallel`.
    fn follow_limit(&self, most: usize) {
        match self.limit(most) {
            Ok(limit) => {
                if self.context.slots.set_limit(limit) {
                    self.context
                        .progress
                        .note(&format!("From now on at most {limit} workers (max_parallel)"));
                }
            }
            Err(error) => tracing::warn!(%error, "the number of workers of the batch cannot be read"),
        }
    }

    fn start_worker<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        number: usize,
        ends: Sender<WorkerEnd>,
    ) -> std::io::Result<()>
    where
        'a: 'scope,
    {
        let context = self.context;
        let name = format!("{}-{number}", self.name).parse().unwrap_or(LineText::known("run"));
        let request = ClaimTask { worker: Some(name), ..self.request.clone() };
        let run = move || {
            let mut worker = Worker::new(context);
            let result = catch_unwind(AssertUnwindSafe(|| worker.run(&request)))
                .unwrap_or_else(|_| Err(Error::new(Code::Internal, "a worker thread panicked")));
            let had_given_up = worker.has_given_up;
            // The supervisor process ends before the worker counts as ended.
            drop(worker);
            // The pool waits for all workers, so the receiver exists.
            ends.send(WorkerEnd { result, had_given_up }).ok();
        };
        Builder::new().name(format!("worker-{number}")).spawn_scoped(scope, run).map(drop)
    }
}
