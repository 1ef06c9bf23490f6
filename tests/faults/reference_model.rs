//! Tasks and claims in memory. The protocol model uses it as its state, and the real store is compared with it. The
//! crate's own rules decide who may do what; this file only adds what a store does: one transaction at a time, stored
//! receipts, counters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::broken_rules::Broken;
use tasktally::error::{Code, Error};
use tasktally::model::batch::{
    MAX_BACKOFF_SECONDS, SettleDecision, Settled, StoredItem, backoff_seconds, settle,
};
use tasktally::model::claim::Claim;
use tasktally::model::claim_rules::{
    ClaimAuthority, ClaimKind, check_claimable, check_state_change, claim_authority, claim_lost_error,
};
use tasktally::model::id::{TaskId, Token};
use tasktally::model::limits::{MAX_LEASE_AHEAD_SECONDS, OPEN_LEASE_SECONDS};
use tasktally::model::status::{Outcome, ReleaseOutcome, Status};
use tasktally::model::task::Task;
use tasktally::model::timestamp::Timestamp;

/// The milliseconds of a second.
pub(crate) const SECOND: i64 = 1_000;

/// The token of a claim: the generation of its task when it was won.
pub(crate) type Fence = u64;

/// A claim on a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ModelClaim {
    pub(crate) fence: Option<Fence>,
    pub(crate) since: i64,
    pub(crate) expires: i64,
    lease: i64,
}

/// The outcome of an item, its receipt, the token of its writer and the generation of the chunk at that time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SettledItem {
    pub(crate) outcome: Outcome,
    pub(crate) receipt: u64,
    pub(crate) token: Fence,
    pub(crate) generation: Fence,
}

/// A task. It is a chunk of the only batch if it has items.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) status: Status,
    pub(crate) generation: u64,
    pub(crate) claim: Option<ModelClaim>,
    pub(crate) items: Vec<Option<SettledItem>>,
    pub(crate) receipts: u64,
    pub(crate) attempts: i64,
    pub(crate) held_until: Option<i64>,
    accepted: u64,
    /// How many completions were accepted, without repeated ones.
    pub(crate) completions: u8,
}

/// A request. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Request {
    Claim { task: usize, lease: i64 },
    ClaimNext { lease: i64 },
    OpenClaim { task: usize },
    Renew { task: usize, fence: Fence },
    Note { task: usize, fence: Option<Fence> },
    Settle { task: usize, fence: Option<Fence>, item: usize, outcome: Outcome, key: Option<u32> },
    Complete { task: usize, fence: Option<Fence>, force: bool },
    Release { task: usize, fence: Option<Fence>, outcome: ReleaseOutcome },
    Cancel { task: usize, force: bool },
    CancelBatch,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Answer {
    Claimed { task: usize, generation: u64 },
    Receipt { number: u64, duplicate: bool },
    Completed { repeated: bool },
    Done,
    Refused { code: &'static str, receipt: Option<u64> },
}

/// All tasks and the current time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ReferenceModel {
    pub(crate) now: i64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) max_attempts: i64,
    pub(crate) is_cancelled: bool,
    pub(crate) broken: Broken,
    answered: BTreeMap<u32, (Request, Answer)>,
}

/// The codes that a refusal may have.
pub(crate) const CODES: [&str; 8] = [
    "already_claimed",
    "claim_lost",
    "claim_required",
    "not_ready",
    "incomplete_items",
    "conflict",
    "nothing_to_claim",
    "cancelled",
];

fn refused(error: &Error) -> Answer {
    code(error.code, None)
}

fn code(code: Code, receipt: Option<u64>) -> Answer {
    Answer::Refused { code: code.as_str(), receipt }
}

fn token(fence: Fence) -> Token {
    Token::stored(fence.to_string())
}

impl Entry {
    /// A chunk of this many items, or a task if there are none.
    pub(crate) fn new(items: usize) -> Self {
        Entry {
            status: Status::Active,
            generation: 0,
            claim: None,
            items: vec![None; items],
            receipts: 0,
            attempts: 0,
            held_until: None,
            accepted: 0,
            completions: 0,
        }
    }

    pub(crate) fn is_chunk(&self) -> bool {
        !self.items.is_empty()
    }

    fn receipt(&mut self) -> u64 {
        self.receipts += 1;
        self.receipts
    }
}

impl ReferenceModel {
    /// Tasks and chunks, by their number of items.
    pub(crate) fn new(items: &[usize], now: i64, max_attempts: i64, broken: Broken) -> Self {
        let entries = items.iter().map(|items| Entry::new(*items)).collect();
        ReferenceModel { now, entries, max_attempts, is_cancelled: false, broken, answered: BTreeMap::new() }
    }

    /// A task as the crate's rules take it.
    fn task(&self, number: usize) -> Task {
        static BLANK: LazyLock<Task> = LazyLock::new(|| Task::new(Timestamp::from_millis(0), "t"));
        let entry = &self.entries[number];
        let holds = i64::from(entry.held_until.is_some());
        let claim = entry.claim.as_ref().map(|held| Claim {
            worker: String::new(),
            token: held.fence.map(token),
            claimed_at: Timestamp::from_millis(held.since),
            expires_at: Timestamp::from_millis(match self.broken {
                Broken::EndlessLease => self.now + 1,
                Broken::FarLease => held.expires.min(self.now + MAX_LEASE_AHEAD_SECONDS * SECOND),
                _ => held.expires,
            }),
            lease_seconds: held.lease / SECOND,
        });
        Task {
            status: match (self.broken, entry.status) {
                (Broken::IgnoresStatus, Status::Done) => Status::InProgress,
                (_, status) => status,
            },
            generation: entry.generation,
            claim,
            hold_count: holds,
            backoff_until: entry.held_until.map(Timestamp::from_millis),
            blocker_count: holds,
            is_chunk: entry.is_chunk(),
            ..BLANK.clone()
        }
    }

    fn moment(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// Whether the task has a live claim now.
    pub(crate) fn is_held(&self, number: usize) -> bool {
        self.task(number).live_claim(self.moment()).is_some()
    }

    /// The token that is compared with the token of the claim.
    fn token(&self, number: usize, fence: Option<Fence>) -> Option<Token> {
        let own = self.entries[number].claim.as_ref().and_then(|held| held.fence);
        let compared = if self.broken == Broken::IgnoresToken { own.or(fence) } else { fence };
        fence.and(compared).map(token)
    }

    /// Carries out a request or refuses it.
    pub(crate) fn handle(&mut self, request: &Request) -> Answer {
        match *request {
            Request::Claim { task, lease } => {
                self.expire_leases();
                self.claim(task, lease)
            }
            Request::ClaimNext { lease } => {
                self.expire_leases();
                let free = |entry: &Entry| {
                    entry.is_chunk() && entry.status == Status::Active && entry.held_until.is_none()
                };
                match self.entries.iter().position(free) {
                    _ if self.is_cancelled => code(Code::Cancelled, None),
                    Some(task) => self.claim(task, lease),
                    None => code(Code::NothingToClaim, None),
                }
            }
            Request::OpenClaim { task } => {
                match check_claimable(&self.task(task), "w", ClaimKind::Open, self.moment()) {
                    Ok(()) => self.won(task, OPEN_LEASE_SECONDS * SECOND, ClaimKind::Open),
                    Err(error) => refused(&error),
                }
            }
            Request::Renew { task, fence } => match self.standing(task, Some(fence)) {
                ClaimAuthority::LiveToken => {
                    self.renew(task);
                    Answer::Done
                }
                _ => self.lost(task, fence, false),
            },
            Request::Note { task, fence } => match (self.standing(task, fence), fence) {
                (ClaimAuthority::StaleToken, Some(fence)) => self.lost(task, fence, true),
                (standing, _) => {
                    if standing == ClaimAuthority::LiveToken {
                        self.renew_by_receipt(task);
                    }
                    Answer::Receipt { number: self.entries[task].receipt(), duplicate: false }
                }
            },
            Request::Settle { task, fence, item, outcome, key } => {
                self.idempotent(key, *request, |reference_model| {
                    reference_model.settle(task, fence, item, outcome)
                })
            }
            Request::Complete { task, fence, force } => self.complete(task, fence, force),
            Request::Release { task, fence, outcome } => self.release(task, fence, outcome),
            Request::Cancel { task, force } => self.cancel(task, force),
            Request::CancelBatch => {
                let has_ended = |entry: &Entry| !entry.is_chunk() || entry.status.is_terminal();
                if !self.entries.iter().all(has_ended) {
                    self.is_cancelled = true;
                    let open = self.entries.iter_mut().filter(|entry| !has_ended(entry));
                    open.for_each(|entry| (entry.status, entry.held_until) = (Status::Cancelled, None));
                }
                Answer::Done
            }
        }
    }

    /// How many requests with a key were refused with their receipt kept as late.
    pub(crate) fn kept_late(&self) -> usize {
        self.answered
            .values()
            .filter(|(_, answer)| matches!(answer, Answer::Refused { receipt: Some(_), .. }))
            .count()
    }

    /// The stored response to a request with this key. Without one, carries out the request and stores the response if
    /// it left a receipt.
    fn idempotent(
        &mut self,
        key: Option<u32>,
        request: Request,
        run: impl FnOnce(&mut Self) -> Answer,
    ) -> Answer {
        let Some(key) = key.filter(|_| self.broken != Broken::ForgetsKeys) else { return run(self) };
        if let Some((first, answer)) = self.answered.get(&key) {
            return match *answer {
                _ if *first != request => code(Code::Conflict, None),
                Answer::Receipt { number, .. } => Answer::Receipt { number, duplicate: true },
                ref other => other.clone(),
            };
        }
        let answer = run(self);
        if !matches!(answer, Answer::Refused { receipt: None, .. }) {
            self.answered.insert(key, (request, answer.clone()));
        }
        answer
    }

    fn standing(&self, task: usize, fence: Option<Fence>) -> ClaimAuthority {
        claim_authority(&self.task(task), self.token(task, fence).as_ref(), self.moment())
    }

    /// The answer to a lost token. A receipt is kept as late and does not count.
    fn lost(&mut self, task: usize, fence: Fence, has_receipt: bool) -> Answer {
        let error = claim_lost_error(&self.task(task), &token(fence), self.moment());
        code(error.code, has_receipt.then(|| self.entries[task].receipt()))
    }

    fn renew(&mut self, task: usize) {
        let now = self.moment();
        self.lease_until(task, self.task(task).claim.map(|claim| claim.renewed_expiry(now)));
    }

    /// Renews the lease as a new receipt does: only if that extends it enough.
    fn renew_by_receipt(&mut self, task: usize) {
        let now = self.moment();
        self.lease_until(task, self.task(task).claim.and_then(|claim| claim.expiry_worth_renewing(now)));
    }

    fn lease_until(&mut self, task: usize, until: Option<Timestamp>) {
        if let (Some(held), Some(until)) = (&mut self.entries[task].claim, until) {
            held.expires = until.millis();
        }
    }

    /// Releases tasks whose lease has expired and ends backoffs that are over.
    fn expire_leases(&mut self) {
        for task in 0..self.entries.len() {
            let far = self.now + MAX_BACKOFF_SECONDS * SECOND;
            if self.entries[task].held_until.is_some_and(|until| until <= self.now || until > far) {
                self.entries[task].held_until = None;
            }
            if self.entries[task].status == Status::InProgress
                && (!self.is_held(task) || self.broken == Broken::NoLease)
            {
                self.release_to_queue(task);
            }
        }
    }

    fn release_to_queue(&mut self, task: usize) {
        let max_attempts = self.max_attempts;
        let entry = &mut self.entries[task];
        let has_no_attempts_left = entry.is_chunk() && entry.attempts >= max_attempts;
        entry.status = if has_no_attempts_left { Status::Failed } else { Status::Active };
        entry.receipt();
    }

    fn claim(&mut self, task: usize, lease: i64) -> Answer {
        match check_claimable(&self.task(task), "w", ClaimKind::Fenced, self.moment()) {
            Ok(()) => self.won(task, lease, ClaimKind::Fenced),
            Err(error) => refused(&error),
        }
    }

    fn won(&mut self, task: usize, lease: i64, manner: ClaimKind) -> Answer {
        let now = self.moment();
        let expires = Claim::new("w", None, now, lease / SECOND).expires_at.millis();
        let keeps = self.broken == Broken::SameGeneration && self.entries[task].generation > 0;
        let entry = &mut self.entries[task];
        entry.generation += u64::from(!keeps);
        entry.status = Status::InProgress;
        entry.attempts += i64::from(entry.is_chunk());
        let fence = (manner == ClaimKind::Fenced).then_some(entry.generation);
        entry.claim = Some(ModelClaim { fence, since: self.now, expires, lease });
        Answer::Claimed { task, generation: entry.generation }
    }

    fn settle(&mut self, task: usize, fence: Option<Fence>, item: usize, outcome: Outcome) -> Answer {
        let by = match (self.standing(task, fence), fence) {
            (ClaimAuthority::StaleToken, Some(fence)) => return self.lost(task, fence, true),
            (ClaimAuthority::LiveToken, Some(fence)) => fence,
            _ => return code(Code::ClaimRequired, None),
        };
        let stored = StoredItem {
            chunk_row: 0,
            position: 1,
            key: String::new(),
            json: "{}".to_owned(),
            settled: self.entries[task].items[item].as_ref().map(|came| Settled {
                outcome: came.outcome,
                category: None,
                receipt: came.receipt,
            }),
            step: 0,
            started: None,
        };
        match settle(&stored, outcome, &TaskId::random()) {
            Ok(SettleDecision::SameOutcome(number)) if self.broken != Broken::ForgetsKeys => {
                self.renew(task);
                Answer::Receipt { number, duplicate: true }
            }
            Err(error) => refused(&error),
            Ok(_) => {
                self.renew_by_receipt(task);
                let entry = &mut self.entries[task];
                let receipt = entry.receipt();
                entry.items[item] =
                    Some(SettledItem { outcome, receipt, token: by, generation: entry.generation });
                Answer::Receipt { number: receipt, duplicate: false }
            }
        }
    }

    fn complete(&mut self, task: usize, fence: Option<Fence>, force: bool) -> Answer {
        let seen = self.task(task);
        let brought = self.token(task, fence);
        let entry = &self.entries[task];
        let own = seen.claim.as_ref().and_then(|claim| claim.token.as_ref());
        let accepted = entry.is_chunk()
            && fence.is_some()
            && entry.accepted == entry.generation
            && entry.status != Status::InProgress;
        let is_own = fence.is_none() || brought.as_ref() == own;
        if (seen.status == Status::Done || accepted) && is_own && self.broken != Broken::IgnoresStatus {
            return Answer::Completed { repeated: true };
        }
        if let (ClaimAuthority::StaleToken, Some(fence)) = (self.standing(task, fence), fence) {
            return self.lost(task, fence, false);
        }
        if entry.status == Status::Cancelled {
            return code(Code::Cancelled, None);
        }
        if let Err(error) = check_state_change(&seen, brought.as_ref(), self.moment()) {
            return refused(&error);
        }
        if entry.is_chunk() && fence.is_none() && !force {
            return code(Code::ClaimRequired, None);
        }
        let has_open_items = entry.items.iter().any(Option::is_none);
        if has_open_items && !force {
            return code(Code::IncompleteItems, None);
        }
        let entry = &mut self.entries[task];
        if has_open_items {
            entry.receipt();
        }
        // Only the holder's own completion can be repeated by its token.
        if entry.claim.as_ref().is_some_and(|held| held.fence.is_some() && fence.is_none()) {
            entry.claim = None;
        }
        if entry.is_chunk() {
            entry.accepted = entry.generation;
        }
        (entry.status, entry.held_until) = (Status::Done, None);
        entry.completions += 1;
        Answer::Completed { repeated: false }
    }

    fn release(&mut self, task: usize, fence: Option<Fence>, outcome: ReleaseOutcome) -> Answer {
        if let (ClaimAuthority::StaleToken, Some(fence)) = (self.standing(task, fence), fence) {
            return self.lost(task, fence, false);
        }
        if self.entries[task].status != Status::InProgress {
            return code(Code::NotReady, None);
        }
        if let Err(error) =
            check_state_change(&self.task(task), self.token(task, fence).as_ref(), self.moment())
        {
            return refused(&error);
        }
        match outcome {
            ReleaseOutcome::Retry => {
                self.release_to_queue(task);
                let (now, entry) = (self.now, &mut self.entries[task]);
                if entry.is_chunk() && entry.status == Status::Active {
                    entry.held_until = Some(now + backoff_seconds(entry.attempts) * SECOND);
                }
            }
            ReleaseOutcome::Failed | ReleaseOutcome::Blocked => {
                let entry = &mut self.entries[task];
                entry.status =
                    if outcome == ReleaseOutcome::Failed { Status::Failed } else { Status::Blocked };
                entry.receipt();
            }
        }
        Answer::Done
    }

    /// Any caller may cancel a task, with `force` even while it is claimed.
    fn cancel(&mut self, task: usize, force: bool) -> Answer {
        match check_state_change(&self.task(task), None, self.moment()) {
            Err(error) if !(force && error.code == Code::ClaimRequired) => return refused(&error),
            Err(_) => drop(self.entries[task].receipt()),
            Ok(()) => {}
        }
        self.entries[task].status = Status::Cancelled;
        Answer::Done
    }
}
