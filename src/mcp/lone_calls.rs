//! Two threads for one protocol runtime.
//!
//! Passing a request to another thread and its answer back takes longer than most requests do: two wake-ups
//! of a sleeping thread are a fifth of a write and a third of a read. So the thread that runs the protocol also
//! runs a request that is alone, outside of the runtime. If such a request takes long (it waits for the write
//! lock, or for a slow disk), a second thread takes over the protocol until the request has ended, so the
//! protocol never waits longer than [`MAX_WAIT`].

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// How long the protocol waits for a request before the second thread takes over.
const MAX_WAIT: Duration = Duration::from_millis(20);
/// After so long without a request the second thread sleeps until the next one.
const IDLE: Duration = Duration::from_secs(1);

/// A request's work, with the sending of its answer.
pub(super) type Call = Box<dyn FnOnce() + Send>;

/// Sends calls to the first thread.
pub(super) type CallSender = mpsc::UnboundedSender<Call>;

/// What the first thread does next.
enum NextStep {
    RunCall(Call),
    End(Result<()>),
}

#[derive(Default)]
struct ThreadState {
    /// When the running call started; `None` while the first thread runs the protocol.
    call_start: Option<Instant>,
    /// When the last call started.
    last_call: Option<Instant>,
    /// Whether the second thread sleeps until the next call.
    is_asleep: bool,
    /// Whether the second thread runs the protocol.
    is_covering: bool,
    has_ended: bool,
}

/// What the two threads share.
#[derive(Default)]
struct Threads {
    state: Mutex<ThreadState>,
    changed: Condvar,
    returned: Notify,
}

/// Runs the protocol (`serving`, a task of the runtime) and the calls that are alone, until the protocol ends.
pub(super) fn run(
    runtime: &Runtime,
    mut calls: mpsc::UnboundedReceiver<Call>,
    mut serving: JoinHandle<Result<()>>,
) -> Result<()> {
    let threads = Threads::default();
    std::thread::scope(|scope| {
        let second = std::thread::Builder::new().name("protocol".into());
        second
            .spawn_scoped(scope, || threads.cover(runtime))
            .map_err(|error| Error::internal("the server could not be started", error))?;
        loop {
            match runtime.block_on(next_step(&mut calls, &mut serving)) {
                NextStep::RunCall(call) => {
                    threads.begin_call();
                    call();
                    threads.end_call();
                }
                NextStep::End(ended) => {
                    threads.end();
                    return ended;
                }
            }
        }
    })
}

async fn next_step(
    calls: &mut mpsc::UnboundedReceiver<Call>,
    serving: &mut JoinHandle<Result<()>>,
) -> NextStep {
    tokio::select! {
        biased;
        Some(call) = calls.recv() => NextStep::RunCall(call),
        ended = serving => {
            NextStep::End(ended.unwrap_or_else(|error| Err(Error::internal("the server ended early", error))))
        }
    }
}

impl Threads {
    fn state(&self) -> MutexGuard<'_, ThreadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first thread has left the runtime to run a call.
    fn begin_call(&self) {
        let mut state = self.state();
        let now = Instant::now();
        (state.call_start, state.last_call) = (Some(now), Some(now));
        if std::mem::take(&mut state.is_asleep) {
            self.changed.notify_one();
        }
    }

    /// The call has ended: the first thread returns to the runtime.
    fn end_call(&self) {
        let mut state = self.state();
        state.call_start = None;
        if state.is_covering {
            self.returned.notify_one();
        }
    }

    fn end(&self) {
        self.state().has_ended = true;
        self.changed.notify_one();
    }

    /// The second thread: it runs the protocol while a call takes long.
    fn cover(&self, runtime: &Runtime) {
        let mut state = self.state();
        while !state.has_ended {
            let wait = match (state.call_start, state.last_call) {
                (Some(start), _) => MAX_WAIT.saturating_sub(start.elapsed()),
                // While calls come in, this thread wakes by itself: a wake-up by each call would cost more.
                (None, Some(last)) if last.elapsed() < IDLE => MAX_WAIT,
                (None, _) => {
                    state.is_asleep = true;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            if wait > Duration::ZERO {
                let waited = self.changed.wait_timeout(state, wait);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.is_covering = true;
            drop(state);
            runtime.block_on(self.returned.notified());
            state = self.state();
            state.is_covering = false;
        }
    }
}
