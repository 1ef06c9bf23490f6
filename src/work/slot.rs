//! One of the workers: claims, runs the command for each item, writes the receipt, completes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::command::{About, Ran, Said, run};
use super::progress::Progress;
use super::stop::Stop;
use crate::error::{Code, Error, Result};
use crate::model::id::{TaskId, Token};
use crate::model::receipt::item_text;
use crate::model::status::{Outcome, Release};
use crate::model::text::{Body, Line};
use crate::ops::{
    ClaimReply, ClaimTask, CompleteTask, Docket, ItemReceipt, Operation, ReleaseTask, UpdateTask,
    open_items_page, take_back, waits_for_others,
};

/// How often an item may ask for a retry before it has failed.
const TRIES: u32 = 3;
/// When a slot asks again for a chunk that waits for others.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How often claims are renewed while their commands run.
const RENEW_EVERY: Duration = Duration::from_secs(300);

/// What all slots share.
pub(super) struct Shared<'a> {
    pub(super) docket: &'a Docket,
    pub(super) command: &'a [String],
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a Stop,
    /// The claims in hand, to be renewed.
    pub(super) held: Mutex<HashMap<TaskId, Token>>,
}

/// What a slot came to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Worked {
    /// Tasks or chunks that it claimed.
    pub(super) claimed: u64,
    /// Items or tasks that failed.
    pub(super) failed: u64,
}

/// What became of an item.
struct Settled {
    failed: bool,
    /// Whether the one after it is begun.
    next_is_begun: bool,
}

impl Shared<'_> {
    /// Works until nothing is left or the person stops it.
    ///
    /// # Errors
    /// What makes going on useless: a command that cannot be started, a store that cannot be written.
    pub(super) fn work(&self, request: &ClaimTask) -> Result<Worked> {
        let mut worked = Worked::default();
        while !self.stop.is_asked() {
            let claim = match request.clone().run(self.docket) {
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
            self.held().insert(id.clone(), token.clone());
            let ended = self.work_claim(&claim, &id, &token);
            self.held().remove(&id);
            match ended {
                Ok(failed) => worked.failed += failed,
                // Somebody took the chunk over: its receipts are theirs to go on from.
                Err(error) if error.code == Code::ClaimLost => {
                    self.progress.say(&error.to_string());
                    self.progress.chunk_ends(id.as_str(), &claim.task.title, "lost");
                }
                Err(error) => {
                    take_back(self.docket, &id, &token, "the worker stopped on an error")?;
                    return Err(error);
                }
            }
        }
        Ok(worked)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, Token>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a moment where the batch has chunks that only wait for others to give a resource free.
    fn waits(&self, request: &ClaimTask) -> Result<bool> {
        let Some(batch) = &request.batch else { return Ok(false) };
        let waits = waits_for_others(self.docket, batch)?;
        if waits {
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(waits)
    }

    /// Renews the claims in hand until `over` says that no slot works any more.
    pub(super) fn keep_alive(&self, over: &std::sync::mpsc::Receiver<()>) {
        while over.recv_timeout(RENEW_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            for (id, token) in self.held().clone() {
                if let Err(error) = UpdateTask::renewal(id.clone(), token).run(self.docket) {
                    tracing::warn!(%id, %error, "a claim could not be renewed");
                }
            }
        }
    }

    /// Works what was claimed; gives how many items failed.
    fn work_claim(&self, claim: &ClaimReply, id: &TaskId, token: &Token) -> Result<u64> {
        let Some(items) = &claim.items else { return self.work_task(claim, id, token) };
        self.progress.chunk_begins(id.as_str(), &claim.task.title, claim.items_left.unwrap_or(0));
        let batch = claim.task.parent.as_deref().unwrap_or_default();
        let mut failed = 0;
        let (mut queue, mut after) = (VecDeque::from(items.clone()), claim.next_items_after);
        while let Some(item) = queue.pop_front() {
            if let Some(last) = after.filter(|_| queue.is_empty()) {
                let (page, further) = open_items_page(self.docket, id, last)?;
                queue.extend(page);
                after = further;
            }
            let next = queue.front().map(key_of);
            let Some(settled) = self.work_item(id, token, batch, item, next)? else {
                return self.hand_back(claim, id, token, failed);
            };
            failed += u64::from(settled.failed);
            if next.is_some() && !settled.next_is_begun {
                return self.hand_back(claim, id, token, failed);
            }
        }
        let status = complete(self.docket, id, token)?;
        self.progress.chunk_ends(id.as_str(), &claim.task.title, &status);
        Ok(failed)
    }

    fn hand_back(&self, claim: &ClaimReply, id: &TaskId, token: &Token, failed: u64) -> Result<u64> {
        take_back(self.docket, id, token, "the person stopped the run")?;
        self.progress.chunk_ends(id.as_str(), &claim.task.title, "given back");
        Ok(failed)
    }

    /// Settles an item that is begun, and begins the next one in the same commit unless the person
    /// wants to stop; nothing where the person stopped it first.
    fn work_item(
        &self,
        chunk: &TaskId,
        token: &Token,
        batch: &str,
        item: Map<String, Value>,
        next: Option<&str>,
    ) -> Result<Option<Settled>> {
        let key = key_of(&item).to_owned();
        let doubt = |field: &str| item.get("in_doubt").and_then(|doubt| doubt.get(field)?.as_str());
        let in_doubt = doubt("since").zip(doubt("by"));
        let about = About { task: chunk.as_str(), batch, item: &key, in_doubt };
        let input = serde_json::to_string(&item)
            .map_err(|error| Error::internal("an item could not be written as JSON", error))?;
        let Some(said) = self.run_until_settled(&about, &input)? else { return Ok(None) };
        let Said { outcome, category, text, cost } = said;
        let text = if text.is_empty() { item_text(&key, outcome.into(), category.as_deref()) } else { text };
        let next = next.filter(|_| !self.stop.is_asked()).map(line).transpose()?;
        let next_is_begun = next.is_some();
        let receipt = ItemReceipt {
            item: line(&key)?,
            outcome,
            category: category.as_deref().map(line).transpose()?,
            body: body(&text)?,
            cost,
        };
        let request = UpdateTask::item_receipt(chunk.clone(), token.clone(), receipt, next);
        let number = request.run(self.docket)?.receipt.map_or(0, |receipt| receipt.number);
        self.progress.item(chunk.as_str(), &key, outcome.as_str(), category.as_deref(), number);
        Ok(Some(Settled { failed: outcome == Outcome::Failed, next_is_begun }))
    }

    fn run_until_settled(&self, about: &About<'_>, input: &str) -> Result<Option<Said>> {
        let mut tries = 1;
        loop {
            match run(self.command, about, input, self.stop)? {
                Ran::Settled(said) => return Ok(Some(said)),
                Ran::Stopped => return Ok(None),
                Ran::Retry(_) if self.stop.is_asked() => return Ok(None),
                Ran::Retry(text) if tries == TRIES => {
                    let text = format!("asked for a retry {TRIES} times; {text}");
                    return Ok(Some(Said { text, ..Said::failed() }));
                }
                Ran::Retry(_) => {
                    std::thread::sleep(Duration::from_millis(250) * tries);
                    tries += 1;
                }
            }
        }
    }

    /// An ordinary task: the command runs once, the task's JSON on its standard input.
    fn work_task(&self, claim: &ClaimReply, id: &TaskId, token: &Token) -> Result<u64> {
        self.progress.chunk_begins(id.as_str(), &claim.task.title, 1);
        let mut input = serde_json::to_value(&claim.task)
            .map_err(|error| Error::internal("a task could not be written as JSON", error))?;
        input["instructions"] = claim.instructions.clone().into();
        let about = About { task: id.as_str(), batch: "", item: "", in_doubt: None };
        let Some(Said { outcome, text, .. }) = self.run_until_settled(&about, &input.to_string())? else {
            return self.hand_back(claim, id, token, 0);
        };
        let failed = outcome == Outcome::Failed;
        let text = if text.is_empty() { format!("- {outcome}") } else { text };
        if failed {
            ReleaseTask {
                id: id.clone(),
                claim: Some(token.clone()),
                reason: Some(body(&text)?),
                outcome: Release::Failed,
            }
            .run(self.docket)?;
        } else {
            CompleteTask {
                id: id.clone(),
                claim: Some(token.clone()),
                summary: Some(body(&text)?),
                force: false,
            }
            .run(self.docket)?;
        }
        self.progress.chunk_ends(id.as_str(), &claim.task.title, outcome.as_str());
        Ok(u64::from(failed))
    }
}

/// Completes a chunk; gives the status it came to.
fn complete(docket: &Docket, id: &TaskId, token: &Token) -> Result<String> {
    let request = CompleteTask { id: id.clone(), claim: Some(token.clone()), summary: None, force: false };
    Ok(request.run(docket)?.task.map_or_else(|| "done".to_owned(), |task| task.status))
}

fn key_of(item: &Map<String, Value>) -> &str {
    item.get("key").and_then(Value::as_str).unwrap_or_default()
}

fn line(text: &str) -> Result<Line> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}

fn body(text: &str) -> Result<Body> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
