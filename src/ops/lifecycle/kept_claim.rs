//! A claim that is kept under a request key, so that a worker whose reply was lost gets the same claim again.

use serde::{Deserialize, Serialize};

use super::append_receipt::renew_lease;
use crate::error::{Code, Error, Result};
use crate::model::claim_rules::{ClaimAuthority, claim_authority};
use crate::model::id::{TaskId, Token};
use crate::model::task::Task;
use crate::ops::request::idempotency::Repeatable;
use crate::store::StoreWrite;

/// A claim as it is stored under a request key.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::ops) struct KeptClaim {
    /// The claimed task.
    pub(in crate::ops) task: TaskId,
    /// The claim's token.
    pub(in crate::ops) token: Token,
    /// Whether an earlier request with the same key made the claim.
    #[serde(skip)]
    pub(in crate::ops) is_repeated: bool,
}

impl Repeatable for KeptClaim {
    fn mark_repeated(&mut self) {
        self.is_repeated = true;
    }
}

impl KeptClaim {
    /// The task under this claim. A repeated request renews the lease: its worker lives.
    ///
    /// # Errors
    /// `claim_lost` if the claim has ended since.
    pub(in crate::ops) fn task(&self, tx: &dyn StoreWrite) -> Result<Task> {
        let task = tx.task(&self.task)?;
        if !self.is_repeated {
            return Ok(task);
        }
        if claim_authority(&task, Some(&self.token), tx.now()) != ClaimAuthority::LiveToken {
            return Err(Error::new(
                Code::ClaimLost,
                format!(
                    "request_key: the claim that an earlier request with this key made, on task {}, has ended (the task is {}); choose a new key to claim again",
                    task.id, task.status
                ),
            ));
        }
        renew_lease(tx, &task)?;
        tx.task_by_row(task.row)
    }
}
