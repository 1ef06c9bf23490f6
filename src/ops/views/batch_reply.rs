//! The reply of an operation that changes a batch.

use schemars::JsonSchema;
use serde::Serialize;

use super::batch::{BatchView, batch_view};
use super::few_categories::sum_others_beyond;
use super::next_call::finish_call;
use super::next_workers::next_workers;
use super::shorten::shorten_to;
use crate::error::{Code, Result};
use crate::model::id::TaskId;
use crate::ops::request::lookup::{batch_status, find_batch};
use crate::store::StoreRead;

/// The most characters of the batch's title and of the reason for its pause.
const TEXT_CHARS: usize = 40;
/// The most bytes of the batch's categories.
const CATEGORY_BYTES: usize = 80;

/// What was done to a batch, and the batch afterwards.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchReply {
    pub(in crate::ops) success: bool,
    /// Why the request was not fulfilled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) code: Option<Code>,
    /// What was done.
    pub(in crate::ops) message: String,
    batch: BatchView,
    /// The call to make next, if the batch has ended and its finish task is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The prompt for each worker to start, if workers have to be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) worker_prompt: Option<String>,
}

impl BatchReply {
    /// A success with its message, and the batch as it is now. Texts are shortened: `get_batch` shows them whole.
    pub(in crate::ops) fn new(tx: &dyn StoreRead, id: &TaskId, message: String) -> Result<Self> {
        let (task, batch) = find_batch(tx, id)?;
        let mut batch = batch_view(tx, &task, &batch)?;
        batch.title = shorten_to(batch.title, TEXT_CHARS);
        batch.paused = batch.paused.map(|why| shorten_to(why, TEXT_CHARS));
        sum_others_beyond(&mut batch.categories, CATEGORY_BYTES);
        Ok(BatchReply { success: true, code: None, message, batch, next: None, worker_prompt: None })
    }

    /// Adds which chunks are open now, and how many workers to start with which prompt.
    pub(in crate::ops) fn with_next_workers(mut self, tx: &dyn StoreRead, id: &TaskId) -> Result<Self> {
        let (task, batch) = find_batch(tx, id)?;
        if let Some(next) = next_workers(tx, &task, &batch)? {
            self.message += &next.sentence;
            self.worker_prompt = next.prompt;
        }
        if batch_status(tx, &task, &batch)?.is_over() {
            self.next = finish_call(tx, &batch)?.map(|next| next.call);
        }
        Ok(self)
    }
}
