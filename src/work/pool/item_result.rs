//! Reads the result of an item from how its command ended and what it printed.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::exit_text::{describe_exit, last_error_lines, printable};
use crate::model::status::Outcome;
use crate::ops::ItemCost;
use crate::work::supervisor::{ProcessExit, StopReason};

/// The exit code that asks for a retry: EX_TEMPFAIL of sysexits.h.
pub(super) const EX_TEMPFAIL: i32 = 75;
/// The most characters of a category.
const MAX_CATEGORY_CHARS: usize = 100;

/// What one run of a command means for its item.
#[derive(Debug)]
pub(super) enum ItemRun {
    /// The item is settled.
    Settled(ItemResult),
    /// The command asks to be run again; the text says why.
    Retry(String),
    /// The process was stopped before it settled the item.
    Stopped,
}

/// The result of an item.
#[derive(Debug)]
pub(super) struct ItemResult {
    pub(super) outcome: Outcome,
    pub(super) category: Option<String>,
    /// The receipt's text; empty if the command printed nothing.
    pub(super) text: String,
    pub(super) cost: ItemCost,
}

impl ItemResult {
    /// A failure without a text.
    pub(super) fn failed() -> Self {
        ItemResult {
            outcome: Outcome::Failed,
            category: None,
            text: String::new(),
            cost: ItemCost::default(),
        }
    }
}

/// Reads the result of a run. `retry_exit_codes` ask for another one.
pub(super) fn read_result(exit: &ProcessExit, retry_exit_codes: &[i32]) -> ItemRun {
    let last_line =
        exit.stdout_tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let (text, category, cost) = parse_receipt(last_line);
    match (exit.stop_reason, exit.code) {
        (Some(StopReason::Requested), _) => ItemRun::Stopped,
        (None, Some(0)) => ItemRun::Settled(ItemResult { outcome: Outcome::Done, category, text, cost }),
        (_, code) => {
            let how = describe_exit(exit);
            let errors = last_error_lines(&exit.stderr_tail);
            let text = if errors.is_empty() { format!("{how}. {text}") } else { format!("{how}: {errors}") };
            let text = printable(&text);
            if exit.stop_reason.is_none() && code.is_some_and(|code| retry_exit_codes.contains(&code)) {
                ItemRun::Retry(text)
            } else {
                ItemRun::Settled(ItemResult { outcome: Outcome::Failed, category, text, cost })
            }
        }
    }
}

/// The receipt in a command's last line. A JSON object has `receipt`, `category`, `rationale` and the cost; any other
/// text is the receipt itself.
fn parse_receipt(line: &str) -> (String, Option<String>, ItemCost) {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(line) else {
        return (printable(line), None, ItemCost::default());
    };
    let field =
        |name: &str| map.get(name).and_then(Value::as_str).map(printable).filter(|text| !text.is_empty());
    let text = match (field("receipt"), field("rationale")) {
        (Some(receipt), Some(rationale)) => format!("{receipt} ({rationale})"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => String::new(),
    };
    let category = field("category")
        .map(|category| category.replace(['\n', '\t', '\r'], " ").chars().take(MAX_CATEGORY_CHARS).collect());
    let cost = ItemCost {
        model: parse_cost(&map, "model"),
        tokens_in: parse_cost(&map, "tokens_in"),
        tokens_out: parse_cost(&map, "tokens_out"),
        cost: parse_cost(&map, "cost"),
    };
    (text, category, cost)
}

/// A field of the cost. A bad value is left out, because the receipt matters more.
fn parse_cost<T: DeserializeOwned>(map: &Map<String, Value>, field: &str) -> Option<T> {
    match serde_json::from_value(map.get(field)?.clone()) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(field, %error, "a command printed a bad cost, which is left out of the receipt");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_receipt() {
        #[track_caller]
        fn check(line: &str, text: &str, category: Option<&str>) {
            let receipt = parse_receipt(line);
            assert_eq!((receipt.0, receipt.1), (text.to_owned(), category.map(str::to_owned)), "{line}");
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
    fn a_bad_cost_does_not_lose_the_receipt() {
        let (text, _, cost) =
            parse_receipt(r#"{"receipt": "- a", "model": "m", "tokens_in": -1, "cost": 0.5}"#);
        assert_eq!(text, "- a");
        assert_eq!((cost.model.map(|m| m.to_string()), cost.tokens_in), (Some("m".into()), None));
        assert_eq!(cost.cost.map(|cost| cost.to_string()), Some("0.5".into()));
    }
}
