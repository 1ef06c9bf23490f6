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
    let mut previous = None;
    if let Some(old) = servers.get_mut(SERVER_KEY) {
        let shown = shown(old);
        let entry = old.as_table_like_mut().ok_or_else(|| format!("its {SERVER_KEY} is not a table"))?;
        if entry.contains_key("url") {
            return Err(format!("its {SERVER_KEY} is another server, reached by url"));
        }
        if is_entry_of(entry, server) {
            return Ok(None);
        }
        previous = Some(shown);
        // The table stays, with its place in the file and the comments before it.
        entry.clear();
    }
    let entry = servers.entry(SERVER_KEY).or_insert(fresh);
    let entry = entry.as_table_like_mut().ok_or_else(|| format!("its {SERVER_KEY} is not a table"))?;
    entry.insert("command", Item::Value(Value::from(&server.command)));
    entry.insert("args", Item::Value(Value::Array(server.args.iter().collect::<Array>())));
    // toml_edit ends every line with LF.
    let crlf = text.contains("\r\n");
    let text = document.to_string();
    let text = if crlf { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
    Ok(Some(Merged { text, previous }))
}

/// The entry of the server, with the strings of its `args`; `None` if there is none.
pub(super) fn entry(text: &str) -> Option<serde_json::Value> {
    let document: DocumentMut = text.parse().ok()?;
    let entry = document.get(LIST)?.as_table_like()?.get(SERVER_KEY)?.as_table_like()?;
    let args = entry.get("args").and_then(Item::as_value).and_then(strings).unwrap_or_default();
    Some(serde_json::json!({ "args": args }))
}

/// A table without a header of its own: it only holds other tables.
fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// Whether a table has the values of the server and no others.
fn is_entry_of(entry: &dyn TableLike, server: &ServerEntry) -> bool {
    let strings = |key| entry.get(key).and_then(Item::as_value).and_then(strings);
    entry.len() == 2
        && strings("command") == Some(vec![server.command.clone()])
        && strings("args").as_ref() == Some(&server.args)
}

/// An entry as TOML.
fn shown(entry: &Item) -> String {
    let mut list = Table::new();
    list.set_implicit(true);
    list.insert(SERVER_KEY, entry.clone());
    let mut document = DocumentMut::new();
    document.insert(LIST, Item::Table(list));
    document.to_string()
}

/// The strings in a string or a list of strings, without their formatting.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.value().clone()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
