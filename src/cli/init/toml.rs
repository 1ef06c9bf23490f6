//! A server put into the TOML file of Codex, comments and order kept.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::Merged;
use super::client::Server;
use crate::prompts::SERVER_KEY;

const LIST: &str = "mcp_servers";

/// The text with the server under `mcp_servers`; `None` when it is there already.
///
/// # Errors
/// Why the text is not one that a server can be put into.
pub(super) fn merge(text: &str, server: &Server) -> Result<Option<Merged>, String> {
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
    let commanded = set(entry, "command", Value::from(&server.command));
    let argued = set(entry, "args", Value::Array(server.args.iter().collect::<Array>()));
    if !commanded && !argued {
        return Ok(None);
    }
    // The writer ends every line with LF; a file that ended them with CRLF gets them back.
    let crlf = text.contains("\r\n");
    let text = document.to_string();
    let text = if crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
    Ok(Some(Merged { text, replaced }))
}

/// A table that only holds tables needs no header of its own.
fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// Sets a value, keeping what stands around it; whether that changed anything.
fn set(table: &mut dyn TableLike, key: &str, value: Value) -> bool {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) if plain(old) == plain(&value) => false,
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

/// A string or a list of strings, however it is written.
fn plain(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.value().clone()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
