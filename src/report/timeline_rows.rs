//! The rows of the timeline. Each worker has a row; overlapping bars get further rows, because several workers
//! may share a name.

use super::timeline::{Bar, Timeline};

/// A row of the timeline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TimelineRow<'a> {
    /// The worker's name.
    pub(super) worker: &'a str,
    /// Whether this is the worker's first row, which shows the name.
    pub(super) is_first: bool,
    /// The bars in order of time, without overlaps.
    pub(super) bars: Vec<&'a Bar>,
}

/// The rows of a timeline, with the workers in order of their first bar.
pub(super) fn timeline_rows(timeline: &Timeline) -> Vec<TimelineRow<'_>> {
    let mut bars: Vec<&Bar> = timeline.bars.iter().collect();
    bars.sort_by_key(|bar| (bar.from, bar.chunk));
    let mut workers: Vec<(&str, Vec<Vec<&Bar>>)> = Vec::new();
    for bar in bars {
        let at = workers.iter().position(|(worker, _)| *worker == bar.worker).unwrap_or_else(|| {
            workers.push((&bar.worker, Vec::new()));
            workers.len() - 1
        });
        let rows = &mut workers[at].1;
        match rows.iter_mut().find(|row| row.last().is_none_or(|last| last.to <= bar.from)) {
            Some(row) => row.push(bar),
            None => rows.push(vec![bar]),
        }
    }
    workers
        .into_iter()
        .flat_map(|(worker, rows)| {
            rows.into_iter().enumerate().map(move |(at, bars)| TimelineRow {
                worker,
                is_first: at == 0,
                bars,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;

    #[test]
    fn overlapping_bars_of_one_worker_get_separate_rows() {
        let bar = |worker: &str, chunk, from, to| Bar {
            worker: worker.into(),
            chunk,
            from: Timestamp::from_millis(from),
            to: Timestamp::from_millis(to),
            receipts: 1,
        };
        let timeline = Timeline {
            bars: vec![bar("a", 1, 0, 10), bar("b", 2, 5, 6), bar("a", 3, 4, 8), bar("a", 4, 8, 9)],
            is_truncated: false,
        };
        let shown: Vec<(&str, bool, Vec<u64>)> = timeline_rows(&timeline)
            .into_iter()
            .map(|row| (row.worker, row.is_first, row.bars.iter().map(|bar| bar.chunk).collect()))
            .collect();
        assert_eq!(shown, [("a", true, vec![1]), ("a", false, vec![3, 4]), ("b", true, vec![2])]);
    }
}
