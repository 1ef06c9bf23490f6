//! `control_batch`: pauses, resumes, cancels, retries or starts a batch, changes its number of workers, or makes a new
//! batch of what is left.

mod cancel;
mod parallel;
mod recreate;
mod retry;
mod start;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::pause::{pause_batch, resume_batch};
use super::request::lookup::find_batch;
use super::runners::start::{check_profile, try_start_runner};
use super::views::batch_reply::BatchReply;
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::chunk_names::{ChunkName, chunk_names};
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::text::{LineText, ReceiptText};
use crate::store::ItemSelection;

use parallel::{effective_number, set_max_parallel};

pub use parallel::set_batch_max_parallel;
pub use start::{assign_profile, end_pause};

word_enum!(
    /// What is done to a batch.
    BatchAction, "action" {
        /// No more chunks are claimed.
        Pause = "pause",
        /// Chunks of a paused batch can be claimed again.
        Resume = "resume",
        /// The batch ends: no more chunks are claimed, and present claims are lost.
        Cancel = "cancel",
        /// Failed items and chunks are opened again.
        Retry = "retry",
        /// A runner starts background workers.
        Start = "start",
        /// A new batch is made of what an ended one has not done.
        Recreate = "recreate",
    }
);

/// What is recorded if the request has no reason.
const NO_REASON: &str = "no reason given";

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ControlBatch {
    /// Batch id
    #[arg(long)]
    id: TaskId,
    /// cancel: end all claims; retry: reopen failed items; recreate: new batch of items not done
    #[schemars(description = "start: run the profile; recreate: new batch of items not done")]
    #[arg(long)]
    action: Option<BatchAction>,
    /// Why
    #[arg(long)]
    reason: Option<ReceiptText>,
    /// With start: profile; default: the batch's
    #[schemars(description = "With start: profile")]
    #[arg(long, help = "With start: the worker profile [default: the batch's]")]
    worker: Option<LineText>,
    /// With retry: only these
    #[schemars(description = "With retry")]
    #[serde(default, deserialize_with = "chunk_names")]
    #[arg(
        long,
        help = "With retry: only these chunks, by id or number, several as 1,2,5 or 1-5",
        value_delimiter = ','
    )]
    chunks: Vec<ChunkName>,
    /// With retry: only these keys
    #[schemars(description = "With retry")]
    #[serde(default)]
    #[arg(long, help = "With retry: only items with these keys", value_delimiter = ',')]
    items: Vec<LineText>,
    /// With retry: only these
    #[schemars(description = "With retry")]
    #[serde(default)]
    #[arg(long, help = "With retry: only items of these categories", value_delimiter = ',')]
    categories: Vec<LineText>,
    /// New limit of workers
    #[schemars(description = "Workers, 1 to 64")]
    #[arg(
        long,
        help = "How many workers may run at once from now on, with or without an action",
        allow_negative_numbers = true
    )]
    max_parallel: Option<MaxParallel>,
}

impl ControlBatch {
    /// The action, for the refusal of a parameter that belongs to another one.
    fn not_with(&self) -> String {
        self.action.map_or(String::new(), |action| format!(", not with '{action}'"))
    }

    /// Refuses a request that asks for nothing.
    fn check_is_complete(&self) -> Result<()> {
        if self.action.is_some() || self.max_parallel.is_some() {
            return Ok(());
        }
        let actions: Vec<_> = BatchAction::ALL.iter().map(|action| action.as_str()).collect();
        Err(Error::invalid(format!(
            "action: missing; allowed: {}; or pass max_parallel=...",
            actions.join(", ")
        )))
    }

    /// The items that a retry selects.
    ///
    /// # Errors
    /// `invalid_argument` if another action selects items.
    fn selected_items(&self) -> Result<ItemSelection> {
        let texts = |lines: &[LineText]| lines.iter().map(|line| line.as_str().to_owned()).collect();
        let selected = ItemSelection { categories: texts(&self.categories), keys: texts(&self.items) };
        let given = [
            ("chunks", self.chunks.is_empty()),
            ("items", self.items.is_empty()),
            ("categories", self.categories.is_empty()),
        ];
        if self.action != Some(BatchAction::Retry)
            && let Some((name, _)) = given.iter().find(|(_, is_empty)| !is_empty)
        {
            return Err(Error::invalid(format!(
                "{name}: allowed with action=\"retry\" only{}",
                self.not_with()
            )));
        }
        Ok(selected)
    }
}

impl Operation for ControlBatch {
    const NAME: &'static str = "control_batch";
    const TITLE: &'static str = "Control a batch";
    const DESCRIPTION: &'static str = "Pause, resume, cancel or retry a batch.";
    const EFFECT: Effect = Effect::Destructive;
    const POSITIONAL: &'static str = "id";
    const SECOND_POSITIONAL: Option<&'static str> = Some("action");
    type Reply = BatchReply;

    fn run(self, session: &Session) -> Result<BatchReply> {
        self.check_is_complete()?;
        let author = session.author();
        let mut note = String::new();
        let launcher = session.launcher().cloned();
        if self.action == Some(BatchAction::Recreate) {
            self.selected_items()?;
            let reason = self.reason.as_ref().and_then(ReceiptText::non_empty).unwrap_or(NO_REASON);
            return recreate::recreate(session, &self.id, reason, self.max_parallel);
        }
        if let Some(profile) = &self.worker {
            if self.action != Some(BatchAction::Start) {
                return Err(Error::invalid(format!(
                    "worker: allowed with action=\"start\" only{}",
                    self.not_with()
                )));
            }
            let id = self.id.clone();
            let (task, batch) = session.read(move |tx| find_batch(tx, &id))?;
            note = check_profile(session, profile, task.project.as_deref(), &batch.steps)?;
        }
        let (id, action) = (self.id.clone(), self.action);
        let mut reply = session.write(move |tx| {
            let (task, batch) = find_batch(tx, &self.id)?;
            let reason = self.reason.as_ref().and_then(ReceiptText::non_empty).unwrap_or(NO_REASON);
            let selected = self.selected_items()?;
            let message = match self.action {
                None | Some(BatchAction::Recreate) => None,
                Some(BatchAction::Pause) => Some(pause_batch(tx, &task, &batch, reason, &author)?),
                Some(BatchAction::Resume) => Some(resume_batch(tx, &task, &batch, reason, &author)?),
                Some(BatchAction::Cancel) => Some(cancel::cancel(tx, &task, reason, &author)?),
                Some(BatchAction::Retry) => {
                    Some(retry::retry(tx, &task, &batch, reason, &author, &self.chunks, &selected)?)
                }
                Some(BatchAction::Start) => {
                    Some(start::start(tx, &task, &batch, self.worker.as_ref(), reason, &author)?)
                }
            };
            let parallel = match self.max_parallel {
                None => None,
                Some(number) => {
                    let (task, batch) = find_batch(tx, &self.id)?;
                    set_max_parallel(tx, &task, &batch, number, reason, &author)?;
                    Some(effective_number(launcher.as_ref(), &batch, number))
                }
            };
            let message = [message, parallel].into_iter().flatten().collect::<Vec<_>>().join("; ");
            BatchReply::new(tx, &self.id, message)
        })?;
        if !matches!(action, None | Some(BatchAction::Cancel | BatchAction::Pause)) {
            let (result, error) = try_start_runner(session, &id);
            reply.message += &result;
            reply.message += &note;
            // A start without a runner has not done what was requested.
            reply.code = error.filter(|_| action == Some(BatchAction::Start));
            reply.success = reply.code.is_none();
        }
        Ok(reply)
    }
}
