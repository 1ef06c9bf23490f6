//! A worker an item: its JSON in, a receipt out. And a worker a task, where it has no items.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value};

use super::claim_heartbeat::EndedFor;
use super::item_command::{About, Ran, Said, judge};
use super::supervisor::Launch;
use super::worker::{Came, Won, Worker, body, is_in_doubt};
use crate::error::{Error, Result};
use crate::model::receipt::item_text;
use crate::model::status::{Outcome, Release};
use crate::model::text::Line;
use crate::ops::{CompleteTask, ItemReceipt, Operation, ReleaseTask, UpdateTask, open_items_page};

/// How often an item may ask for a retry before it has failed.
const TRIES: u32 = 3;
/// How long the first of them waits.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// What became of an item.
struct Settled {
    failed: bool,
    /// Why the one after it is not begun.
    ends_for: Option<EndedFor>,
}

impl Worker<'_> {
    /// Works the items of a chunk; gives how many failed.
    pub(super) fn work_items(&mut self, won: &Won, items: Vec<Map<String, Value>>) -> Result<u64> {
        let crew = self.crew;
        let (claim, id) = (&won.claim, &won.id);
        crew.progress.chunk_begins(id.as_str(), &claim.task.title, claim.items_left.unwrap_or(0));
        let mut failed = 0;
        let (mut queue, mut after) = (VecDeque::from(items), claim.next_items_after);
        while let Some(item) = queue.pop_front() {
            if let Some(last) = after.filter(|_| queue.is_empty()) {
                let (page, further) = open_items_page(crew.session, id, last)?;
                queue.extend(page);
                after = further;
            }
            let next = queue.front().map(key_of);
            match self.work_item(won, &item, next)? {
                Ok(settled) => {
                    failed += u64::from(settled.failed);
                    if let Some(why) = settled.ends_for.filter(|_| next.is_some()) {
                        self.hand_back(won, why)?;
                        return Ok(failed);
                    }
                }
                Err(why) => {
                    self.hand_back(won, why)?;
                    return Ok(failed);
                }
            }
        }
        self.complete(won)?;
        Ok(failed)
    }

    /// Settles an item that is begun, and begins the next one in the same commit unless the person
    /// wants to stop; or says why the worker was ended first.
    fn work_item(
        &mut self,
        won: &Won,
        item: &Map<String, Value>,
        next: Option<&str>,
    ) -> Result<Result<Settled, EndedFor>> {
        let crew = self.crew;
        let key = key_of(item);
        self.may_have_happened = is_in_doubt(item);
        let doubt = |field: &str| item.get("in_doubt").and_then(|doubt| doubt.get(field)?.as_str());
        let about = About {
            task: won.id.as_str(),
            batch: won.claim.task.parent.as_deref().unwrap_or_default(),
            item: key,
            in_doubt: doubt("since").zip(doubt("by")),
        };
        let input = serde_json::to_string(item)
            .map_err(|error| Error::internal("an item could not be written as JSON", error))?;
        let (said, has_failed_to_start) = match self.run_until_settled(won, &about, &input)? {
            Ok(said) => said,
            Err(why) => return Ok(Err(why)),
        };
        let Said { outcome, category, text, cost } = said;
        let text = if text.is_empty() { item_text(key, outcome.into(), category.as_deref()) } else { text };
        let ends_for = if crew.stop.is_asked() {
            Some(EndedFor::Stopped)
        } else {
            self.yields()?.then_some(EndedFor::Yielded)
        };
        let next = next.filter(|_| ends_for.is_none()).map(line).transpose()?;
        let receipt = ItemReceipt {
            item: line(key)?,
            outcome,
            category: category.as_deref().map(line).transpose()?,
            body: body(&text)?,
            cost,
        };
        let request = UpdateTask::item_receipt(won.id.clone(), won.token.clone(), receipt, next);
        let number = request.run(crew.session)?.receipt.map_or(0, |receipt| receipt.number);
        crew.saw_start(has_failed_to_start, || text)?;
        crew.progress.item(won.id.as_str(), key, outcome.as_str(), category.as_deref(), number);
        Ok(Ok(Settled { failed: outcome == Outcome::Failed, ends_for }))
    }

    /// Runs the command until it says what became of it; with that, whether it failed before it could do
    /// anything.
    fn run_until_settled(
        &mut self,
        won: &Won,
        about: &About<'_>,
        input: &str,
    ) -> Result<Result<(Said, bool), EndedFor>> {
        let crew = self.crew;
        let mut tries = 1;
        loop {
            let title =
                if about.item.is_empty() { String::new() } else { format!("── {}\n", about.item) };
            let launch = Launch {
                environment: about.environment(),
                input: input.to_owned(),
                title,
                kept_in: Some(crew.kept_in(won)),
            };
            let ended = match self.run(won, launch)? {
                Came::ToAnEnd(ended) => ended,
                Came::Off(why) => return Ok(Err(why)),
            };
            match judge(&ended, &crew.method.retry) {
                Ran::Settled(said) => {
                    let has_failed = said.outcome == Outcome::Failed && crew.has_failed_to_start(&ended);
                    return Ok(Ok((said, has_failed)));
                }
                Ran::Stopped => return Ok(Err(EndedFor::Stopped)),
                Ran::Retry(_) if crew.stop.is_asked() => return Ok(Err(EndedFor::Stopped)),
                Ran::Retry(text) if tries == TRIES => {
                    let text = format!("asked for a retry {TRIES} times; {text}");
                    return Ok(Ok((Said { text, ..Said::failed() }, false)));
                }
                Ran::Retry(_) => {
                    std::thread::sleep(TRY_AGAIN * tries);
                    tries += 1;
                }
            }
        }
    }

    /// An ordinary task: the command runs once, the task's JSON on its standard input.
    pub(super) fn work_task(&mut self, won: &Won) -> Result<u64> {
        let crew = self.crew;
        let (claim, id) = (&won.claim, &won.id);
        crew.progress.chunk_begins(id.as_str(), &claim.task.title, 1);
        let mut input = serde_json::to_value(&claim.task)
            .map_err(|error| Error::internal("a task could not be written as JSON", error))?;
        input["instructions"] = claim.instructions.clone().into();
        let about = About { task: id.as_str(), batch: "", item: "", in_doubt: None };
        let (Said { outcome, text, .. }, _) = match self.run_until_settled(won, &about, &input.to_string())? {
            Ok(said) => said,
            Err(why) => {
                self.hand_back(won, why)?;
                return Ok(0);
            }
        };
        let failed = outcome == Outcome::Failed;
        let text = if text.is_empty() { format!("- {outcome}") } else { text };
        let (id, claim) = (id.clone(), Some(won.token.clone()));
        if failed {
            let (reason, outcome) = (Some(body(&text)?), Release::Failed);
            ReleaseTask { id, claim, reason, outcome }.run(crew.session)?;
        } else {
            CompleteTask { id, claim, summary: Some(body(&text)?), force: false }.run(crew.session)?;
        }
        crew.progress.chunk_ends(won.id.as_str(), &won.claim.task.title, outcome.as_str());
        self.clear(won)?;
        Ok(u64::from(failed))
    }
}

fn key_of(item: &Map<String, Value>) -> &str {
    item.get("key").and_then(Value::as_str).unwrap_or_default()
}

fn line(text: &str) -> Result<Line> {
    text.parse().map_err(|reason: String| Error::invalid(reason))
}
