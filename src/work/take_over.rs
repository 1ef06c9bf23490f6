//! Takes over the work of processes that died: ends what they started and releases their claims, so that nobody waits
//! for their leases.

use std::collections::BTreeSet;

use super::background::end_previous_runner;
use super::pool::remove_context_files;
use super::process_lock;
use super::progress::RunProgress;
use super::run_lock;
use super::supervisor::kill_marked_processes;
use crate::error::{Code, Result};
use crate::model::id::{ProcessMark, TaskId};
use crate::model::text::counted;
use crate::ops::{RunnerClaim, Session, batch_state, release_claim, runner_claims};

/// The run marker of the commands that `tasktally run` starts for a batch, by which a later run finds them.
pub(super) fn run_marker(batch: &TaskId) -> String {
    format!("run-{batch}")
}

/// Takes over from `tasktally work` processes that died. Returns how many claims were released.
///
/// # Errors
/// The store cannot be read or written, or a lock cannot be read.
pub(super) fn take_over_from_workers(session: &Session, progress: &RunProgress) -> Result<usize> {
    let claims = runner_claims(session)?;
    let marks: BTreeSet<ProcessMark> = claims.iter().filter_map(|claim| claim.token.process_mark()).collect();
    let mut released = 0;
    for mark in marks {
        // Held until its claims are released, so that the process can renew neither.
        let _lease = if process_lock::has_died(session.folder(), &mark)? {
            None
        } else {
            match process_lock::take_lease(session, &mark)? {
                Some(lease) => Some(lease),
                None => continue,
            }
        };
        kill_marked_processes(&process_lock::run_marker(&mark));
        let left = claims.iter().filter(|claim| claim.token.process_mark().as_ref() == Some(&mark));
        for claim in left {
            let why = "the process that worked on it died";
            released += usize::from(release_claim(session, &claim.task, &claim.token, why, None)?);
            remove_context_files(session.folder(), &claim.task)?;
        }
        process_lock::remove(session.folder(), &mark)?;
    }
    if released > 0 {
        progress.note(&format!("Released {} of processes that died", counted(released as u64, "claim")));
    }
    Ok(released)
}

/// The same while workers run: an error is only logged.
pub(super) fn keep_taking_over(session: &Session, progress: &RunProgress) {
    if let Err(error) = take_over_from_workers(session, progress) {
        tracing::warn!(%error, "the claims of processes that died cannot be released");
    }
}

/// Takes over from every process that died and has claims: `tasktally work`, `tasktally run` and background runners.
///
/// # Errors
/// As [`take_over_from_workers`].
pub(super) fn take_over_from_all(session: &Session, progress: &RunProgress) -> Result<()> {
    take_over_from_workers(session, progress)?;
    let batches: BTreeSet<TaskId> = runner_claims(session)?.into_iter().filter_map(of_a_runner).collect();
    for batch in batches {
        // If another process holds the lock, it lives, or takes over itself.
        match run_lock::acquire(session, &batch) {
            Ok(lock) => {
                let session = &session.with_fence(lock.fence());
                kill_marked_processes(&run_marker(&batch));
                end_previous_runner(session, &batch, batch_state(session, &batch)?.row, progress)?;
            }
            Err(error) if error.code == Code::AlreadyClaimed => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The batch of a claim that the holder of its run lock made.
fn of_a_runner(claim: RunnerClaim) -> Option<TaskId> {
    claim.batch.filter(|_| claim.token.is_runner_token())
}
