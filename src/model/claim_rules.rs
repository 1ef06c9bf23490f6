//! The rules of claiming: who may claim a task, and which writes a token allows.

use super::claim::Claim;
use super::id::Token;
use super::status::Status;
use super::task::Task;
use super::timestamp::Timestamp;
use crate::error::{Code, Error, Result};

/// The task after the claim of a worker that gave the name `assignee`.
#[must_use]
pub fn claimed(task: &Task, assignee: &str, claim: Claim) -> Task {
    Task {
        generation: task.generation + 1,
        status: Status::InProgress,
        assignee: Some(assignee.to_owned()),
        claim: Some(claim),
        ..task.clone()
    }
}

/// The name under which a new claim is shown, if live claims have the names `taken`: the worker's own, or with the first
/// free number after it. Workers often share a name.
pub fn distinct_name(worker: &str, taken: &[&str]) -> String {
    if !taken.contains(&worker) {
        return worker.to_owned();
    }
    let numbered = |number: usize| format!("{worker}-{number}");
    // Of so many numbers one is free.
    let free = (2..taken.len() + 3).map(numbered).find(|name| !taken.contains(&name.as_str()));
    free.unwrap_or_else(|| worker.to_owned())
}

/// How a task is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimKind {
    /// By `update_task(status="in_progress")`: without a token.
    Open,
    /// By `claim_task`: every later write must carry the token.
    Fenced,
}

/// Checks that `worker` may claim the task: the task is active or its claim has expired, its dependencies are
/// done, and it has no live claim. A live claim refuses every worker, also one of the same name.
///
/// # Errors
/// `already_claimed`, `not_ready`, `cancelled`, `claim_required` with the reason.
pub fn check_claimable(task: &Task, worker: &str, kind: ClaimKind, now: Timestamp) -> Result<()> {
    if let Some(holder) = task.live_claim(now) {
        return Err(Error::new(
            Code::AlreadyClaimed,
            format!(
                "Task already claimed by '{}' (status: {} since {}). Cannot claim for '{worker}'.",
                holder.worker, task.status, holder.claimed_at
            ),
        ));
    }
    if task.is_batch {
        return Err(Error::new(
            Code::NotReady,
            format!("Task {0} is a batch: claim its chunks with claim_task(batch=\"{0}\")", task.id),
        ));
    }
    match task.status {
        // An expired claim leaves the task in progress until the next worker claims it.
        Status::Active | Status::InProgress => {}
        Status::Cancelled => {
            return Err(Error::new(Code::Cancelled, format!("Task {} was cancelled", task.id)));
        }
        other => {
            return Err(Error::new(
                Code::NotReady,
                format!("Task {} is {other}, not active. Cannot claim for '{worker}'.", task.id),
            ));
        }
    }
    if task.hold_count > 0 {
        return Err(match task.backoff_until {
            Some(until) => Error::new(
                Code::NotReady,
                format!(
                    "Task {} can be claimed again at {until}, because its last worker gave it back; claim another task",
                    task.id
                ),
            ),
            None if task.is_chunk => Error::new(
                Code::Paused,
                format!(
                    "Task {} is a chunk of a paused batch; it can be claimed after a person has resumed the batch",
                    task.id
                ),
            ),
            None => Error::new(
                Code::NotReady,
                format!("Task {} becomes ready when the batch it finishes has ended", task.id),
            ),
        });
    }
    if task.blocker_count > 0 {
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Task {0} waits for {1} unfinished dependencies; get_task(id=\"{0}\") shows them",
                task.id, task.blocker_count
            ),
        ));
    }
    if task.is_chunk && kind == ClaimKind::Open {
        return Err(Error::new(
            Code::ClaimRequired,
            format!("Task {0} is a chunk of a batch: claim it with claim_task(id=\"{0}\")", task.id),
        ));
    }
    Ok(())
}

/// Whether a write carries the token of the live claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimAuthority {
    /// It carries the live claim's token.
    LiveToken,
    /// It carries no token.
    NoToken,
    /// It carries another token: the claim was lost.
    StaleToken,
}

/// Compares a write's token with the task's live claim.
pub fn claim_authority(task: &Task, token: Option<&Token>, now: Timestamp) -> ClaimAuthority {
    match token {
        None => ClaimAuthority::NoToken,
        Some(token) => match task.live_claim(now) {
            Some(claim) if claim.token.as_ref() == Some(token) => ClaimAuthority::LiveToken,
            _ => ClaimAuthority::StaleToken,
        },
    }
}

/// The error for a token that is not the live claim's.
pub fn claim_lost_error(task: &Task, token: &Token, now: Timestamp) -> Error {
    let was_last = task.claim.as_ref().and_then(|claim| claim.token.as_ref()) == Some(token);
    let why = if let Some(holder) = task.live_claim(now) {
        format!("'{}' holds it since {}", holder.worker, holder.claimed_at)
    } else if task.status == Status::InProgress && was_last {
        "its lease has expired".to_owned()
    } else if task.status == Status::Active {
        "it expired or was released, and nobody holds the task".to_owned()
    } else {
        format!("the task is {}", task.status)
    };
    Error::new(
        Code::ClaimLost,
        format!(
            "Your claim on task {} is lost: {why}. Stop working on it; claim_task() claims other work.",
            task.id
        ),
    )
}

/// Checks that a write with this token may change the task's state.
///
/// # Errors
/// `claim_lost` for a token that is not the live claim's; `claim_required` if the task is held under a fenced
/// claim and the write carries no token.
pub fn check_state_change(task: &Task, token: Option<&Token>, now: Timestamp) -> Result<()> {
    match (claim_authority(task, token, now), token) {
        (ClaimAuthority::StaleToken, Some(token)) => Err(claim_lost_error(task, token, now)),
        (ClaimAuthority::NoToken, _) => match task.live_claim(now) {
            Some(claim) if claim.token.is_some() => Err(Error::new(
                Code::ClaimRequired,
                format!(
                    "Task {} is claimed by '{}'. Pass the token of that claim with claim=..., or wait until {}, when the claim expires",
                    task.id, claim.worker, claim.expires_at
                ),
            )),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: Status, claim: Option<Claim>) -> Task {
        Task { status, claim, ..Task::new(at(0), "t") }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
    }

    fn held(lease: i64) -> Option<Claim> {
        Some(Claim::new("polecat", Some(Token::stored("tok".into())), at(0), lease))
    }

    #[test]
    fn workers_that_share_a_name_get_numbers() {
        assert_eq!(distinct_name("polecat", &[]), "polecat");
        assert_eq!(distinct_name("polecat", &["other"]), "polecat");
        assert_eq!(distinct_name("polecat", &["polecat"]), "polecat-2");
        assert_eq!(distinct_name("polecat", &["polecat", "polecat-2", "polecat-4"]), "polecat-3");
        assert_eq!(distinct_name("polecat", &["polecat-2"]), "polecat");
    }

    #[test]
    fn only_a_ready_task_without_a_live_claim_can_be_claimed() {
        fn check(task: Task, now: Timestamp, expected: Result<(), Code>) {
            assert_eq!(
                check_claimable(&task, "polecat", ClaimKind::Open, now).map_err(|e| e.code),
                expected,
                "{task:?}"
            );
        }
        check(task(Status::Active, None), at(0), Ok(()));
        check(task(Status::InProgress, held(60)), at(59), Err(Code::AlreadyClaimed));
        check(task(Status::InProgress, held(60)), at(60), Ok(()));
        // The clock was set back by two days: the expiry is further ahead than any lease.
        check(task(Status::InProgress, held(60)), at(-2 * 86_400), Ok(()));
        check(task(Status::Done, None), at(0), Err(Code::NotReady));
        check(task(Status::Cancelled, None), at(0), Err(Code::Cancelled));
        check(Task { blocker_count: 1, ..task(Status::Active, None) }, at(0), Err(Code::NotReady));
        check(Task { is_chunk: true, ..task(Status::Active, None) }, at(0), Err(Code::ClaimRequired));
    }

    #[test]
    fn only_the_live_claims_token_allows_state_changes() {
        let mine = Token::stored("tok".into());
        let other = Token::stored("old".into());
        let held = task(Status::InProgress, held(60));
        assert_eq!(claim_authority(&held, Some(&mine), at(10)), ClaimAuthority::LiveToken);
        assert_eq!(claim_authority(&held, Some(&other), at(10)), ClaimAuthority::StaleToken);
        assert_eq!(claim_authority(&held, Some(&mine), at(60)), ClaimAuthority::StaleToken);
        assert_eq!(claim_authority(&held, None, at(10)), ClaimAuthority::NoToken);
        assert_eq!(check_state_change(&held, None, at(10)).map_err(|e| e.code), Err(Code::ClaimRequired));
        assert!(check_state_change(&held, None, at(60)).is_ok());
    }
}
