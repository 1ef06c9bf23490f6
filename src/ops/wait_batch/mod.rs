//! `wait_batch`: for a client with the tasks extension a wait that a handle names; for any other client the
//! progress of the batch, as `get_batch` returns it.

pub(super) mod handle;
mod wake;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, GetBatch, GetBatchReply, Operation, Session};
use crate::error::Result;
use crate::model::id::TaskId;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct WaitBatch {
    /// Batch id
    #[arg(long)]
    id: TaskId,
}

impl Operation for WaitBatch {
    const NAME: &'static str = "wait_batch";
    const TITLE: &'static str = "Wait for a batch";
    const DESCRIPTION: &'static str =
        "Wait as an MCP task until a batch needs you; else its progress at once.";
    const EFFECT: Effect = Effect::Read;
    const POSITIONAL: &'static str = "id";
    type Reply = GetBatchReply;

    fn run(self, session: &Session) -> Result<GetBatchReply> {
        GetBatch::progress_of(self.id).run(session)
    }
}
