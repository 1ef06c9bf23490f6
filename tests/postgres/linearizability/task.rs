//! What the operations on a task do, one after the other.

use super::checker::{Object, Operation};

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Task {
    status: Status,
    receipts: u64,
}

/// Who may work on the task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
enum Status {
    #[default]
    Ready,
    Held(Holder),
    Done(Holder),
}

/// The token of a claim. Nobody knows the token of a claim whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Token(String),
    Unknown,
}

/// A call, with the token that it brings.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Claim,
    Append(String),
    Release(String),
    Complete(String),
    Read,
}

/// The status of a task, as its readers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Ready,
    Held,
    Done,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// The claim was won.
    Won(String),
    /// The claim was not won, because of this status.
    NotWon(Seen),
    /// The receipt got this number, and counts.
    Written(u64),
    /// The receipt got this number, and does not count, because the claim was lost.
    Late(u64),
    /// The task was released or completed.
    Ended,
    /// It was not, because the claim was lost.
    Lost,
    /// What a reader saw: the status, and how many receipts there are.
    Saw(Seen, u64),
}

/// An operation on a task.
pub(super) type TaskOperation = Operation<Call, Answer>;

impl Task {
    fn seen(&self) -> Seen {
        match self.status {
            Status::Ready => Seen::Ready,
            Status::Held(_) => Seen::Held,
            Status::Done(_) => Seen::Done,
        }
    }

    fn is_held_by(&self, token: &str) -> bool {
        matches!(&self.status, Status::Held(Holder::Token(holder)) if holder == token)
    }

    fn was_completed_by(&self, token: &str) -> bool {
        matches!(&self.status, Status::Done(Holder::Token(holder)) if holder == token)
    }

    fn with(&self, status: Status, receipts: u64) -> Self {
        Task { status, receipts }
    }
}

impl Object for Task {
    type Call = Call;
    type Answer = Answer;

    fn after(&self, call: &Call, answer: Option<&Answer>) -> Option<Self> {
        let (next, expected) = match call {
            Call::Claim if self.status == Status::Ready => {
                // The store chooses the token.
                let holder = match answer {
                    Some(Answer::Won(token)) => Holder::Token(token.clone()),
                    Some(_) => return None,
                    None => Holder::Unknown,
                };
                return Some(self.with(Status::Held(holder), self.receipts));
            }
            Call::Claim => (self.clone(), Answer::NotWon(self.seen())),
            Call::Append(token) => {
                let number = self.receipts + 1;
                let next = self.with(self.status.clone(), number);
                let is_held = self.is_held_by(token);
                (next, if is_held { Answer::Written(number) } else { Answer::Late(number) })
            }
            // It leaves a receipt.
            Call::Release(token) if self.is_held_by(token) => {
                (self.with(Status::Ready, self.receipts + 1), Answer::Ended)
            }
            Call::Complete(token) if self.is_held_by(token) => {
                (self.with(Status::Done(Holder::Token(token.clone())), self.receipts), Answer::Ended)
            }
            // A repetition.
            Call::Complete(token) if self.was_completed_by(token) => (self.clone(), Answer::Ended),
            Call::Release(_) | Call::Complete(_) => (self.clone(), Answer::Lost),
            Call::Read => (self.clone(), Answer::Saw(self.seen(), self.receipts)),
        };
        answer.is_none_or(|answer| *answer == expected).then_some(next)
    }
}
