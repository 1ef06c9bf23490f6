//! What the slots have in hand, and who looks after it while they wait for their workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::interrupt::Stop;
use super::log_retention;
use super::supervisor::Ender;
use crate::error::Result;
use crate::model::claim::{ClaimAuthority, standing};
use crate::model::id::{TaskId, Token};
use crate::ops::{Operation, Session, UpdateTask};

/// How often the store is looked at: whoever cancels a batch waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a worker may go on when its chunk is complete.
const LINGER: Duration = Duration::from_secs(30);
/// How often claims are renewed while their workers run.
const RENEW_EVERY: Duration = Duration::from_secs(300);

/// Why a worker was ended before it was through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedFor {
    /// The person stopped the run.
    Stopped,
    /// Its claim is another's, or its batch was cancelled.
    Lost,
    /// It wrote no receipt for too long.
    Stalled,
    /// Its keeper was killed.
    Orphaned,
    /// Its place is another batch's, or its profile may not start workers.
    Yielded,
}

/// A claim that a slot works under.
struct Held {
    token: Token,
    ender: Option<Ender>,
    ended_for: Option<EndedFor>,
    /// How many receipts its task had when it was last seen to write one.
    receipts: u64,
    active: Instant,
    generation: u64,
    /// When it was seen that its holder completed the task.
    completed: Option<Instant>,
}

/// The claims in hand.
#[derive(Default)]
pub(super) struct ClaimHeartbeat {
    held: Mutex<HashMap<TaskId, Held>>,
    /// Whether one was taken that was never looked at: it may have been lost before it was in hand.
    has_new: AtomicBool,
}

impl ClaimHeartbeat {
    fn held(&self) -> MutexGuard<'_, HashMap<TaskId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a claim up.
    pub(super) fn take(&self, id: &TaskId, token: &Token, generation: u64) {
        let (token, active) = (token.clone(), Instant::now());
        let held =
            Held { token, ender: None, ended_for: None, receipts: 0, active, generation, completed: None };
        self.held().insert(id.clone(), held);
        self.has_new.store(true, Ordering::SeqCst);
    }

    /// Lets a claim go.
    pub(super) fn let_go(&self, id: &TaskId) {
        self.held().remove(id);
    }

    /// Says how the worker of a claim is ended; false where it is to be ended already, and must not begin.
    pub(super) fn begins(&self, id: &TaskId, ender: Ender) -> bool {
        self.held().get_mut(id).is_some_and(|held| {
            held.ender = Some(ender);
            held.active = Instant::now();
            held.ended_for.is_none()
        })
    }

    /// Takes note that the worker of a claim has ended; gives why, where it was ended.
    pub(super) fn is_through(&self, id: &TaskId) -> Option<EndedFor> {
        self.held().get_mut(id).and_then(|held| {
            held.ender = None;
            held.ended_for
        })
    }

    /// Whether the worker of a claim is not to begin any more.
    pub(super) fn is_off(&self, id: &TaskId) -> bool {
        self.held().get(id).is_none_or(|held| held.ended_for.is_some())
    }

    fn end(&self, id: &TaskId, why: EndedFor) {
        if let Some(held) = self.held().get_mut(id)
            && held.ended_for.is_none()
        {
            held.ended_for = Some(why);
            if let Some(ender) = &held.ender {
                ender.end();
            }
        }
    }

    /// Says once more to those that are to end: who was told before its worker was started has heard nothing.
    fn end_again(&self) {
        let held = self.held();
        held.values()
            .filter(|held| held.ended_for.is_some())
            .filter_map(|held| held.ender.as_ref())
            .for_each(Ender::end);
    }

    /// Looks after what is in hand until `over` says that no slot works any more.
    pub(super) fn look_after(
        &self,
        session: &Session,
        stop: &Stop,
        stalled_after: Option<Duration>,
        over: &Receiver<()>,
    ) {
        let (mut renewed, mut seen) = (Instant::now(), None);
        while over.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if stop.is_urgent() {
                self.ids().iter().for_each(|(id, _)| self.end(id, EndedFor::Stopped));
            }
            let known = seen.filter(|_| !self.has_new.swap(false, Ordering::SeqCst));
            match self.look(session, known) {
                Ok(sequence) => seen = Some(sequence),
                Err(error) => {
                    seen = None;
                    tracing::warn!(%error, "the store cannot be looked at");
                }
            }
            if let Some(most) = stalled_after {
                self.stalled(most).iter().for_each(|id| self.end(id, EndedFor::Stalled));
            }
            self.lingering().iter().for_each(|id| self.end(id, EndedFor::Lost));
            self.end_again();
            if renewed.elapsed() >= RENEW_EVERY {
                log_retention::clear(session);
                renewed = Instant::now();
                self.renew(session);
            }
        }
    }

    fn ids(&self) -> Vec<(TaskId, Token)> {
        self.held().iter().map(|(id, held)| (id.clone(), held.token.clone())).collect()
    }

    fn stalled(&self, most: Duration) -> Vec<TaskId> {
        let held = self.held();
        let stalled = held.iter().filter(|(_, held)| held.ender.is_some() && held.active.elapsed() >= most);
        stalled.map(|(id, _)| id.clone()).collect()
    }

    /// Those who completed their task a while ago and have not ended yet.
    fn lingering(&self) -> Vec<TaskId> {
        let held = self.held();
        let over = |held: &Held| held.completed.is_some_and(|at| at.elapsed() >= LINGER);
        held.iter().filter(|(_, held)| over(held)).map(|(id, _)| id.clone()).collect()
    }

    /// Ends the workers whose claims are lost, and sees who wrote receipts, if anything has changed since
    /// the change of number `seen`.
    fn look(&self, session: &Session, seen: Option<u64>) -> Result<u64> {
        let ids = self.ids();
        let (sequence, tasks) = session.read(move |tx| {
            let sequence = tx.sequence()?;
            if seen == Some(sequence) {
                return Ok((sequence, Vec::new()));
            }
            let mut tasks = Vec::new();
            for (id, token) in ids {
                let task = tx.task(&id)?;
                let is_mine = standing(&task, Some(&token), tx.now()) == ClaimAuthority::Holder;
                let accepted = tx.chunk(&task)?.map_or(0, |chunk| chunk.accepted);
                tasks.push((id, token, is_mine, task.receipts, accepted));
            }
            Ok((sequence, tasks))
        })?;
        for (id, token, is_mine, receipts, accepted) in tasks {
            // The slot may have gone on to another claim of the same task meanwhile.
            let mut in_hand = self.held();
            let Some(held) = in_hand.get_mut(&id).filter(|held| held.token == token) else { continue };
            if held.receipts != receipts {
                (held.receipts, held.active) = (receipts, Instant::now());
            }
            // Who completed its chunk may say its last words, and commit what it did.
            let has_completed = accepted == held.generation;
            if has_completed {
                held.completed.get_or_insert_with(Instant::now);
            }
            drop(in_hand);
            if !is_mine && !has_completed {
                self.end(&id, EndedFor::Lost);
            }
        }
        Ok(sequence)
    }

    fn renew(&self, session: &Session) {
        for (id, token) in self.ids() {
            if let Err(error) = UpdateTask::renewal(id.clone(), token).run(session) {
                tracing::warn!(%id, %error, "a claim could not be renewed");
            }
        }
    }
}
