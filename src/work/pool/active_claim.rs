//! The claim that a worker works under.

use crate::model::id::{TaskId, Token};
use crate::ops::{ClaimReply, ItemView};

/// The claim that a worker works under.
pub(super) struct ActiveClaim {
    pub(super) id: TaskId,
    pub(super) token: Token,
    pub(super) reply: ClaimReply,
    /// Whether the claim has marked the first open item as started.
    has_started_first: bool,
}

impl ActiveClaim {
    /// The claim in a reply of `claim_task`.
    pub(super) fn from_reply(reply: ClaimReply, has_started_first: bool) -> Self {
        let id = TaskId::stored(reply.task.id.clone());
        let token = Token::stored(reply.claim.token.clone());
        ActiveClaim { id, token, reply, has_started_first }
    }

    /// The batch, if the task is a chunk.
    pub(super) fn batch(&self) -> Option<TaskId> {
        self.reply.items.as_ref()?;
        self.reply.task.parent.clone().map(TaskId::stored)
    }

    fn first(&self) -> Option<&ItemView> {
        self.reply.items.as_ref().filter(|_| self.has_started_first)?.first()
    }

    /// The key of the first open item, if the claim has marked it as started.
    pub(super) fn first_item(&self) -> Option<&str> {
        self.first().map(|item| item.key.as_str())
    }

    /// Since when the first open item was in doubt before this claim, and which worker had started it.
    pub(super) fn first_doubt(&self) -> Option<(String, String)> {
        let doubt = self.first()?.in_doubt.as_ref()?;
        Some((doubt.since.clone(), doubt.by.clone()))
    }
}
