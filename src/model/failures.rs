//! What failed in a batch. A failure counts until a retry opens it again or a person accepts it.

use super::batch::Batch;
use super::text::{agreeing, counted};

/// The items and chunks of a batch that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// Failed items.
    pub items: u64,
    /// All items.
    pub all_items: u64,
    /// Failed and blocked chunks.
    pub chunks: u64,
    /// All chunks.
    pub all_chunks: u64,
    /// Items without an outcome in a batch whose chunks have all ended: nobody will process them.
    pub not_processed: u64,
    /// Whether a person has accepted all of them.
    pub are_accepted: bool,
}

impl Failures {
    /// The failures of a batch, given how many of its chunks are failed or blocked.
    pub fn new(batch: &Batch, failed_chunks: u64) -> Self {
        let has_ended = batch.ended_chunks >= batch.chunk_count;
        let count = batch.counts.failed + failed_chunks;
        Failures {
            items: batch.counts.failed,
            all_items: batch.counts.total,
            chunks: failed_chunks,
            all_chunks: batch.chunk_count,
            not_processed: if has_ended { batch.counts.total - batch.counts.processed() } else { 0 },
            are_accepted: count > 0 && count <= batch.accepted_failures,
        }
    }

    /// Whether nothing failed.
    pub fn is_none(&self) -> bool {
        self.items == 0 && self.chunks == 0
    }

    /// How many items and chunks failed.
    pub fn count(&self) -> u64 {
        self.items + self.chunks
    }

    /// Whether something failed that nobody has retried or accepted.
    pub fn are_unresolved(&self) -> bool {
        !self.is_none() && !self.are_accepted
    }

    /// What failed, as a part of a sentence; empty if nothing did.
    pub fn summary(&self) -> String {
        let mut failed = Vec::new();
        if self.items > 0 {
            failed.push(format!("{} of {} items", self.items, self.all_items));
        }
        if self.chunks > 0 {
            failed.push(format!("{} of {} chunks", self.chunks, self.all_chunks));
        }
        if failed.is_empty() {
            return String::new();
        }
        let not_processed = match self.not_processed {
            0 => String::new(),
            count => format!(", {} {} not processed", counted(count, "item"), agreeing(count, "was", "were")),
        };
        let accepted = if self.are_accepted { " (accepted)" } else { "" };
        format!("{} failed{accepted}{not_processed}", failed.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_items_and_chunks_that_failed() {
        let check = |items: u64, chunks: u64, not_processed: u64, expected: &str| {
            let failures =
                Failures { items, all_items: 60, chunks, all_chunks: 5, not_processed, are_accepted: false };
            assert_eq!(failures.summary(), expected);
            assert_eq!(failures.is_none(), expected.is_empty());
        };
        check(0, 0, 0, "");
        check(17, 0, 0, "17 of 60 items failed");
        check(0, 2, 12, "2 of 5 chunks failed, 12 items were not processed");
        check(1, 1, 1, "1 of 60 items and 1 of 5 chunks failed, 1 item was not processed");
        let accepted = Failures {
            items: 1,
            all_items: 60,
            chunks: 0,
            all_chunks: 5,
            not_processed: 0,
            are_accepted: true,
        };
        assert_eq!(accepted.summary(), "1 of 60 items failed (accepted)");
        assert!(!accepted.are_unresolved());
    }
}
