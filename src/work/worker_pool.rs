//! The slots that work at once, and what they share.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::background::{Starts, Turns};
use super::claim_heartbeat::ClaimHeartbeat;
use super::command_spec::Method;
use super::interrupt::Stop;
use super::log_retention;
use super::progress::Progress;
use super::supervisor::{ChildRegistry, Ended};
use super::worker::{Won, Worked, Worker, body};
use crate::error::{Code, Error, Result};
use crate::logs::{self, Stream};
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::status::Release;
use crate::model::text::Line;
use crate::ops::{ClaimTask, CompleteTask, Operation, ReleaseTask, Session, batch_state};

/// A worker that fails sooner has failed to start.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);

/// What all slots share.
pub(super) struct WorkerPool<'a> {
    pub(super) session: &'a Session,
    /// The store's file.
    pub(super) store: &'a Path,
    pub(super) method: &'a Method,
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a Stop,
    pub(super) family: ChildRegistry,
    pub(super) in_hand: ClaimHeartbeat,
    /// Whose turn it is and whether a worker may start, in the background.
    pub(super) background: Option<(&'a Turns<'a>, &'a Starts<'a>)>,
}

impl WorkerPool<'_> {
    /// Runs so many slots at once, each claiming under a name of its own, and waits for them all.
    ///
    /// # Errors
    /// The first that a slot could not go on from.
    pub(super) fn work(&self, claim: &ClaimTask, worker: &str, slots: MaxParallel) -> Result<Worked> {
        log_retention::clear(self.session);
        let (over, ended) = channel::<()>();
        std::thread::scope(|scope| {
            let keeper = scope.spawn(move || {
                self.in_hand.look_after(self.session, self.stop, self.method.stalled_after(), &ended);
            });
            let workers: Vec<_> = (1..=slots.get())
                .map(|number| {
                    let name = format!("{worker}-{number}").parse().unwrap_or(Line::known("run"));
                    let request = ClaimTask { worker: Some(name), ..claim.clone() };
                    scope.spawn(move || Worker::of(self).work(&request))
                })
                .collect();
            let mut sum = Worked::default();
            let mut first_error = None;
            for worker in workers {
                match worker.join() {
                    Ok(Ok(worked)) => {
                        sum.claimed += worked.claimed;
                        sum.failed += worked.failed;
                    }
                    Ok(Err(error)) => {
                        first_error.get_or_insert(error);
                    }
                    Err(_) => {
                        first_error.get_or_insert(Error::new(Code::Internal, "a worker of the run panicked"));
                    }
                }
            }
            drop(over);
            if keeper.join().is_err() {
                tracing::error!("the thread that renews claims panicked");
            }
            first_error.map_or(Ok(sum), Err)
        })
    }

    /// Where the output of the worker of a claim is kept.
    pub(super) fn kept_in(&self, won: &Won) -> (PathBuf, PathBuf) {
        let at = |stream| logs::place(self.session.folder(), &won.id, won.claim.attempt, stream);
        (at(Stream::Out), at(Stream::Err))
    }

    /// Whether a worker for an item failed before it could do anything: it could not be run, or no worker
    /// has ever worked here.
    pub(super) fn has_failed_to_start(&self, ended: &Ended) -> bool {
        let could_not_run = ended.signal.is_some() || matches!(ended.code, Some(126 | 127));
        let has_worked = self.background.is_none_or(|(_, starts)| starts.has_worked());
        ended.because.is_none() && ended.took < AT_ONCE && (could_not_run || !has_worked)
    }

    /// Whether the batch is to be worked by another profile from now on, or by this one read anew.
    pub(super) fn is_replaced(&self, batch: &TaskId) -> Result<bool> {
        let Some(profile) = self.method.profile() else { return Ok(false) };
        let is_old = self.background.is_some_and(|(_, starts)| starts.has_paused());
        Ok(is_old || batch_state(self.session, batch)?.worker.as_deref() != Some(profile.name.as_str()))
    }

    /// Takes note of a start that failed at once, or of one that did not.
    pub(super) fn saw_start(&self, has_failed: bool, told: impl FnOnce() -> String) -> Result<()> {
        self.background.map_or(Ok(()), |(_, starts)| starts.saw(has_failed, told))
    }

    /// Completes a chunk; gives the status it came to.
    pub(super) fn complete(&self, won: &Won) -> Result<String> {
        let (id, claim) = (won.id.clone(), Some(won.token.clone()));
        let reply = CompleteTask { id, claim, summary: None, force: false }.run(self.session)?;
        Ok(reply.task.map_or_else(|| "done".to_owned(), |task| task.status))
    }

    /// Gives a claim back as an attempt that came to nothing, with the reason on record.
    pub(super) fn release(&self, won: &Won, why: &str) -> Result<()> {
        let (id, claim) = (won.id.clone(), Some(won.token.clone()));
        ReleaseTask { id, claim, reason: Some(body(why)?), outcome: Release::Retry }.run(self.session)?;
        self.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "given back");
        Ok(())
    }
}
