//! Who decided at a checkpoint: a person, or an agent that relays a decision; and whether the decision counts.

use std::fmt;

use crate::error::{Code, Error, Result};
use crate::model::author::{Author, AuthorKind};
use crate::model::batch::Batch;
use crate::model::step::Reviewers;
use crate::model::task::Task;
use crate::ops::Session;
use crate::ops::runner_launcher::ReviewRules;

/// Who decided. Shows as a part of a sentence, after "by".
#[derive(Debug, Clone)]
pub(in crate::ops) struct Reviewer {
    /// The author of the decision's receipts.
    pub(in crate::ops) author: Author,
    /// The name that the caller gave for the person who decided. It proves nothing, so it is only quoted.
    named: Option<String>,
    /// Whether the person answered a form, which no caller can do for them.
    is_asked: bool,
    rules: ReviewRules,
}

impl Reviewer {
    /// The caller of the session, who may name another person.
    ///
    /// # Errors
    /// If the operator's configuration cannot be read.
    pub(in crate::ops) fn caller(session: &Session, named: Option<&str>) -> Result<Self> {
        let author = session.author();
        let named = named.filter(|name| *name != author.name()).map(str::to_owned);
        Ok(Reviewer { author, named, is_asked: false, rules: rules(session)? })
    }

    /// The person who answered a form of the session's client.
    ///
    /// # Errors
    /// If the operator's configuration cannot be read.
    pub(in crate::ops) fn asked(session: &Session) -> Result<Self> {
        let author = Author::person_at(session.caller());
        Ok(Reviewer { author, named: None, is_asked: true, rules: rules(session)? })
    }

    fn is_person(&self) -> bool {
        self.author.kind() == AuthorKind::Person
    }

    /// Refuses a decision that does not count, if only a person's does.
    ///
    /// # Errors
    /// `forbidden`, with the ways in which a person can decide.
    pub(in crate::ops) fn check_allowed(&self, task: &Task, batch: &Batch) -> Result<()> {
        let only_persons = batch.review == Reviewers::Person || self.rules.only_persons;
        let counts = self.is_asked || self.is_person() && self.rules.terminal_counts;
        if !only_persons || counts {
            return Ok(());
        }
        let rule = if batch.review == Reviewers::Person {
            format!("batch {} has review=person", task.id)
        } else {
            "the operator's configuration has review.only_persons = true".to_owned()
        };
        let id = &task.id;
        let why = if self.is_person() {
            format!(
                "a command at a terminal does not prove a person, because an agent can run commands too. If no agent can use your account's terminals, set review.terminal_counts = true in the operator's configuration; else let your client ask you: review_batch(id=\"{id}\") without decision"
            )
        } else {
            format!(
                "this decision was relayed by an agent: it came from an MCP client, or from a command that was not run at a terminal. Call review_batch(id=\"{id}\") without decision in a client that can show a form (elicitation): it asks the person. A person at a terminal can decide with it as well, if the operator's configuration has review.terminal_counts = true"
            )
        };
        Err(Error::new(Code::Forbidden, format!("Nothing was decided: {rule}, and {why}")))
    }
}

impl fmt::Display for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let author = &self.author;
        match (&self.named, self.is_person()) {
            (None, true) => write!(f, "'{author}'"),
            (Some(name), true) => write!(f, "'{author}' for '{name}'"),
            (None, false) => write!(f, "'{author}' (relayed by an agent)"),
            (Some(name), false) => write!(f, "'{author}' (relayed by an agent, who names '{name}')"),
        }
    }
}

fn rules(session: &Session) -> Result<ReviewRules> {
    session.launcher().map_or(Ok(ReviewRules::default()), |launcher| launcher.review_rules())
}
