//! `control_batch`: pauses, resumes, cancels, retries or starts a batch.

mod cancel;
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
use crate::model::chunk_list::{ChunkName, chunk_names};
use crate::model::id::TaskId;
use crate::model::text::{LineText, ReceiptText};
use crate::store::ItemSelection;

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
    }
);

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ControlBatch {
    /// Batch id
    #[arg(long)]
    id: TaskId,
    /// cancel: end the batch and all claims; retry: open failed items again; start: run background workers
    #[arg(long)]
    action: BatchAction,
    /// Why; recorded
    #[arg(long)]
    reason: Option<ReceiptText>,
    /// With start: worker profile; default: the batch's
    #[arg(long)]
    worker: Option<LineText>,
    /// With retry: only these chunk ids
    #[serde(default, deserialize_with = "chunk_names")]
    #[arg(
        long,
        help = "With retry: only these chunks, by id or number, several as 1,2,5 or 1-5",
        value_delimiter = ','
    )]
    chunks: Vec<ChunkName>,
    /// With retry: only these keys
    #[serde(default)]
    #[arg(long, help = "With retry: only items with these keys", value_delimiter = ',')]
    items: Vec<LineText>,
    /// With retry: only these
    #[serde(default)]
    #[arg(long, help = "With retry: only items of these categories", value_delimiter = ',')]
    categories: Vec<LineText>,
}

impl ControlBatch {
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
        if self.action != BatchAction::Retry
            && let Some((name, _)) = given.iter().find(|(_, is_empty)| !is_empty)
        {
            return Err(Error::invalid(format!(
                "{name}: allowed with action=\"retry\" only, not with '{}'",
                self.action
            )));
        }
        Ok(selected)
    }
}

impl Operation for ControlBatch {
    const NAME: &'static str = "control_batch";
    const TITLE: &'static str = "Control a batch";
    const DESCRIPTION: &'static str = "Pause, resume, cancel, retry or start a batch.";
    const EFFECT: Effect = Effect::Destructive;
    const POSITIONAL: &'static str = "id";
    const SECOND_POSITIONAL: Option<&'static str> = Some("action");
    type Reply = BatchReply;

    fn run(self, session: &Session) -> Result<BatchReply> {
        let author = session.caller().to_owned();
        let mut note = String::new();
        if let Some(profile) = &self.worker {
            if self.action != BatchAction::Start {
                return Err(Error::invalid(format!(
                    "worker: allowed with action=\"start\" only, not with '{}'",
                    self.action
                )));
            }
            let id = self.id.clone();
            let (task, batch) = session.read(move |tx| find_batch(tx, &id))?;
            note = check_profile(session, profile, task.project.as_deref(), &batch.steps)?;
        }
        let (id, action) = (self.id.clone(), self.action);
        let mut reply = session.write(move |tx| {
            let (task, batch) = find_batch(tx, &self.id)?;
            let reason = self.reason.as_ref().and_then(ReceiptText::non_empty).unwrap_or("no reason given");
            let selected = self.selected_items()?;
            let message = match self.action {
                BatchAction::Pause => pause_batch(tx, &task, &batch, reason, &author)?,
                BatchAction::Resume => resume_batch(tx, &task, &batch, reason, &author)?,
                BatchAction::Cancel => cancel::cancel(tx, &task, reason, &author)?,
                BatchAction::Retry => {
                    retry::retry(tx, &task, &batch, reason, &author, &self.chunks, &selected)?
                }
                BatchAction::Start => start::start(tx, &task, &batch, self.worker.as_ref(), reason, &author)?,
            };
            BatchReply::new(tx, &self.id, message)
        })?;
        if action != BatchAction::Cancel && action != BatchAction::Pause {
            let (result, error) = try_start_runner(session, &id);
            reply.message += &result;
            reply.message += &note;
            // A start without a runner has not done what was requested.
            reply.code = error.filter(|_| action == BatchAction::Start);
            reply.success = reply.code.is_none();
        }
        Ok(reply)
    }
}
