//! One of the workers' places: claims, lets a worker do it, completes; again and again.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::background::Turn;
use super::claim_heartbeat::EndedFor;
use super::command_spec::WorkDir;
use super::supervisor::{Because, Ended, Launch, MARK, Report, SupervisorHandle};
use super::worker_pool::WorkerPool;
use crate::error::{Code, Error, Result};
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::text::Body;
use crate::ops::release_claim;
use crate::ops::{ClaimReply, ClaimTask, Operation, UpdateTask, batch_state, waits_for_others};

/// When a slot asks again for a chunk that waits for others.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a slot came to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Worked {
    /// Tasks or chunks that it claimed.
    pub(super) claimed: u64,
    /// Items or tasks that failed.
    pub(super) failed: u64,
}

/// A claim that a slot won.
pub(super) struct Won {
    pub(super) id: TaskId,
    pub(super) token: Token,
    pub(super) claim: ClaimReply,
}

/// What became of a worker.
pub(super) enum Came {
    /// It ended.
    ToAnEnd(Ended),
    /// It was ended before it was through, or was not begun any more.
    Off(EndedFor),
}

/// A place for a worker, with its keeper.
pub(super) struct Worker<'a> {
    pub(super) crew: &'a WorkerPool<'a>,
    keeper: Option<SupervisorHandle>,
    /// Where the chunk in hand is worked; its trade is told to the keeper before the first worker.
    ground: Option<WorkDir>,
    is_told: bool,
    turn: Option<Turn<'a>>,
    /// Whether what is begun under the claim in hand may have happened.
    pub(super) may_have_happened: bool,
}

impl<'a> Worker<'a> {
    /// An empty place.
    pub(super) fn of(crew: &'a WorkerPool<'a>) -> Self {
        Worker { crew, keeper: None, ground: None, is_told: false, turn: None, may_have_happened: false }
    }

    /// Works until nothing is left or the person stops it.
    ///
    /// # Errors
    /// What makes going on useless: a command that cannot be started, a store that cannot be written.
    pub(super) fn work(&mut self, request: &ClaimTask) -> Result<Worked> {
        let crew = self.crew;
        let mut worked = Worked::default();
        while !crew.stop.is_asked() && self.has_turn(request)? {
            let claim = match request.clone().run(crew.session) {
                Ok(claim) => claim,
                Err(error) if error.code == Code::NothingToClaim && self.waits(request)? => {
                    self.yields()?;
                    continue;
                }
                Err(error) if matches!(error.code, Code::NothingToClaim | Code::Cancelled | Code::Paused) => {
                    break;
                }
                Err(error) => return Err(error),
            };
            worked.claimed += 1;
            let id = TaskId::stored(claim.task.id.clone());
            let token = Token::stored(claim.claim.token.clone());
            let won = Won { id, token, claim };
            crew.in_hand.take(&won.id, &won.token, won.claim.claim.generation);
            let ended = self.work_claim(&won);
            crew.in_hand.let_go(&won.id);
            self.ground = None;
            match ended {
                Ok(failed) => worked.failed += failed,
                // Somebody took the chunk over: its receipts are theirs to go on from.
                Err(error) if error.code == Code::ClaimLost => {
                    crew.progress.say(&error.to_string());
                    crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "lost");
                }
                Err(error) => {
                    // Told at once: other slots may go on for hours.
                    crew.progress.say(&error.to_string());
                    let why = "the worker stopped on an error";
                    if let Err(other) = release_claim(crew.session, &won.id, &won.token, why, false) {
                        crew.progress.say(&format!("{} cannot be given back: {other}", won.id));
                    }
                    crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "given back");
                    return Err(error);
                }
            }
            self.yields()?;
        }
        Ok(worked)
    }

    /// Waits a moment where the batch has chunks that only wait for others to give a resource free.
    fn waits(&self, request: &ClaimTask) -> Result<bool> {
        let Some(batch) = &request.batch else { return Ok(false) };
        let waits = waits_for_others(self.crew.session, batch)?;
        if waits {
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(waits)
    }

    /// Waits for the right to have a worker, where others work batches of the same store; false where
    /// nothing is left to claim.
    fn has_turn(&mut self, request: &ClaimTask) -> Result<bool> {
        let crew = self.crew;
        let (Some((turns, _)), Some(batch)) = (crew.background, &request.batch) else { return Ok(true) };
        if crew.is_replaced(batch)? {
            return Ok(false);
        }
        if self.turn.is_none() {
            let is_off = || Ok(crew.stop.is_asked() || !batch_state(crew.session, batch)?.is_claimable);
            self.turn = turns.take(is_off)?;
        }
        Ok(self.turn.is_some())
    }

    /// Whether the worker's place goes to another batch that has less than its share.
    pub(super) fn yields(&mut self) -> Result<bool> {
        let yields = self.turn.as_mut().map_or(Ok(false), Turn::yields)?;
        if yields {
            self.turn = None;
        }
        Ok(yields)
    }

    /// Works what was claimed; gives how many items failed.
    fn work_claim(&mut self, won: &Won) -> Result<u64> {
        let first = won.claim.items.as_ref().and_then(|items| items.first());
        self.may_have_happened = first.is_some_and(is_in_doubt);
        if self.crew.method.is_per_chunk() {
            return self.work_chunk(won);
        }
        self.prepare(won, None, Vec::new())?;
        match &won.claim.items {
            Some(items) => self.work_items(won, items.clone()),
            None => self.work_task(won),
        }
    }

    /// Prepares the ground for the workers of a claim.
    pub(super) fn prepare(
        &mut self,
        won: &Won,
        mcp_config: Option<&Path>,
        told: Vec<(String, OsString)>,
    ) -> Result<()> {
        let crew = self.crew;
        self.is_told = false;
        match crew.method.ground(&won.id, mcp_config, told, &crew.family) {
            Ok(ground) => self.ground = Some(ground),
            Err(error) => return Err(self.not_begun(won, error)),
        }
        Ok(())
    }

    /// Gives a claim back under which no worker could be started, so that nothing of it is in doubt but what
    /// was so before. Why it could not: `claim_lost` where the claim is another's by now, for whoever has it
    /// works on the same ground, and clears it away.
    fn not_begun(&self, won: &Won, why: Error) -> Error {
        let reason = "no worker could be started";
        match release_claim(self.crew.session, &won.id, &won.token, reason, !self.may_have_happened) {
            Ok(true) => {}
            Ok(false) => return lost(won),
            Err(other) => self.crew.progress.say(&format!("{} cannot be given back: {other}", won.id)),
        }
        why
    }

    /// Completes a chunk.
    pub(super) fn complete(&self, won: &Won) -> Result<()> {
        let status = self.crew.complete(won)?;
        self.leave(won, &status)
    }

    /// Leaves a chunk that has come to a status, and clears its ground away; not where it goes on with its next
    /// step, for which somebody may have claimed it by now.
    pub(super) fn leave(&self, won: &Won, status: &str) -> Result<()> {
        self.crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, status);
        if status == Status::Active.as_str() { Ok(()) } else { self.clear(won) }
    }

    /// Clears the ground away; what is left on it is on record.
    pub(super) fn clear(&self, won: &Won) -> Result<()> {
        let crew = self.crew;
        let Some(place) = self.ground.as_ref().and_then(|ground| ground.place.as_ref()) else {
            return Ok(());
        };
        if let Some(left) = crew.method.clear(&won.id, place, &crew.family)? {
            UpdateTask::note(won.id.clone(), body(&left)?).run(crew.session)?;
        }
        Ok(())
    }

    /// Lets a worker do a job under a claim.
    ///
    /// # Errors
    /// A command that cannot be started.
    pub(super) fn run(&mut self, won: &Won, mut launch: Launch) -> Result<Came> {
        let crew = self.crew;
        if let Some(mark) = crew.family.mark() {
            launch.environment.push((MARK.to_owned(), mark.to_owned()));
        }
        if let Some((_, starts)) = crew.background {
            let turn = &mut self.turn;
            let is_off = || {
                let yields = turn.as_mut().map_or(Ok(false), Turn::yields)?;
                if yields {
                    *turn = None;
                }
                Ok(yields || crew.stop.is_asked() || crew.in_hand.is_off(&won.id))
            };
            if !starts.may_begin(is_off)? {
                return Ok(Came::Off(crew.in_hand.is_through(&won.id).unwrap_or(EndedFor::Yielded)));
            }
        }
        let mut keeper = self.told_keeper()?;
        if !self.crew.in_hand.begins(&won.id, keeper.ender()) {
            self.keeper = Some(keeper);
            return Ok(Came::Off(self.crew.in_hand.is_through(&won.id).unwrap_or(EndedFor::Lost)));
        }
        let before = std::mem::replace(&mut self.may_have_happened, true);
        let report = match keeper.run(launch) {
            Ok(report) => report,
            Err(error) => {
                // It is not used again; whatever it kept has been ended.
                tracing::warn!(%error, "a keeper was killed");
                return Ok(Came::Off(crew.in_hand.is_through(&won.id).unwrap_or(EndedFor::Orphaned)));
            }
        };
        let ended_for = self.crew.in_hand.is_through(&won.id);
        if let Report::Ended(ended) = &report
            && ended.because == Some(Because::Asked)
            && ended_for.is_none()
        {
            // Nobody here asked: the keeper itself was told to end.
            return Ok(Came::Off(EndedFor::Orphaned));
        }
        self.keeper = Some(keeper);
        match report {
            Report::NotStarted(why) => {
                self.may_have_happened = before;
                Err(self.not_begun(won, Error::invalid(format!("command: {why}"))))
            }
            Report::Ended(ended) => {
                if ended.left > 0 {
                    tracing::warn!(left = ended.left, "processes of a worker hang in the kernel");
                }
                Ok(match ended_for {
                    // One that had ended by itself just before has said its word.
                    Some(why) if ended.because.is_some() => Came::Off(why),
                    _ => Came::ToAnEnd(ended),
                })
            }
        }
    }

    /// The slot's keeper, told how workers are run; another one where it was killed meanwhile.
    fn told_keeper(&mut self) -> Result<SupervisorHandle> {
        let trade = self.ground.as_ref().map(|ground| ground.trade.clone());
        if let Some(mut keeper) = self.keeper.take() {
            match trade.clone().filter(|_| !self.is_told).map(|trade| keeper.take(trade)) {
                None | Some(Ok(())) => {
                    self.is_told = true;
                    return Ok(keeper);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "a keeper was killed while it had nothing to keep")
                }
            }
        }
        let mut keeper = SupervisorHandle::start(&self.crew.family)?;
        trade.map_or(Ok(()), |trade| keeper.take(trade))?;
        self.is_told = true;
        Ok(keeper)
    }

    /// Gives a claim back whose worker was ended before it was through.
    pub(super) fn hand_back(&self, won: &Won, why: EndedFor) -> Result<()> {
        let crew = self.crew;
        match why {
            EndedFor::Stopped => {
                let nothing = !self.may_have_happened;
                release_claim(crew.session, &won.id, &won.token, "the person stopped the run", nothing)?;
                crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "given back");
                Ok(())
            }
            EndedFor::Yielded => {
                // Its place was given up between two items.
                release_claim(
                    crew.session,
                    &won.id,
                    &won.token,
                    "it is another batch's turn, or no worker may start",
                    !self.may_have_happened,
                )?;
                crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "given back");
                Ok(())
            }
            EndedFor::Lost => Err(lost(won)),
            EndedFor::Orphaned => {
                crew.release(won, "the keeper of its worker was killed, and the worker was ended")
            }
            EndedFor::Stalled => {
                crew.release(won, "its worker wrote no receipt for too long (stalled_after_s) and was ended")
            }
        }
    }
}

fn lost(won: &Won) -> Error {
    Error::new(Code::ClaimLost, format!("{}: its claim was taken away, its worker was ended", won.id))
}

/// Whether an item that a worker is given was begun before and never settled.
pub(super) fn is_in_doubt(item: &Map<String, Value>) -> bool {
    item.contains_key("in_doubt")
}

/// A text as a receipt's.
pub(super) fn body(text: &str) -> Result<Body> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
