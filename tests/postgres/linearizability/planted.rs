//! Violations that the checker has to find, and histories in which it must find none.

use super::checker::{Object, Operation, is_linearizable};
use super::task::{Answer, Call, Seen, Task, TaskOperation};
use crate::support::rng::Rng;

/// An operation with an answer.
fn op(called: u64, answered: u64, call: Call, answer: Answer) -> TaskOperation {
    Operation { called, answered: Some((answered, answer)), call }
}

/// An operation whose answer was lost.
fn lost(called: u64, call: Call) -> TaskOperation {
    Operation { called, answered: None, call }
}

fn won(token: &str) -> Answer {
    Answer::Won(token.to_owned())
}

fn append(token: &str) -> Call {
    Call::Append(token.to_owned())
}

fn complete(token: &str) -> Call {
    Call::Complete(token.to_owned())
}

fn release(token: &str) -> Call {
    Call::Release(token.to_owned())
}

#[track_caller]
fn check(expected: bool, history: &[TaskOperation]) {
    assert_eq!(is_linearizable(&Task::default(), history), expected, "{history:#?}");
}

#[test]
fn a_double_claim_is_found() {
    check(false, &[op(1, 2, Call::Claim, won("a")), op(3, 4, Call::Claim, won("b"))]);
    check(false, &[op(1, 4, Call::Claim, won("a")), op(2, 3, Call::Claim, won("b"))]);
    // The release comes too late.
    let released = op(5, 6, release("a"), Answer::Ended);
    check(false, &[op(1, 2, Call::Claim, won("a")), op(3, 4, Call::Claim, won("b")), released.clone()]);
    check(true, &[op(1, 2, Call::Claim, won("a")), op(3, 6, Call::Claim, won("b")), released]);
    let refused = op(2, 3, Call::Claim, Answer::NotWon(Seen::Held));
    check(true, &[op(1, 4, Call::Claim, won("a")), refused.clone()]);
    check(false, &[refused]);
}

#[test]
fn a_lost_completion_is_found() {
    let start = [op(1, 2, Call::Claim, won("a")), op(3, 4, complete("a"), Answer::Ended)];
    let then = |last: TaskOperation| [start.as_slice(), &[last]].concat();
    check(true, &then(op(5, 6, Call::Read, Answer::Saw(Seen::Done, 0))));
    check(false, &then(op(5, 6, Call::Read, Answer::Saw(Seen::Ready, 0))));
    check(false, &then(op(5, 6, Call::Read, Answer::Saw(Seen::Held, 0))));
    check(false, &then(op(5, 6, Call::Claim, won("b"))));
    check(true, &then(op(5, 6, Call::Claim, Answer::NotWon(Seen::Done))));
    check(false, &then(op(5, 6, release("a"), Answer::Ended)));
    // The same worker may repeat it.
    check(true, &then(op(5, 6, complete("a"), Answer::Ended)));
    check(false, &then(op(5, 6, complete("b"), Answer::Ended)));
}

#[test]
fn a_stale_read_is_found_and_a_concurrent_one_is_none() {
    let start = [op(1, 2, Call::Claim, won("a")), op(3, 6, append("a"), Answer::Written(1))];
    let read = |called, answered, receipts| {
        [start.as_slice(), &[op(called, answered, Call::Read, Answer::Saw(Seen::Held, receipts))]].concat()
    };
    check(true, &read(4, 5, 0));
    check(true, &read(4, 5, 1));
    check(false, &read(7, 8, 0));
    check(true, &read(7, 8, 1));
    // Nobody goes back in time.
    let forth = op(4, 5, Call::Read, Answer::Saw(Seen::Held, 1));
    let back = op(6, 7, Call::Read, Answer::Saw(Seen::Held, 0));
    check(false, &[start.as_slice(), &[forth, back]].concat());
}

#[test]
fn a_lost_a_repeated_and_a_wrongly_counted_receipt_are_found() {
    let claimed = op(1, 2, Call::Claim, won("a"));
    let two = |first, second| {
        [
            claimed.clone(),
            op(3, 4, append("a"), Answer::Written(first)),
            op(5, 6, append("a"), Answer::Written(second)),
        ]
    };
    check(true, &two(1, 2));
    check(false, &two(1, 1));
    check(false, &two(1, 3));
    check(false, &two(2, 1));
    let released = op(3, 4, release("a"), Answer::Ended);
    let late = |answer| [claimed.clone(), released.clone(), op(5, 6, append("a"), answer)];
    check(true, &late(Answer::Late(2)));
    check(false, &late(Answer::Written(2)));
}

#[test]
fn an_operation_without_an_answer_has_happened_or_not() {
    let claimed = op(1, 2, Call::Claim, won("a"));
    let read = |receipts| op(5, 6, Call::Read, Answer::Saw(Seen::Held, receipts));
    for receipts in [0, 1] {
        check(true, &[claimed.clone(), lost(3, append("a")), read(receipts)]);
    }
    check(false, &[claimed.clone(), lost(3, append("a")), read(2)]);
    // It does not happen before its call.
    check(false, &[claimed.clone(), lost(7, append("a")), read(1)]);
    // A lost claim may keep others away, but is not taken back.
    let held = op(3, 4, Call::Claim, Answer::NotWon(Seen::Held));
    check(true, &[lost(1, Call::Claim), held.clone()]);
    check(false, &[lost(1, Call::Claim), held, op(5, 6, Call::Claim, won("b"))]);
}

/// A register, of which any history of a few operations is easy to try in each order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Register(u64);

impl Object for Register {
    /// The value to write; none to read.
    type Call = Option<u64>;
    type Answer = u64;

    fn after(&self, call: &Option<u64>, answer: Option<&u64>) -> Option<Self> {
        match call {
            Some(value) => Some(Register(*value)),
            None => answer.is_none_or(|answer| *answer == self.0).then(|| self.clone()),
        }
    }
}

/// Whether some order of the operations fits, by trying each.
fn fits_in_some_order(register: &Register, left: &[Operation<Option<u64>, u64>]) -> bool {
    left.iter().all(|operation| operation.answered.is_none())
        || left.iter().enumerate().any(|(number, next)| {
            let mut others = left.to_vec();
            others.remove(number);
            let comes_first =
                others.iter().all(|other| other.answered.is_none_or(|(answered, _)| next.called <= answered));
            let after = register.after(&next.call, next.answered.as_ref().map(|(_, answer)| answer));
            comes_first && after.is_some_and(|after| fits_in_some_order(&after, &others))
        })
}

#[test]
fn the_search_agrees_with_trying_every_order() {
    let mut rng = Rng::seeded("every_order");
    let mut found = [0, 0];
    for _ in 0..2_000 {
        let history: Vec<_> = (0..6)
            .map(|_| {
                let called = rng.below(12);
                let call = (rng.below(2) == 0).then(|| rng.below(3));
                let answered = (rng.below(6) > 0).then(|| (called + 1 + rng.below(6), rng.below(3)));
                Operation { called, answered, call }
            })
            .collect();
        let expected = fits_in_some_order(&Register(0), &history);
        assert_eq!(is_linearizable(&Register(0), &history), expected, "{history:#?}");
        found[usize::from(expected)] += 1;
    }
    assert!(found.iter().all(|times| *times > 100), "{found:?}");
}
