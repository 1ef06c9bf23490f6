//! Which worker worked on which chunk when, according to the receipts.

use crate::model::receipt::Receipt;
use crate::model::timestamp::Timestamp;

/// The most bars that are drawn: a chart with more is unreadable.
pub(super) const MOST_BARS: usize = 400;

/// Consecutive receipts of one worker in one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) worker: String,
    /// The chunk's number.
    pub(super) chunk: u64,
    /// The time of the first receipt.
    pub(super) from: Timestamp,
    /// The time of the last receipt.
    pub(super) to: Timestamp,
    pub(super) receipts: u64,
}

/// The bars of a batch, by chunk and time.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) bars: Vec<Bar>,
    /// Whether there are more bars than are drawn.
    pub(super) is_truncated: bool,
}

impl Timeline {
    /// Adds the next receipt of a chunk. Consecutive receipts by one author make one bar.
    pub(super) fn add(&mut self, chunk: u64, receipt: &Receipt) {
        if let Some(last) = self.bars.last_mut()
            && last.chunk == chunk
            && last.worker == receipt.author
        {
            last.to = last.to.max(receipt.at);
            last.receipts += 1;
        } else if self.bars.len() < MOST_BARS {
            self.bars.push(Bar {
                worker: receipt.author.clone(),
                chunk,
                from: receipt.at,
                to: receipt.at,
                receipts: 1,
            });
        } else {
            self.is_truncated = true;
        }
    }

    /// The times of the first and the last receipt, if there are receipts.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let from = self.bars.iter().map(|bar| bar.from).min()?;
        let to = self.bars.iter().map(|bar| bar.to).max()?;
        Some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(author: &str, at: i64) -> Receipt {
        Receipt {
            number: 1,
            at: Timestamp::from_millis(at),
            author: author.into(),
            author_kind: None,
            text: String::new(),
            item: None,
            outcome: None,
            category: None,
            late: false,
            step: None,
            cost: crate::model::cost::Cost::default(),
            decision: None,
        }
    }

    #[test]
    fn consecutive_receipts_of_one_worker_are_one_bar() {
        let mut timeline = Timeline::default();
        for (chunk, author, at) in [(1, "a", 10), (1, "a", 30), (1, "b", 40), (1, "a", 50), (2, "a", 60)] {
            timeline.add(chunk, &receipt(author, at));
        }
        let bars: Vec<_> = timeline
            .bars
            .iter()
            .map(|bar| (bar.chunk, bar.worker.as_str(), bar.from.millis(), bar.to.millis(), bar.receipts))
            .collect();
        assert_eq!(
            bars,
            [(1, "a", 10, 30, 2), (1, "b", 40, 40, 1), (1, "a", 50, 50, 1), (2, "a", 60, 60, 1)]
        );
        assert_eq!(timeline.span(), Some((Timestamp::from_millis(10), Timestamp::from_millis(60))));
    }

    #[test]
    fn a_timeline_is_truncated_at_its_limit() {
        let mut timeline = Timeline::default();
        for chunk in 0..MOST_BARS as u64 + 5 {
            timeline.add(chunk, &receipt("a", 1));
        }
        assert_eq!(timeline.bars.len(), MOST_BARS);
        assert!(timeline.is_truncated);
    }
}
