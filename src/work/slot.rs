//! One of the workers' places: claims, lets a worker do it, completes; again and again.

use std::time::Duration;

use super::crew::Crew;
use super::in_hand::EndedFor;
use super::keeper::{Ended, Job, Keeper, Report};
use crate::error::{Code, Error, Result};
use crate::model::id::{TaskId, Token};
use crate::model::text::Body;
use crate::ops::{ClaimReply, ClaimTask, Operation, take_back, waits_for_others};

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
pub(super) struct Slot<'a> {
    pub(super) crew: &'a Crew<'a>,
    keeper: Option<Keeper>,
}

impl<'a> Slot<'a> {
    /// An empty place.
    pub(super) fn of(crew: &'a Crew<'a>) -> Self {
        Slot { crew, keeper: None }
    }

    /// Works until nothing is left or the person stops it.
    ///
    /// # Errors
    /// What makes going on useless: a command that cannot be started, a store that cannot be written.
    pub(super) fn work(&mut self, request: &ClaimTask) -> Result<Worked> {
        let crew = self.crew;
        let mut worked = Worked::default();
        while !crew.stop.is_asked() {
            let claim = match request.clone().run(crew.docket) {
                Ok(claim) => claim,
                Err(error) if error.code == Code::NothingToClaim && self.waits(request)? => continue,
                Err(error) if matches!(error.code, Code::NothingToClaim | Code::Cancelled | Code::Paused) => {
                    break;
                }
                Err(error) => return Err(error),
            };
            worked.claimed += 1;
            let id = TaskId::stored(claim.task.id.clone());
            let token = Token::stored(claim.claim.token.clone());
            let won = Won { id, token, claim };
            crew.in_hand.take(&won.id, &won.token);
            let ended = self.work_claim(&won);
            crew.in_hand.let_go(&won.id);
            match ended {
                Ok(failed) => worked.failed += failed,
                // Somebody took the chunk over: its receipts are theirs to go on from.
                Err(error) if error.code == Code::ClaimLost => {
                    crew.progress.say(&error.to_string());
                    crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "lost");
                }
                Err(error) => {
                    take_back(crew.docket, &won.id, &won.token, "the worker stopped on an error")?;
                    return Err(error);
                }
            }
        }
        Ok(worked)
    }

    /// Waits a moment where the batch has chunks that only wait for others to give a resource free.
    fn waits(&self, request: &ClaimTask) -> Result<bool> {
        let Some(batch) = &request.batch else { return Ok(false) };
        let waits = waits_for_others(self.crew.docket, batch)?;
        if waits {
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(waits)
    }

    /// Works what was claimed; gives how many items failed.
    fn work_claim(&mut self, won: &Won) -> Result<u64> {
        match &won.claim.items {
            Some(items) => self.work_items(won, items.clone()),
            None => self.work_task(won),
        }
    }

    /// Lets a worker do a job under a claim.
    ///
    /// # Errors
    /// A command that cannot be started, or a keeper that was killed.
    pub(super) fn run(&mut self, won: &Won, job: Job) -> Result<Came> {
        let mut keeper = match self.keeper.take() {
            Some(keeper) => keeper,
            None => Keeper::start(&self.crew.family, &self.crew.method.trade)?,
        };
        if !self.crew.in_hand.begins(&won.id, keeper.ender()) {
            self.keeper = Some(keeper);
            return Ok(Came::Off(self.crew.in_hand.is_through(&won.id).unwrap_or(EndedFor::Lost)));
        }
        // A keeper that was killed is not used again.
        let report = keeper.run(job)?;
        self.keeper = Some(keeper);
        let ended_for = self.crew.in_hand.is_through(&won.id);
        match report {
            Report::NotStarted(why) => Err(Error::invalid(format!("command: {why}"))),
            Report::Ended(ended) => {
                if ended.left > 0 {
                    tracing::warn!(left = ended.left, "processes of a worker hang in the kernel");
                }
                Ok(match ended_for {
                    Some(why) => Came::Off(why),
                    None => Came::ToAnEnd(ended),
                })
            }
        }
    }

    /// Gives a claim back whose worker was ended before it was through.
    pub(super) fn hand_back(&self, won: &Won, why: EndedFor) -> Result<()> {
        let crew = self.crew;
        match why {
            EndedFor::Stopped => {
                take_back(crew.docket, &won.id, &won.token, "the person stopped the run")?;
                crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, "given back");
                Ok(())
            }
            EndedFor::Lost => Err(Error::new(
                Code::ClaimLost,
                format!("{}: its claim was taken away, its worker was ended", won.id),
            )),
            EndedFor::Stalled => {
                crew.release(won, "its worker wrote no receipt for too long (stalled_after_s) and was ended")
            }
        }
    }
}

/// A text as a receipt's.
pub(super) fn body(text: &str) -> Result<Body> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
