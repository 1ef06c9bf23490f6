//! Printing replies and errors.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::store_path::{command_prefix, store_path};
use crate::error::{Error, Result};
use crate::mcp::refusal;
use crate::terminal::{
    escape_hidden, fitted_table, print_line, shell_word, stdout_columns, with_commands, wrap_lines,
};
use crate::work::report_and_check;

/// Lists in a reply that are printed as tables.
const TABLES: &[&str] = &["tasks", "chunks", "failures", "receipts", "batches", "items"];
/// Objects in a reply that are printed one field per line.
const RECORDS: &[&str] = &["task", "batch", "claim"];
/// Texts in a reply, and what a person reads before each.
const TEXTS: &[(&str, &str)] = &[
    ("instructions", "instructions"),
    ("worker_prompt", "prompt for MCP workers"),
    ("poll", "to follow it"),
    ("next", "next"),
];
/// Fields with which the same command continues: the options that pass them back, all at once, and what for.
const CONTINUATIONS: &[(&[(&str, &str)], &str)] = &[
    (
        &[
            ("next_cursor", "--cursor"),
            ("next_chunks_after", "--chunks-after"),
            ("next_items_after", "--items-after"),
            ("next_receipts_after", "--receipts-after"),
        ],
        "for the next page",
    ),
    (&[("more_since", "--since")], "for the chunks that are not shown"),
    (&[("since", "--since")], "to see only what changes from now on"),
];
/// Other fields of a reply that are printed, one per line.
const FIELDS: &[&str] = &[
    "duplicate",
    "receipt",
    "items_left",
    "items_started",
    "expires_at",
    "added",
    "known",
    "children",
    "blocks",
    "steps",
    "checkpoint",
    "in_doubt",
    "review",
    "auto_approve_after",
    "finish",
    "workers",
    "mode",
    "dates",
];

/// How replies and errors are printed.
#[derive(Clone, Copy)]
pub(super) struct ReplyPrinter<'a> {
    /// As JSON, as the MCP tool returns them.
    pub(super) json: bool,
    /// The value of `--db`, which the commands in messages repeat.
    pub(super) db: Option<&'a Path>,
}

impl ReplyPrinter<'_> {
    /// Prints a reply.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub(super) fn print(self, reply: &Value, out: &mut impl Write) -> Result<()> {
        let text = if self.json { reply.to_string() } else { as_text(reply, &self.command_prefix()) };
        print_line(out, &text)
    }

    /// Prints what follows a review that leaves nothing to be done in its batch; nothing with `--json`.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub(super) fn print_after_review(self, reply: &Value, out: &mut impl Write) -> Result<()> {
        let batch = &reply["batch"];
        let has_ended = batch["status"] == "done" || batch["status"] == "failed";
        match batch["id"].as_str().filter(|_| has_ended && !self.json) {
            Some(id) => print_line(out, &format!("\n{}", report_and_check(&self.command_prefix(), id))),
            None => Ok(()),
        }
    }

    /// Prints an error: with `--json` to the output, as the MCP tool returns it, else to standard error.
    pub(super) fn print_error(self, error: &Error, out: &mut impl Write) {
        // If nothing can be printed, the exit code still reports the failure.
        if self.json {
            writeln!(out, "{}", refusal(error)).ok();
        } else {
            let message = with_commands(&escape_hidden(&error.to_string()), &self.command_prefix());
            writeln!(std::io::stderr(), "tasktally: {message}").ok();
        }
    }

    fn command_prefix(self) -> String {
        store_path(self.db).map_or_else(|_| "tasktally".to_owned(), |store| command_prefix(&store))
    }
}

fn as_text(reply: &Value, prefix: &str) -> String {
    let message = |text: &str| with_commands(&escape_hidden(text), prefix);
    let mut parts = Vec::new();
    parts.extend(reply["message"].as_str().map(message));
    for key in TABLES {
        parts.extend(reply[key].as_array().filter(|rows| !rows.is_empty()).map(|rows| table(rows, prefix)));
    }
    parts.extend(reply["reviews"].as_array().into_iter().flatten().map(|chunk| review(chunk, prefix)));
    for key in RECORDS {
        let Some(fields) = reply[key].as_object() else { continue };
        let body = fields.get("body").and_then(Value::as_str);
        // The body has the initial text and the list of receipts as one text.
        let is_in_body = |name: &str, value: &Value| {
            name == "body"
                || body.is_some() && (name == "initial_text" || name == "receipts" && value.is_array())
        };
        parts.push(record(fields.iter().filter(|(name, value)| !is_in_body(name, value)), prefix));
        parts.extend(body.map(body_text));
    }
    if let Some(part) = reply["part"].as_object() {
        parts.push(record(part.iter().filter(|(name, _)| *name != "text"), prefix));
        parts.extend(part.get("text").and_then(Value::as_str).map(part_text));
    }
    parts.push(record(FIELDS.iter().map(|name| (name, &reply[*name])), prefix));
    for listed in ["listed", "ignored_listed"] {
        let Some(listed) = reply["bad_items"][listed].as_array() else { continue };
        let texts = listed.iter().map(|item| with_commands(&cell(item), prefix));
        parts.push(texts.collect::<Vec<_>>().join("\n"));
    }
    for (key, label) in [
        ("needs_person", "waiting for a person"),
        ("stalled", "no receipt for a while"),
        ("stranded", "cannot become ready"),
    ] {
        if !is_empty(&reply[key]) {
            parts.push(format!("{label}: {}", cell(&reply[key])));
        }
    }
    // A person who looks at a batch starts commands, not agents: `--json` has the prompt.
    let is_look = reply["since"].is_string();
    for (key, label) in TEXTS {
        if *key == "worker_prompt" && is_look {
            continue;
        }
        if let Some(text) = reply[key].as_str() {
            let text = match (*key, reply["batch"]["id"].as_str()) {
                // The worker prompt is for agents that call the MCP tools.
                ("worker_prompt", _) => escape_hidden(text),
                // An agent calls a tool again and again; a person has a screen.
                ("poll", Some(id)) => format!("{prefix} watch {id}"),
                ("next", _) if is_look => message(&text.replace(" with worker_prompt", "")),
                _ => message(text),
            };
            parts.push(format!("{label}: {text}"));
        }
    }
    for (options, what_for) in CONTINUATIONS {
        let options: Vec<String> = options
            .iter()
            .filter(|(key, _)| !is_empty(&reply[*key]))
            .map(|(key, option)| format!("{option} {}", shell_word(&cell(&reply[*key]))))
            .collect();
        if !options.is_empty() {
            parts.push(format!("{what_for}, repeat this command with {}", options.join(" ")));
        }
    }
    if let (Some(batch), true) = (reply["batch"]["id"].as_str(), reply["worker_prompt"].is_string()) {
        parts.push(format!("to start workers here: {prefix} work --batch {batch} -- COMMAND"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// A body for a person. At a terminal, a line that is wrapped continues behind the sign of a receipt's text, or indented:
/// in the first column stands only what Tasktally wrote there.
fn body_text(body: &str) -> String {
    let behind = |line: &str| if line.starts_with('>') { "> " } else { "  " };
    wrap_lines(&escape_hidden(body), stdout_columns(), behind)
}

/// A part of a task, all of it text of one author: at a terminal behind a sign, elsewhere as it is.
fn part_text(text: &str) -> String {
    let columns = stdout_columns();
    let text = escape_hidden(text);
    match columns {
        Some(_) => wrap_lines(&format!("> {}", text.replace('\n', "\n> ")), columns, |_| "> "),
        None => text,
    }
}

/// Fields, one per line, without those that have no value.
fn record<'a, N: AsRef<str> + 'a>(fields: impl Iterator<Item = (&'a N, &'a Value)>, prefix: &str) -> String {
    fields
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| {
            let name = name.as_ref();
            let line = format!("{:>14}  {}", label(name), sentence(name, value, prefix));
            // A terminal breaks a sentence, so that its commands can be copied.
            let columns = stdout_columns().filter(|_| !is_sentence(name));
            wrap_lines(&line, columns, |_| "                ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A chunk that waits for a decision, with samples of its receipts.
fn review(review: &Value, prefix: &str) -> String {
    let samples = review["samples"].as_array().map_or(&[][..], Vec::as_slice);
    let first = format!(
        "{} ({}), after step {}: {}",
        cell(&review["chunk"]),
        cell(&review["title"]),
        cell(&review["step"]),
        cell(&review["categories"])
    );
    // Behind more blanks than a row of the table.
    let first = wrap_lines(&first, stdout_columns(), |_| "        ");
    let mut text = format!("{first}\n\n{}", table(samples, prefix));
    if let Some(note) = review["redo_note"].as_str() {
        let redone = format!("\n\nworked again: {}; the note for it:\n", cell(&review["redone"]));
        text += &(redone + &part_text(note));
    }
    if let Some(in_doubt) = review["in_doubt"].as_array() {
        text += "\n\nbegun and not settled (approve settles them as done, redo has them worked again):\n";
        text += &table(in_doubt, prefix);
    }
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The name of a field as a person reads it.
fn label(field: &str) -> String {
    escape_hidden(field).replace('_', " ")
}

/// A value on one line.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape_hidden(text).replace('\n', " "),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| format!("{} {}", escape_hidden(name), cell(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// Whether a field is a sentence of Tasktally.
fn is_sentence(name: &str) -> bool {
    matches!(name, "message" | "paused")
}

/// A field on one line. The calls in Tasktally's own sentences are written as commands.
fn sentence(name: &str, value: &Value, prefix: &str) -> String {
    let text = cell(value);
    if is_sentence(name) { with_commands(&text, prefix) } else { text }
}

/// A table with a column for each field that has a value in any row.
fn table(rows: &[Value], prefix: &str) -> String {
    const HIDDEN: &[&str] = &["created", "body", "order", "depends_on"];
    let mut columns: Vec<&String> = Vec::new();
    for row in rows {
        for (name, value) in row.as_object().into_iter().flatten() {
            if !is_empty(value) && !HIDDEN.contains(&name.as_str()) && !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
    let header: Vec<String> = columns.iter().map(|name| label(name).to_uppercase()).collect();
    let row_cells =
        |row: &Value| columns.iter().map(|name| sentence(name, &row[name.as_str()], prefix)).collect();
    let cells: Vec<Vec<String>> = rows.iter().map(row_cells).collect();
    fitted_table(&header, &cells, stdout_columns())
}
