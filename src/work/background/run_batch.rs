//! The main loop of a background runner: holds the run lock, works the batch, and retries after errors that may pass.

use std::path::Path;
use std::time::{Duration, Instant};

use super::batch_pass::{BatchPass, error_may_pass};
use super::runner_mode::RunnerMode;
use super::standby_runner::StandbyRunner;
use crate::error::{Code, Error, Result};
use crate::model::author::AuthorKind;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::ops::{BatchState, Session, batch_state};
use crate::work::progress::RunProgress;
use crate::work::run_lock;
use crate::work::stop_signal::StopSignal;
use crate::work::supervisor::ChildRegistry;

/// The backoff after the first error. It doubles with each further error.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest backoff. A pass that ran longer than this resets the backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Works a batch by its profile until the batch has ended. Returns the exit code.
///
/// # Errors
/// Another process works the batch, or an error that does not pass by itself.
pub(in crate::work) fn run_batch(
    session: &Session,
    store: &Path,
    batch: &TaskId,
    mode: RunnerMode,
    progress: &RunProgress,
) -> Result<u8> {
    let session = &session.of_kind(AuthorKind::Runner);
    let stop = StopSignal::install()?;
    if mode.is_detached() {
        detach_from_parent(session)?;
    }
    // Held until this process ends in any way.
    let mut lock = match mode {
        RunnerMode::Standby => {
            let is_over = || Ok(stop.is_requested() || batch_state(session, batch)?.status.is_over());
            match run_lock::wait(session, batch, is_over)? {
                Some(lock) => lock,
                None => return Ok(exit_code(&batch_state(session, batch)?)),
            }
        }
        RunnerMode::Foreground | RunnerMode::Test | RunnerMode::Background => {
            run_lock::acquire(session, batch)?
        }
    };
    let children = ChildRegistry::new_subreaper()?;
    lock.watch(&children, &stop)?;
    let standby = StandbyRunner::new(session, store, batch, &children, mode);
    let mut backoff = FIRST_BACKOFF;
    loop {
        let started_at = Instant::now();
        let fenced = session.with_fence(lock.fence());
        let pass = BatchPass {
            session: &fenced,
            store,
            batch,
            mode,
            progress,
            stop: &stop,
            standby: &standby,
            children: &children,
        };
        match pass.run() {
            Ok(state) => {
                // The standby runner stays: it works the batch when the database can be reached again.
                lock.check()?;
                standby.stop();
                drop(lock);
                // If the batch was reopened while we held the lock, the caller assumed a live runner. Check again
                // after unlocking.
                let now = batch_state(session, batch)?;
                if !mode.is_detached() || stop.is_requested() || now.status.is_over() {
                    return Ok(exit_code(&state));
                }
                lock = match run_lock::acquire(session, batch) {
                    Ok(lock) => lock,
                    Err(error) if error.code == Code::AlreadyClaimed => return Ok(exit_code(&state)),
                    Err(error) => return Err(error),
                };
                lock.watch(&children, &stop)?;
            }
            // A full disk or a busy store may recover. If the lock's file is gone, the data folder was removed and
            // there is nothing left to work.
            Err(error)
                if mode.is_detached()
                    && !stop.is_requested()
                    && error_may_pass(&error)
                    && lock.file_exists() =>
            {
                if started_at.elapsed() > MAX_BACKOFF {
                    backoff = FIRST_BACKOFF;
                }
                progress.note(&format!("{error}; next try in {} s", backoff.as_secs()));
                std::thread::sleep(backoff);
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
            Err(error) => {
                lock.check()?;
                // As above: another process has taken over, and may die before the batch has ended.
                if error.code != Code::ClaimLost {
                    standby.stop();
                }
                return Err(error);
            }
        }
    }
}

/// Starts a session of its own, so that the end of the parent or its terminal does not end the runner.
fn detach_from_parent(session: &Session) -> Result<()> {
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "the runner already leads its session");
    }
    std::env::set_current_dir(session.folder())
        .map_err(|error| Error::internal("the data folder cannot become the current folder", error))
}

fn exit_code(state: &BatchState) -> u8 {
    u8::from(state.status != BatchStatus::Done)
}
