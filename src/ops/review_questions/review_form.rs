//! The question to a person about chunks in review, the form for the answer, and how the answer is parsed. All
//! protocols use the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::chain::hex;
use crate::model::chunk_names::ranges;
use crate::model::field::visible_excerpt;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::{ReceiptText, counted, excerpt};
use crate::ops::views::review::{Sample, review};
use crate::store::StoreRead;

/// The most chunks whose samples are shown.
const CHUNKS: usize = 5;
/// The most samples per category.
const SAMPLES: usize = 3;
/// The most categories.
const CATEGORIES: usize = 12;
/// The most characters of a receipt.
const RECEIPT_CHARS: usize = 160;
/// The most items in doubt that are named.
const IN_DOUBT: usize = 5;

/// A question to a person about chunks in review.
#[derive(Debug, Clone)]
pub struct ReviewQuestion {
    /// Identifies the chunks and their state: an answer is applied only if its question still has this name.
    pub name: String,
    /// The text that the person reads.
    pub message: String,
}

/// The name of the question about these chunks in their present state. It contains step and generation, so a chunk
/// that comes to review again has another name.
pub(in crate::ops) fn question_name(batch: &Task, chunks: &[(Chunk, Task)]) -> String {
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

/// The question about chunks in review: counts by category, samples of each category, and items in doubt.
pub(in crate::ops) fn question(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    chunks: &[(Chunk, Task)],
) -> Result<ReviewQuestion> {
    let (mut items, mut steps) = (0, Vec::new());
    for (chunk, _) in chunks {
        items += chunk.counts.total;
        let step = batch.steps.name(chunk.step);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let subject = match chunks {
        [(_, chunk)] => format!("chunk {} ({})", chunk.id, quoted(&chunk.title)),
        many => {
            let numbers: Vec<u64> = many.iter().map(|(chunk, _)| chunk.number).collect();
            format!("{} chunks in review ({})", many.len(), ranges(&numbers, CHUNKS))
        }
    };
    let categories = count_categories(tx, chunks)?;
    let counts: Vec<String> = categories
        .iter()
        .take(CATEGORIES)
        .map(|(category, count)| format!("{count} {}", word(category)))
        .collect();
    let more = if categories.len() > CATEGORIES { " and others" } else { "" };
    let mut message = format!(
        "Batch {}, {subject}, after step {}. {}: {}{more}.",
        quoted(&task.title),
        steps.iter().map(|step| word(step)).collect::<Vec<_>>().join(", "),
        counted(items, "item"),
        if counts.is_empty() { "none settled".to_owned() } else { counts.join(", ") },
    );
    let (samples, mut in_doubt) = collect_samples(tx, task, batch, chunks)?;
    for (category, _) in categories.iter().take(CATEGORIES) {
        for sample in samples.get(category).into_iter().flatten() {
            let receipt = visible_excerpt(&sample.receipt, RECEIPT_CHARS);
            message += &format!("\n[{}] {}: {receipt}", word(category), word(&sample.item));
        }
    }
    if !in_doubt.is_empty() {
        let more = if in_doubt.len() > IN_DOUBT { " and others" } else { "" };
        in_doubt.truncate(IN_DOUBT);
        message += &format!(
            "\nIn doubt (started and never settled, may have happened): {}{more}; approve settles them as done, redo opens them again.",
            in_doubt.join(", ")
        );
    }
    Ok(ReviewQuestion { name: question_name(task, chunks), message })
}

/// A text of an agent in quotes. It cannot end them: quotes and backslashes within it are escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A name of an agent: in quotes if it has characters that could be read as part of the form.
fn word(name: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '/' | '@' | '+' | '#');
    if name.chars().all(is_plain) { excerpt(name) } else { quoted(name) }
}

/// The number of items by category over all chunks, largest first.
fn count_categories(tx: &dyn StoreRead, chunks: &[(Chunk, Task)]) -> Result<Vec<(String, u64)>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (chunk, _) in chunks {
        for (category, count) in tx.category_counts(chunk.row)? {
            *counts.entry(category).or_default() += count;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(counts)
}

type SamplesByCategory = BTreeMap<String, Vec<Sample>>;

/// Samples by category, and the keys of items in doubt, from the first chunks.
fn collect_samples(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    chunks: &[(Chunk, Task)],
) -> Result<(SamplesByCategory, Vec<String>)> {
    let mut samples = SamplesByCategory::new();
    let mut in_doubt = Vec::new();
    for (chunk, chunk_task) in chunks.iter().take(CHUNKS) {
        let view = review(tx, task, batch, chunk, chunk_task)?;
        for sample in view.samples {
            let of_category = samples.entry(sample.category.clone()).or_default();
            if of_category.len() < SAMPLES {
                of_category.push(sample);
            }
        }
        in_doubt.extend(view.in_doubt.into_iter().map(|doubt| match &doubt.category {
            Some(category) => format!("{} ({})", word(&doubt.item), word(category)),
            None => word(&doubt.item),
        }));
    }
    Ok((samples, in_doubt))
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
                "description": "approve: the next step; reject: the chunk ends and no retry opens it; redo: the items are worked on again",
                "enum": words,
            },
            "note": {
                "type": "string",
                "title": "Note",
                "description": "What is wrong. Required for reject and redo; redo passes it to the next worker",
            },
        },
        "required": ["decision"],
    })
}

word_enum!(
    /// What a person did with the form.
    FormAction, "action of an answer" {
        /// Filled the form in.
        Accept = "accept",
        /// Declined to answer.
        Decline = "decline",
        /// Closed the form.
        Cancel = "cancel",
    }
);

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) enum FormAnswer {
    /// A decision with its note.
    Decided(Decision, Option<ReceiptText>),
    /// No decision.
    Undecided(FormAction),
}

impl FormAnswer {
    /// Parses the answer that a client sent.
    ///
    /// # Errors
    /// `invalid_argument` if it is not an answer to the form, or the form is incomplete.
    pub(in crate::ops) fn parse(answer: &Value) -> Result<Self> {
        #[derive(Deserialize)]
        struct Answer {
            action: FormAction,
            #[serde(default)]
            content: Option<Value>,
        }
        #[derive(Deserialize)]
        struct Form {
            decision: Decision,
            #[serde(default)]
            note: Option<ReceiptText>,
        }
        let invalid =
            |error: serde_json::Error| Error::invalid(format!("the answer cannot be parsed: {error}"));
        let answer = Answer::deserialize(answer).map_err(invalid)?;
        if answer.action != FormAction::Accept {
            return Ok(FormAnswer::Undecided(answer.action));
        }
        let form = Form::deserialize(answer.content.unwrap_or_default()).map_err(invalid)?;
        Ok(FormAnswer::Decided(form.decision, form.note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_decision_or_no_decision_or_refused() {
        let check = |answer: Value, expected: Option<FormAnswer>| {
            assert_eq!(FormAnswer::parse(&answer).ok(), expected, "{answer}");
        };
        let note: ReceiptText = "too many".parse().unwrap();
        check(
            json!({"action": "accept", "content": {"decision": "redo", "note": "too many"}}),
            Some(FormAnswer::Decided(Decision::Redo, Some(note))),
        );
        check(json!({"action": "decline"}), Some(FormAnswer::Undecided(FormAction::Decline)));
        check(json!({"action": "cancel", "content": {}}), Some(FormAnswer::Undecided(FormAction::Cancel)));
        check(json!({"action": "accept"}), None);
        check(json!({"action": "accept", "content": {"decision": "maybe"}}), None);
        check(json!({"decision": "approve"}), None);
    }
}
