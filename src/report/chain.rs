//! The hash chain of a task's receipts, checked as they pass.

use crate::model::receipt::{FIRST_HASH, Receipt};

/// How far a chain was followed.
pub(super) struct Chain {
    number: u64,
    head: [u8; 32],
    whole: bool,
}

impl Chain {
    /// Before the first receipt.
    pub(super) fn begin() -> Self {
        Chain { number: 0, head: FIRST_HASH, whole: true }
    }

    /// Takes the next receipt.
    pub(super) fn take(&mut self, task: &str, receipt: &Receipt, hash: [u8; 32]) {
        self.number += 1;
        self.whole &= receipt.number == self.number && receipt.hash(task, &self.head) == hash;
        self.head = hash;
    }

    /// How many receipts it took.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether every receipt was as it was written, and none is missing of so many.
    pub(super) fn is_whole(&self, receipts: u64) -> bool {
        self.whole && self.number == receipts
    }

    /// The last receipt's hash, to be compared with one that was noted elsewhere.
    pub(super) fn head(&self) -> String {
        self.head.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
