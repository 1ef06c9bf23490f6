//! A poll: the reply with `since`. It stays under 1 kB whatever workers write and however many chunks change.

use serde_json::{Map, Value, json};

use super::{BatchRequest, GetBatchReply};
use crate::error::Result;
use crate::model::text::agreeing;
use crate::ops::views::chunk::{ChunkView, chunk_view};
use crate::ops::views::few_categories::sum_others_beyond;
use crate::ops::views::page_bytes::json_bytes;
use crate::ops::views::shorten::shorten_to_bytes;

/// The most bytes of a poll, with what is added at the end.
const POLL_BYTES: usize = 990;
/// Room for the note that chunks are not shown.
const NOTE_BYTES: usize = 130;
/// Room for one chunk.
const CHUNK_BYTES: usize = 150;
/// Room for the note that the batch has no runner.
const RUNNER_NOTE_BYTES: usize = 90;
/// The most chunks of a poll.
const CHUNKS: usize = 10;
/// The most bytes of a name or title.
const NAME_BYTES: usize = 44;
/// The most bytes of a worker's name.
const WORKER_BYTES: usize = 24;
/// Fields of the batch that a poll leaves out if it is too long, in this order.
const LESS_IMPORTANT: [&str; 7] =
    ["spent", "worker", "finish", "title", "paused", "per_minute", "seconds_left"];

/// Shortens the fields of a batch that people and workers name. A runner is shown only if it waits.
pub(super) fn shorten_batch(batch: &mut Map<String, Value>) {
    for name in ["title", "step", "paused", "worker"] {
        if let Some(Value::String(text)) = batch.get_mut(name) {
            *text = shorten_to_bytes(std::mem::take(text), NAME_BYTES);
        }
    }
    if batch.get("runner").is_some_and(|runner| runner.get("waits_for").is_none()) {
        batch.remove("runner");
    }
}

impl BatchRequest<'_> {
    /// Adds the chunks that got another status or worker since, as many as fit. If there are more, the reply names the call
    /// that goes on behind them.
    pub(super) fn add_changed_chunks(&self, since: u64, reply: &mut GetBatchReply) -> Result<()> {
        let changed = self.tx.children_with_status_changed_since(self.task.row, since, CHUNKS + 1)?;
        let reserve = if self.lacks_runner { RUNNER_NOTE_BYTES } else { 0 };
        let for_chunks = if changed.is_empty() { 0 } else { NOTE_BYTES + CHUNK_BYTES };
        self.shrink(reply, POLL_BYTES - reserve - for_chunks);
        let room = (POLL_BYTES - reserve - NOTE_BYTES).saturating_sub(json_bytes(reply));
        let (mut views, mut bytes, mut last) = (Vec::new(), 0, since);
        let count = changed.len();
        for (number, task) in changed.into_iter().take(CHUNKS) {
            let Some(chunk) = self.tx.chunk(&task)? else { continue };
            let view = chunk_view(self.tx, &chunk, &task)?;
            // The categories and the cost of the batch are enough.
            let worker = view.worker.map(|name| shorten_to_bytes(name, WORKER_BYTES));
            let view = ChunkView { categories: None, spent: None, worker, ..view };
            bytes += json_bytes(&view) + 1;
            if !views.is_empty() && bytes > room {
                break;
            }
            views.push(view);
            last = number;
        }
        if views.len() < count {
            let left = self.tx.count_children_with_status_changed_since(self.task.row, last)?;
            reply.message += &format!(
                "; {left} more {} changed: get_batch(id=\"{}\", since=\"{last}\") lists {}",
                agreeing(left, "chunk", "chunks"),
                self.task.id,
                agreeing(left, "it", "them")
            );
            reply.more_since = Some(last.to_string());
        }
        reply.chunks = Some(views);
        Ok(())
    }

    /// Leaves out what matters least, and names it, until a poll has at most `max` bytes.
    fn shrink(&self, reply: &mut GetBatchReply, max: usize) {
        let mut named = Vec::new();
        for name in LESS_IMPORTANT {
            if json_bytes(reply) <= max {
                return;
            }
            let Some(batch) = &mut reply.batch else { return };
            if batch.remove(name).is_some() {
                named.push(name);
                batch.insert("left_out".to_owned(), json!(named));
            }
        }
        if json_bytes(reply) <= max {
            return;
        }
        if let Some(Value::Object(categories)) =
            reply.batch.as_mut().and_then(|batch| batch.get_mut("categories"))
        {
            sum_others_beyond(categories, 0);
        }
        if json_bytes(reply) > max && reply.next.is_some() {
            reply.next = Some(format!("get_batch(id=\"{}\") says what to do next", self.task.id));
        }
    }
}
