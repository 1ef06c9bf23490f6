//! The status that an update sets: an open claim, a completion, or any other status.

use super::UpdateTask;
use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::claim::Claim;
use crate::model::claim_rules::{
    ClaimAuthority, ClaimKind, check_claimable, check_state_change, claim_authority, claimed,
};
use crate::model::limits::OPEN_LEASE_SECONDS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::lifecycle::append_receipt::renew_lease;
use crate::ops::lifecycle::complete::complete;
use crate::ops::lifecycle::transition::change_state;
use crate::store::{NewReceipt, StoreWrite};

impl UpdateTask {
    /// Changes the status, if the request may.
    pub(super) fn change_status(
        &self,
        tx: &dyn StoreWrite,
        task: &Task,
        status: Status,
        author: &Author,
    ) -> Result<()> {
        match status {
            Status::InProgress => self.claim_openly(tx, task, author),
            Status::Done => complete(tx, task, self.claim.as_ref(), None, self.force, author).map(|_| ()),
            _ if task.is_batch => Err(Error::invalid(format!(
                "status: '{status}' cannot be set, a batch's status follows from its chunks; control_batch(id=\"{}\", action=\"cancel\") cancels it",
                task.id
            ))),
            _ if task.is_chunk => Err(Error::invalid(format!(
                "status: '{status}' cannot be set, the status of chunk {} changes only by claim_task(), complete_task() and release_task()",
                task.id
            ))),
            _ => self.set_status(tx, task, status, author),
        }
    }

    /// Claims a task without a token, or renews the lease of the holder's claim.
    fn claim_openly(&self, tx: &dyn StoreWrite, task: &Task, author: &Author) -> Result<()> {
        let now = tx.now();
        if claim_authority(task, self.claim.as_ref(), now) == ClaimAuthority::LiveToken {
            return renew_lease(tx, task);
        }
        check_claimable(task, author.name(), ClaimKind::Open, now)?;
        let claim = Claim::new(author.name(), None, now, OPEN_LEASE_SECONDS);
        let after = claimed(task, author.name(), claim);
        change_state(tx, task, &after).map(|_| ())
    }

    /// Sets a status that neither claims nor completes. `force` overrides a fenced claim and is recorded.
    fn set_status(&self, tx: &dyn StoreWrite, task: &Task, status: Status, author: &Author) -> Result<()> {
        match (check_state_change(task, self.claim.as_ref(), tx.now()), self.force) {
            (Err(error), true) if error.code == Code::ClaimRequired => {
                let text =
                    format!("'{author}' set the status to {status} by force while the task was claimed.");
                tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
            }
            (Err(error), _) => return Err(error),
            (Ok(()), _) => {}
        }
        let mut after = task.clone();
        after.status = status;
        if task.status == Status::InProgress && self.assignee.is_none() && status == Status::Active {
            after.assignee = None;
        }
        change_state(tx, task, &after).map(|_| ())
    }
}
