//! What a person is asked about chunks in review, and how the answer is read: the same in every
//! protocol.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::chain::hex;
use crate::model::field::visible;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::{Body, excerpt};
use crate::ops::views::review::{Sample, review};
use crate::store::Read;

/// How many chunks samples are taken of.
const CHUNKS: usize = 5;
/// How many samples of a category are shown.
const SAMPLES: usize = 3;
/// How many categories are shown.
const CATEGORIES: usize = 12;
/// How many characters of a receipt are shown.
const RECEIPT_CHARS: usize = 160;
/// How many items in doubt are named.
const DOUBTS: usize = 5;

/// A question to a person.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it is about: an answer under another name is about something else.
    pub name: String,
    /// What the person reads.
    pub message: String,
}

/// The name of the question about these chunks as they stand: a chunk that comes to review once more
/// was claimed since, or is in another step.
pub(in crate::ops) fn name_of(batch: &Task, chunks: &[(Chunk, Task)]) -> String {
    let name = |chunk: &Chunk, task: &Task| format!("{}:{}.{}", task.id, chunk.step, task.generation);
    match chunks {
        [(chunk, task)] => name(chunk, task),
        many => {
            let mut hash = Sha256::new();
            for (chunk, task) in many {
                hash.update(name(chunk, task));
                hash.update("\n");
            }
            format!("{}:{}", batch.id, hex(&hash.finalize()[..8]))
        }
    }
}

/// The question about chunks in review: counts by category and a few samples of each.
pub(in crate::ops) fn question(
    tx: &dyn Read,
    task: &Task,
    batch: &Batch,
    chunks: &[(Chunk, Task)],
) -> Result<Question> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let (mut items, mut steps) = (0, Vec::new());
    for (chunk, _) in chunks {
        items += chunk.counts.total;
        for (category, count) in tx.categories(chunk.row)? {
            *counts.entry(category).or_default() += count;
        }
        let step = batch.steps.name(chunk.step);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    let mut doubts = Vec::new();
    for (chunk, chunk_task) in chunks.iter().take(CHUNKS) {
        let view = review(tx, task, batch, chunk, chunk_task)?;
        for sample in view.samples {
            let of_category = samples.entry(sample.category.clone()).or_default();
            if of_category.len() < SAMPLES {
                of_category.push(sample);
            }
        }
        doubts.extend(view.in_doubt.into_iter().map(|doubt| excerpt(&doubt.item)));
    }
    let what = match chunks {
        [(_, chunk)] => format!("chunk {} ({})", chunk.id, excerpt(&chunk.title)),
        many => format!("all {} chunks in review", many.len()),
    };
    let mut by_count: Vec<_> = counts.into_iter().collect();
    by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let counted: Vec<String> = by_count
        .iter()
        .take(CATEGORIES)
        .map(|(category, count)| format!("{count} {}", excerpt(category)))
        .collect();
    let more = if by_count.len() > CATEGORIES { " and others" } else { "" };
    let mut message = format!(
        "Batch \"{}\", {what}, after step {}. {items} items: {}{more}.",
        excerpt(&task.title),
        steps.iter().map(|step| excerpt(step)).collect::<Vec<_>>().join(", "),
        if counted.is_empty() { "none settled".to_owned() } else { counted.join(", ") },
    );
    for (category, _) in by_count.iter().take(CATEGORIES) {
        for sample in samples.get(category).into_iter().flatten() {
            let receipt = visible(&sample.receipt, RECEIPT_CHARS);
            message += &format!("\n[{}] {}: {receipt}", excerpt(category), excerpt(&sample.item));
        }
    }
    if !doubts.is_empty() {
        let more = if doubts.len() > DOUBTS { " and others" } else { "" };
        doubts.truncate(DOUBTS);
        message += &format!(
            "\nMay have happened already: {}{more}; approve takes them for done, redo has them done.",
            doubts.join(", ")
        );
    }
    Ok(Question { name: name_of(task, chunks), message })
}

/// The form that a person fills in, as a JSON schema.
pub fn form() -> Value {
    let words: Vec<&str> = Decision::ALL.iter().map(|decision| decision.as_str()).collect();
    json!({
        "type": "object",
        "properties": {
            "decision": {
                "type": "string",
                "title": "Decision",
                "description": "approve: it goes on; reject: it goes no further; redo: it is worked again",
                "enum": words,
            },
            "note": {
                "type": "string",
                "title": "Note",
                "description": "What is wrong: reject and redo need it, and redo gives it to the next worker",
            },
        },
        "required": ["decision"],
    })
}

words!(
    /// What a person did with a question.
    Action, "action of an answer" {
        /// Filled the form in.
        Accept = "accept",
        /// Did not want to.
        Decline = "decline",
        /// Put it away.
        Cancel = "cancel",
    }
);

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) enum Answer {
    /// They decided.
    Decided(Decision, Option<Body>),
    /// They did not.
    Undecided(Action),
}

impl Answer {
    /// Reads what a client brought back.
    ///
    /// # Errors
    /// `invalid_argument` where it is none, or the form is not filled in.
    pub(in crate::ops) fn read(given: &Value) -> Result<Self> {
        #[derive(Deserialize)]
        struct Given {
            action: Action,
            #[serde(default)]
            content: Option<Value>,
        }
        #[derive(Deserialize)]
        struct Form {
            decision: Decision,
            #[serde(default)]
            note: Option<Body>,
        }
        let wrong = |error: serde_json::Error| Error::invalid(format!("the answer cannot be read: {error}"));
        let given = Given::deserialize(given).map_err(wrong)?;
        if given.action != Action::Accept {
            return Ok(Answer::Undecided(given.action));
        }
        let form = Form::deserialize(given.content.unwrap_or_default()).map_err(wrong)?;
        Ok(Answer::Decided(form.decision, form.note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_decision_or_none_or_refused() {
        let check = |given: Value, expected: Option<Answer>| {
            assert_eq!(Answer::read(&given).ok(), expected, "{given}");
        };
        let note: Body = "too many".parse().unwrap();
        check(
            json!({"action": "accept", "content": {"decision": "redo", "note": "too many"}}),
            Some(Answer::Decided(Decision::Redo, Some(note))),
        );
        check(json!({"action": "decline"}), Some(Answer::Undecided(Action::Decline)));
        check(json!({"action": "cancel", "content": {}}), Some(Answer::Undecided(Action::Cancel)));
        check(json!({"action": "accept"}), None);
        check(json!({"action": "accept", "content": {"decision": "maybe"}}), None);
        check(json!({"decision": "approve"}), None);
    }
}
