//! Whether a history is linearizable: the search of Wing and Gong, which remembers what it has seen, as Lowe's does.

use std::collections::HashSet;
use std::hash::Hash;

/// An object that operations read and change one after the other.
pub(super) trait Object: Clone + Eq + Hash {
    /// What is asked for.
    type Call;
    /// What is answered.
    type Answer;

    /// The object after an operation; none if it would have answered something else. Without an answer, any is possible.
    fn after(&self, call: &Self::Call, answer: Option<&Self::Answer>) -> Option<Self>;
}

/// One operation of a history.
#[derive(Debug, Clone)]
pub(super) struct Operation<C, A> {
    /// When it was called.
    pub(super) called: u64,
    /// When it was answered, and the answer. Without one, the operation happens at any time after the call, or never.
    pub(super) answered: Option<(u64, A)>,
    pub(super) call: C,
}

impl<C, A> Operation<C, A> {
    fn end(&self) -> u64 {
        self.answered.as_ref().map_or(u64::MAX, |(time, _)| *time)
    }
}

/// Whether the operations may have happened one after the other, each between its call and its answer.
pub(super) fn is_linearizable<O: Object>(start: &O, history: &[Operation<O::Call, O::Answer>]) -> bool {
    let none_done = vec![false; history.len()];
    let mut seen = HashSet::from([(none_done.clone(), start.clone())]);
    let mut left = vec![(none_done, start.clone())];
    while let Some((done, object)) = left.pop() {
        let open = || history.iter().enumerate().filter(|(number, _)| !done[*number]);
        if open().all(|(_, operation)| operation.answered.is_none()) {
            return true;
        }
        // The next operation was called before any other one that is left was answered.
        let first_end = open().map(|(_, operation)| operation.end()).min().unwrap_or(u64::MAX);
        for (number, operation) in open().filter(|(_, operation)| operation.called <= first_end) {
            let answer = operation.answered.as_ref().map(|(_, answer)| answer);
            let Some(after) = object.after(&operation.call, answer) else { continue };
            let mut done = done.clone();
            done[number] = true;
            let next = (done, after);
            if seen.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    false
}
