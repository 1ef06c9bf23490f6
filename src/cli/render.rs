//! How replies look in a terminal.

use std::io::Write;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::calls::as_commands;
use super::open::store_path;
use super::shell::command_prefix;
use crate::error::{Error, Result};
use crate::mcp::refusal;
use crate::model::field::is_hidden;

/// How replies are told.
#[derive(Clone, Copy)]
pub(super) struct Voice<'a> {
    /// As the tool gives them.
    pub(super) json: bool,
    /// The store that was named: the commands that a person is told for calls of tools name it, too.
    pub(super) db: Option<&'a Path>,
}

impl Voice<'_> {
    /// Prints a reply.
    ///
    /// # Errors
    /// Where nobody reads it any more.
    pub(super) fn show(self, reply: &Value, out: &mut impl Write) -> Result<()> {
        let text = if self.json { reply.to_string() } else { plain(reply, &self.command_prefix()) };
        say(out, &text)
    }

    /// Prints a refusal: to a script as the tool gives it, to a person on standard error.
    pub(super) fn refuse(self, error: &Error, out: &mut impl Write) {
        // Where nothing can be printed, the exit code still tells.
        if self.json {
            writeln!(out, "{}", refusal(error)).ok();
        } else {
            let told = as_commands(&safe(&error.to_string()), &self.command_prefix());
            writeln!(std::io::stderr(), "tasktally: {told}").ok();
        }
    }

    /// What `tasktally` is called as over the store.
    fn command_prefix(self) -> String {
        store_path(self.db).map_or_else(|_| "tasktally".to_owned(), |store| command_prefix(&store))
    }
}

/// Prints a text and ends the line.
///
/// # Errors
/// Where nobody reads it any more.
pub(super) fn say(out: &mut impl Write, text: &str) -> Result<()> {
    writeln!(out, "{text}").map_err(|error| Error::internal("nothing can be printed", error))
}

/// Text from tasks, with what would move the cursor or turn the line around escaped.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden = is_hidden(c) && !matches!(c, '\n' | '\t');
            if hidden { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

fn plain(reply: &Value, prefix: &str) -> String {
    let advice = |text: &str| as_commands(&safe(text), prefix);
    let mut parts = Vec::new();
    if let Some(message) = reply["message"].as_str() {
        parts.push(advice(message));
    }
    for key in ["tasks", "chunks", "failures", "receipts", "batches", "items"] {
        if let Some(rows) = reply[key].as_array().filter(|rows| !rows.is_empty()) {
            parts.push(table(rows));
        }
    }
    for review in reply["reviews"].as_array().into_iter().flatten() {
        let about = format!(
            "{} ({}), after step {}: {}",
            cell(&review["chunk"]),
            cell(&review["title"]),
            cell(&review["step"]),
            cell(&review["categories"])
        );
        parts.push(format!("{about}\n\n{}", table(review["samples"].as_array().map_or(&[], Vec::as_slice))));
    }
    for key in ["task", "batch", "claim"] {
        if let Some(fields) = reply[key].as_object() {
            parts.push(
                fields
                    .iter()
                    .filter(|(name, value)| *name != "body" && !is_empty(value))
                    .map(|(name, value)| format!("{name:>14}  {}", cell(value)))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            if let Some(body) = fields.get("body").and_then(Value::as_str) {
                parts.push(safe(body));
            }
        }
    }
    if let Some(listed) = reply["bad_items"]["listed"].as_array() {
        parts.push(listed.iter().map(cell).collect::<Vec<_>>().join("\n"));
    }
    for (key, told) in [("needs_person", "waiting for a person"), ("stalled", "written nothing for a while")]
    {
        if !is_empty(&reply[key]) {
            parts.push(format!("{told}: {}", cell(&reply[key])));
        }
    }
    for key in ["instructions", "worker_prompt", "poll", "next", "next_cursor", "since"] {
        if let Some(text) = reply[key].as_str() {
            // What a worker is told is an agent's to call.
            let told = if matches!(key, "poll" | "next") { advice(text) } else { safe(text) };
            parts.push(format!("{key}: {told}"));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => safe(text).replace('\n', " "),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| format!("{} {}", safe(name), cell(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// Rows of one shape; columns that are empty everywhere are left out.
fn table(rows: &[Value]) -> String {
    const HIDDEN: &[&str] = &["created", "body", "order", "depends_on"];
    let mut columns: Vec<&String> = Vec::new();
    for row in rows {
        for (name, value) in row.as_object().into_iter().flatten() {
            if !is_empty(value) && !HIDDEN.contains(&name.as_str()) && !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|name| cell(&row[name.as_str()])));
    }
    table.trim_fmt()
}
