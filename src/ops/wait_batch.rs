//! `wait_batch`: the end of a batch, for clients that can wait; where it stands, for others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, GetBatch, GetBatchReply, Operation, Session};
use crate::error::Result;
use crate::model::id::TaskId;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct WaitBatch {
    /// The batch.
    #[schemars(description = "")]
    #[arg(long)]
    pub(super) id: TaskId,
}

/// The reply: what `get_batch` answers.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct WaitReply(GetBatchReply);

schema_of!(WaitReply, { "type": "object" });

impl Operation for WaitBatch {
    const NAME: &'static str = "wait_batch";
    const TITLE: &'static str = "Wait for a batch";
    const DESCRIPTION: &'static str = "get_batch, or an MCP task to wait by.";
    const EFFECT: Effect = Effect::Read;
    const FIRST: &'static str = "id";
    type Reply = WaitReply;

    fn run(self, session: &Session) -> Result<WaitReply> {
        GetBatch::progress_of(self.id).run(session).map(WaitReply)
    }
}
