//! The claim that a worker works under.

use crate::model::id::{TaskId, Token};
use crate::ops::ClaimReply;

/// The claim that a worker works under.
pub(super) struct ActiveClaim {
    pub(super) id: TaskId,
    pub(super) token: Token,
    pub(super) reply: ClaimReply,
}

impl ActiveClaim {
    /// The claim in a reply of `claim_task`.
    pub(super) fn from_reply(reply: ClaimReply) -> Self {
        let id = TaskId::stored(reply.task.id.clone());
        let token = Token::stored(reply.claim.token.clone());
        ActiveClaim { id, token, reply }
    }
}
