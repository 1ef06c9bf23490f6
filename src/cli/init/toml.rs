//! Adding a server to the TOML file of Codex, which keeps its comments and its order.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::merged::Merged;
use super::server::ServerEntry;
use crate::prompts::SERVER_KEY;

const LIST: &str = "mcp_servers";

/// The text with the server under `mcp_servers`; `None` if the text has the same entry already.
///
/// # Errors
/// Why no server can be added to the text.
pub(super) fn merge(text: &str, server: &ServerEntry) -> Result<Option<Merged>, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| format!("it is not TOML ({})", error.message()))?;
    let list = document.entry(LIST).or_insert_with(implicit_table);
    let fresh = if list.is_inline_table() {
        Item::Value(Value::InlineTable(InlineTable::new()))
    } else {
        Item::Table(Table::new())
    };
    let servers = list.as_table_like_mut().ok_or_else(|| format!("its {LIST} is not a table"))?;
    let replaced = servers.contains_key(SERVER_KEY);
    let entry = servers
        .entry(SERVER_KEY)
        .or_insert(fresh)
        .as_table_like_mut()
        .ok_or_else(|| format!("its {SERVER_KEY} is not a table"))?;
    if entry.contains_key("url") {
        return Err(format!("its {SERVER_KEY} is another server, reached by url"));
    }
    let command_changed = set(entry, "command", Value::from(&server.command));
    let args_changed = set(entry, "args", Value::Array(server.args.iter().collect::<Array>()));
    if !command_changed && !args_changed {
        return Ok(None);
    }
    // toml_edit ends every line with LF.
    let crlf = text.contains("\r\n");
    let text = document.to_string();
    let text = if crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
    Ok(Some(Merged { text, replaced }))
}

/// A table without a header of its own: it only holds other tables.
fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// Sets a value, and keeps the space and comments around it. Returns whether the value changed.
fn set(table: &mut dyn TableLike, key: &str, value: Value) -> bool {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) if strings(old) == strings(&value) => false,
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
            true
        }
        None => {
            table.insert(key, Item::Value(value));
            true
        }
    }
}

/// The strings in a string or a list of strings, without their formatting.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.value().clone()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
