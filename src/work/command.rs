//! One run of a worker command: an item's JSON in, a receipt out.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::std::{CommandWrap, ProcessGroup};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::stop::Stop;
use crate::error::{Error, Result};
use crate::model::field::is_hidden;
use crate::model::status::Outcome;
use crate::ops::ItemCost;

/// The exit code that asks for a retry (EX_TEMPFAIL of sysexits.h).
const RETRY: i32 = 75;
/// How much of the end of an output is looked at, in bytes.
const TAIL: i64 = 16 * 1024;
/// The most characters of a receipt made from a command's output.
const RECEIPT_CHARS: usize = 2_000;

/// What a run came to.
#[derive(Debug)]
pub(super) enum Ran {
    /// It settled the item.
    Settled(Said),
    /// It asks to be run again.
    Retry(String),
    /// The person stopped it.
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

/// What a command is told beside its standard input.
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

/// Runs `argv` once.
///
/// # Errors
/// Where the command cannot be started at all.
pub(super) fn run(argv: &[String], about: &About<'_>, input: &str, stop: &Stop) -> Result<Ran> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::invalid("command: it is missing; name it after --"));
    };
    // Files, not pipes: whatever the command leaves running behind it cannot hold us up.
    let (mut stdin, mut stdout, mut stderr) = (temporary()?, temporary()?, temporary()?);
    stdin
        .write_all(input.as_bytes())
        .and_then(|()| stdin.rewind())
        .map_err(|error| Error::internal("an item could not be handed to its command", error))?;
    let mut command = CommandWrap::with_new(program, |command| {
        command
            .args(arguments)
            .env("DOCKET_TASK", about.task)
            .env("DOCKET_BATCH", about.batch)
            .env("DOCKET_ITEM", about.item)
            .stdin(Stdio::from(stdin));
        if let Some((since, by)) = about.in_doubt {
            command.env("DOCKET_IN_DOUBT", since).env("DOCKET_IN_DOUBT_BY", by);
        }
    });
    let (out, err) = (copy(&stdout)?, copy(&stderr)?);
    command.command_mut().stdout(out).stderr(err);
    // A group of its own: Ctrl-C in the terminal is ours to handle, and ending it ends its children.
    command.wrap(ProcessGroup::leader());
    let mut child = command.spawn().map_err(|error| {
        Error::invalid(format!("command: '{program}' cannot be started; is it installed and executable?"))
            .caused_by(error)
    })?;
    let mut pause = Duration::from_micros(200);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if stop.is_urgent() => {
                if let Err(error) = child.kill() {
                    tracing::warn!(%error, "a command could not be ended");
                }
                return Ok(Ran::Stopped);
            }
            Ok(None) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            Err(error) => return Err(Error::internal("a command could not be waited for", error)),
        }
    };
    Ok(judge(status, &tail(&mut stdout)?, &tail(&mut stderr)?))
}

fn temporary() -> Result<File> {
    tempfile::tempfile().map_err(|error| Error::internal("there is no room for a command's output", error))
}

fn copy(file: &File) -> Result<File> {
    file.try_clone().map_err(|error| Error::internal("there is no room for a command's output", error))
}

fn tail(file: &mut File) -> Result<String> {
    let read = |file: &mut File| -> std::io::Result<String> {
        let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
        file.seek(SeekFrom::End(-length.min(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read(file).map_err(|error| Error::internal("a command's output could not be read", error))
}

fn judge(status: ExitStatus, stdout: &str, stderr: &str) -> Ran {
    let said = stdout.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let (text, category, cost) = receipt(said);
    match status.code() {
        Some(0) => Ran::Settled(Said { outcome: Outcome::Done, category, text, cost }),
        code => {
            let why = match code {
                Some(code) => format!("exit code {code}"),
                None => format!("{status}"),
            };
            let end: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let end = end[end.len().saturating_sub(5)..].join(" | ");
            let text =
                clean(&if end.is_empty() { format!("{why}. {text}") } else { format!("{why}: {end}") });
            if code == Some(RETRY) {
                Ran::Retry(text)
            } else {
                Ran::Settled(Said { outcome: Outcome::Failed, category, text, cost })
            }
        }
    }
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
