//! One run of a worker command: an item's JSON in, a receipt out.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::supervisor::{Because, Ended};
use crate::model::field::is_hidden;
use crate::model::status::Outcome;
use crate::ops::ItemCost;

/// The exit code that asks for a retry (EX_TEMPFAIL of sysexits.h).
pub(super) const RETRY: i32 = 75;
/// The most characters of a receipt made from a command's output.
const RECEIPT_CHARS: usize = 2_000;

/// What a run came to.
#[derive(Debug)]
pub(super) enum Ran {
    /// It settled the item.
    Settled(Said),
    /// It asks to be run again.
    Retry(String),
    /// It was ended before it settled the item.
    Stopped,
}

/// What a command said of its item.
#[derive(Debug)]
pub(super) struct Said {
    /// What became of it.
    pub(super) outcome: Outcome,
    /// What it was found to be.
    pub(super) category: Option<String>,
    /// The receipt's text, empty where the command said nothing.
    pub(super) text: String,
    /// What the work cost.
    pub(super) cost: ItemCost,
}

impl Said {
    /// That it failed.
    pub(super) fn failed() -> Self {
        Said { outcome: Outcome::Failed, category: None, text: String::new(), cost: ItemCost::default() }
    }
}

/// What a command is told beside its standard input, in its environment.
pub(super) struct About<'a> {
    /// The chunk or task.
    pub(super) task: &'a str,
    /// The batch, if there is one.
    pub(super) batch: &'a str,
    /// The item's key.
    pub(super) item: &'a str,
    /// Since when and by whom it may have happened already.
    pub(super) in_doubt: Option<(&'a str, &'a str)>,
}

impl About<'_> {
    /// The variables.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let mut told = vec![
            ("TASKTALLY_TASK", self.task),
            ("TASKTALLY_BATCH", self.batch),
            ("TASKTALLY_ITEM", self.item),
        ];
        if let Some((since, by)) = self.in_doubt {
            told.extend([("TASKTALLY_IN_DOUBT", since), ("TASKTALLY_IN_DOUBT_BY", by)]);
        }
        told.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// What a run came to; `retry` are the exit codes that ask for another.
pub(super) fn judge(ended: &Ended, retry: &[i32]) -> Ran {
    let said = ended.out.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let (text, category, cost) = receipt(said);
    match (ended.because, ended.code) {
        (Some(Because::Asked), _) => Ran::Stopped,
        (None, Some(0)) => Ran::Settled(Said { outcome: Outcome::Done, category, text, cost }),
        (_, code) => {
            let why = why(ended);
            let end = last_words(&ended.err);
            let text =
                clean(&if end.is_empty() { format!("{why}. {text}") } else { format!("{why}: {end}") });
            if ended.because.is_none() && code.is_some_and(|code| retry.contains(&code)) {
                Ran::Retry(text)
            } else {
                Ran::Settled(Said { outcome: Outcome::Failed, category, text, cost })
            }
        }
    }
}

/// How a worker ended, in a few words.
pub(super) fn why(ended: &Ended) -> String {
    let ran = ended.took.as_secs_f64();
    match (ended.because, ended.code, ended.signal) {
        (Some(Because::Timeout), ..) => format!("ended after {ran:.0} s, its timeout_s"),
        (Some(Because::Memory), ..) => "ended because it held more than its memory_mb".to_owned(),
        (Some(Because::Asked), ..) => "ended when it was asked to".to_owned(),
        (None, Some(code), _) => format!("exit code {code}"),
        (None, None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None, None) => "ended, nobody saw how".to_owned(),
    }
}

/// The last lines of what it said of errors.
pub(super) fn last_words(err: &str) -> String {
    let lines: Vec<&str> = err.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    clean(&lines[lines.len().saturating_sub(5)..].join(" | "))
}

/// The receipt in a command's last line: its `receipt`, `category`, `rationale` and costs where it is a
/// JSON object.
fn receipt(line: &str) -> (String, Option<String>, ItemCost) {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(line) else {
        return (clean(line), None, ItemCost::default());
    };
    let field = |name: &str| map.get(name).and_then(Value::as_str).map(clean).filter(|text| !text.is_empty());
    let text = match (field("receipt"), field("rationale")) {
        (Some(receipt), Some(rationale)) => format!("{receipt} ({rationale})"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => String::new(),
    };
    let category = field("category")
        .map(|category| category.replace(['\n', '\t', '\r'], " ").chars().take(100).collect());
    // A cost that can't be read must not cost the receipt.
    let cost = ItemCost {
        model: read(&map, "model"),
        tokens_in: read(&map, "tokens_in"),
        tokens_out: read(&map, "tokens_out"),
        cost: read(&map, "cost"),
    };
    (text, category, cost)
}

fn read<T: DeserializeOwned>(map: &Map<String, Value>, field: &str) -> Option<T> {
    match serde_json::from_value(map.get(field)?.clone()) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(field, %error, "a command's cost cannot be read and is left out of its receipt");
            None
        }
    }
}

/// What of an output may stand in a receipt.
fn clean(text: &str) -> String {
    let mut kept: String =
        text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).take(RECEIPT_CHARS).collect();
    kept.truncate(kept.trim_end().len());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_receipt() {
        fn check(line: &str, text: &str, category: Option<&str>) {
            let said = receipt(line);
            assert_eq!((said.0, said.1), (text.to_owned(), category.map(str::to_owned)), "{line}");
        }
        check("- Archived: a", "- Archived: a", None);
        check(r#"{"receipt": "- kept", "category": "fyi"}"#, "- kept", Some("fyi"));
        check(r#"{"category": "fyi", "rationale": "a newsletter"}"#, "a newsletter", Some("fyi"));
        check(r#"{"receipt": "- kept", "rationale": "why"}"#, "- kept (why)", None);
        check("[1, 2]", "[1, 2]", None);
        check("\u{1b}[31mred", " [31mred", None);
        check("", "", None);
    }

    #[test]
    fn a_cost_that_cannot_be_read_does_not_cost_the_receipt() {
        let (text, _, cost) = receipt(r#"{"receipt": "- a", "model": "m", "tokens_in": -1, "cost": 0.5}"#);
        assert_eq!(text, "- a");
        assert_eq!((cost.model.map(|m| m.to_string()), cost.tokens_in), (Some("m".into()), None));
        assert_eq!(cost.cost.map(|cost| cost.to_string()), Some("0.5".into()));
    }
}
