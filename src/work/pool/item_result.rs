//! Reads the result of an item from how its command ended and what it printed.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::exit_text::{describe_exit, describe_failure, last_lines, printable};
use super::worker_command::WorkerCommand;
use crate::model::id::TaskId;
use crate::model::retry::parse_retry_after;
use crate::model::status::Outcome;
use crate::model::text::excerpt;
use crate::model::worker_output::PrintedReceipt;
use crate::ops::ItemCost;
use crate::work::supervisor::{ProcessExit, StopReason};

/// The most characters of a category.
const MAX_CATEGORY_CHARS: usize = 100;

/// What one run of a command means for its item.
#[derive(Debug)]
pub(super) enum ItemRun {
    /// The item is settled.
    Settled(ItemResult),
    /// The command failed temporarily.
    Retry {
        /// How it ended.
        reason: String,
        /// The delay that it asked for.
        retry_after: Option<Duration>,
    },
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

/// Reads the result of a run of `command` for an item of `task`.
pub(super) fn read_result(exit: &ProcessExit, command: &WorkerCommand, task: &TaskId) -> ItemRun {
    let printed = PrintedReceipt::parse(&exit.stdout_tail, exit.stdout_is_cut);
    let has_succeeded = exit.stop_reason.is_none() && exit.code == Some(0);
    let how = match (exit.stop_reason, has_succeeded && printed.is_error) {
        (Some(StopReason::Requested), _) => return ItemRun::Stopped,
        (None, false) if has_succeeded => return ItemRun::Settled(settled(printed, Outcome::Done)),
        (_, true) => "exit code 0, but is_error is true".to_owned(),
        _ => describe_exit(exit, command.timeout_setting()),
    };
    let said = what_it_said(&printed, exit);
    let text = describe_failure(&how, exit, &said, task.as_str());
    let is_temporary =
        exit.stop_reason.is_none() && exit.code.is_some_and(|code| command.retry_exit_codes.contains(&code));
    if is_temporary {
        return ItemRun::Retry { reason: text, retry_after: parse_retry_after(&exit.stderr_tail) };
    }
    ItemRun::Settled(settled(PrintedReceipt { text, ..printed }, Outcome::Failed))
}

/// The end of what a process printed on standard output, for the reason of a failure. The text of a receipt or result is
/// more readable than its JSON.
pub(super) fn what_it_said(printed: &PrintedReceipt, exit: &ProcessExit) -> String {
    if has_receipt_fields(printed) { printed.text.clone() } else { last_lines(&exit.stdout_tail) }
}

fn has_receipt_fields(printed: &PrintedReceipt) -> bool {
    printed.category.is_some() || !printed.cost.is_empty() || printed.is_error
}

fn settled(printed: PrintedReceipt, outcome: Outcome) -> ItemResult {
    let category = printed.category.map(|category| printable(&category).replace(['\n', '\t', '\r'], " "));
    let mut unusable = Vec::new();
    let cost = ItemCost {
        model: parse_cost(&printed.cost, "model", &mut unusable),
        tokens_in: parse_cost(&printed.cost, "tokens_in", &mut unusable),
        tokens_out: parse_cost(&printed.cost, "tokens_out", &mut unusable),
        cost: parse_cost(&printed.cost, "cost", &mut unusable),
    };
    let text = match unusable.as_slice() {
        [] => printed.text,
        reasons => format!("{} [not recorded: {}]", printed.text, reasons.join("; ")).trim_start().to_owned(),
    };
    ItemResult {
        outcome,
        category: category.map(|category| shorten(&category)),
        text: printable(&text),
        cost,
    }
}

/// A category within its limit. A cut one says so.
fn shorten(category: &str) -> String {
    if category.chars().count() <= MAX_CATEGORY_CHARS {
        return category.to_owned();
    }
    category.chars().take(MAX_CATEGORY_CHARS - 1).chain(['…']).collect()
}

/// A field of the cost. A value that cannot be used is reported in the receipt, because the receipt matters more.
fn parse_cost<T: DeserializeOwned>(
    map: &Map<String, Value>,
    field: &str,
    unusable: &mut Vec<String>,
) -> Option<T> {
    let value = map.get(field).filter(|value| *value != "")?;
    match serde_json::from_value(value.clone()) {
        Ok(value) => Some(value),
        Err(error) => {
            unusable.push(format!("{field}: {error} (given: {})", excerpt(&value.to_string())));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::model::cost::Tokens;
    use crate::model::run_record::CommandLimits;

    fn read(code: i32, stdout: &str) -> ItemResult {
        let exit = ProcessExit {
            code: Some(code),
            signal: None,
            stop_reason: None,
            stdout_tail: stdout.to_owned(),
            stdout_is_cut: false,
            stderr_tail: String::new(),
            duration: Duration::ZERO,
            unkillable: 0,
        };
        let command = WorkerCommand::from_arguments(&[], &[], Path::new("/"), CommandLimits::default());
        match read_result(&exit, &command, &TaskId::stored("b1.01".into())) {
            ItemRun::Settled(result) => result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_exit_code_of_0_is_done_unless_the_output_says_otherwise() {
        #[track_caller]
        fn check(code: i32, stdout: &str, outcome: Outcome, text: &str) {
            let result = read(code, stdout);
            assert_eq!((result.outcome, result.text.as_str()), (outcome, text), "{code} {stdout}");
        }
        check(0, "- kept", Outcome::Done, "- kept");
        check(0, "", Outcome::Done, "");
        check(1, "", Outcome::Failed, "exit code 1; it printed nothing");
        check(
            0,
            r#"{"type": "result", "is_error": true, "result": "Invalid API key"}"#,
            Outcome::Failed,
            "exit code 0, but is_error is true; stdout: Invalid API key; whole output: tasktally logs b1.01",
        );
        check(
            4,
            "{\n \"receipt\": \"no subject\",\n \"category\": \"odd\"\n}",
            Outcome::Failed,
            "exit code 4; stdout: no subject; whole output: tasktally logs b1.01",
        );
        assert_eq!(
            read(4, r#"{"receipt": "no subject", "category": "odd"}"#).category.as_deref(),
            Some("odd")
        );
    }

    #[test]
    fn a_long_category_is_cut_and_says_so() {
        let category = "c".repeat(150);
        let result = read(0, &format!(r#"{{"category": "{category}"}}"#));
        assert_eq!(result.category, Some(format!("{}…", "c".repeat(99))));
    }

    #[test]
    fn a_bad_cost_does_not_lose_the_receipt() {
        let result = read(0, r#"{"receipt": "- a", "model": "m", "tokens_in": -1, "cost": 0.5}"#);
        assert!(
            result.text.starts_with("- a [not recorded: tokens_in: -1 is out of range"),
            "{}",
            result.text
        );
        let numbers =
            read(0, r#"{"receipt": "- a", "tokens_in": 10.0, "tokens_out": "20", "cost": "0.5"}"#).cost;
        assert_eq!(
            (numbers.tokens_in.map(Tokens::get), numbers.tokens_out.map(Tokens::get)),
            (Some(10), Some(20))
        );
        assert_eq!(
            (result.cost.model.map(|m| m.to_string()), result.cost.tokens_in),
            (Some("m".into()), None)
        );
        assert_eq!(result.cost.cost.map(|cost| cost.to_string()), Some("0.5".into()));
    }
}
