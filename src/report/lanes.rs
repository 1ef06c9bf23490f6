//! Bars laid into lanes: a worker's beneath each other, and never two on one another, since many
//! workers may share one name.

use super::timeline::{Bar, Timeline};

/// A row of the picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane<'a> {
    /// Whose it is.
    pub(super) worker: &'a str,
    /// Whether it is the worker's first, which bears the name.
    pub(super) first: bool,
    /// Its bars, in order of time.
    pub(super) bars: Vec<&'a Bar>,
}

/// The lanes of a picture, workers in the order in which they came.
pub(super) fn lanes(timeline: &Timeline) -> Vec<Lane<'_>> {
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
            rows.into_iter().enumerate().map(move |(at, bars)| Lane { worker, first: at == 0, bars })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;

    #[test]
    fn bars_of_one_name_that_overlap_lie_beneath_each_other() {
        let bar = |worker: &str, chunk, from, to| Bar {
            worker: worker.into(),
            chunk,
            from: Timestamp::from_millis(from),
            to: Timestamp::from_millis(to),
            receipts: 1,
        };
        let timeline = Timeline {
            bars: vec![bar("a", 1, 0, 10), bar("b", 2, 5, 6), bar("a", 3, 4, 8), bar("a", 4, 8, 9)],
            cut: false,
        };
        let shown: Vec<(&str, bool, Vec<u64>)> = lanes(&timeline)
            .into_iter()
            .map(|lane| (lane.worker, lane.first, lane.bars.iter().map(|bar| bar.chunk).collect()))
            .collect();
        assert_eq!(shown, [("a", true, vec![1]), ("a", false, vec![3, 4]), ("b", true, vec![2])]);
    }
}
