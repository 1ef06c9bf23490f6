//! Adding a server to a JSON file. Only the text of the entry changes, so the order, the spacing and the numbers
//! in the rest of the file stay as they are.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::json_text::{ObjectText, Style, pretty};
use super::merged::Merged;
use crate::prompts::SERVER_KEY;

/// The text with the server in the object `list`; `None` if the text has the same entry already.
///
/// # Errors
/// Why no server can be added to the text.
pub(super) fn merge(text: &str, list: &str, fields: &Map<String, Value>) -> Result<Option<Merged>, String> {
    if text.trim().is_empty() {
        let file = object([(list, object([(SERVER_KEY, Value::Object(fields.clone()))]))]);
        return added(format!("{}\n", pretty(&file, "  ", "")?));
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| format!("it is not JSON without comments ({error})"))?;
    let style = Style::of(text);
    let root = ObjectText::at(text, text.len() - text.trim_start().len()).ok_or("it is not a JSON object")?;
    let Some(servers) = root.value(list)? else {
        let value = object([(SERVER_KEY, Value::Object(fields.clone()))]);
        return added(root.with(text, list, &value, &style, 1)?);
    };
    let servers = ObjectText::at(text, servers.start).ok_or(format!("its {list} is not an object"))?;
    let Some(entry) = servers.value(SERVER_KEY)? else {
        let value = Value::Object(fields.clone());
        return added(servers.with(text, SERVER_KEY, &value, &style, 2)?);
    };
    let old: Value =
        text.get(entry.clone()).and_then(|old| serde_json::from_str(old).ok()).unwrap_or_default();
    let new = updated(&old, fields)?;
    if new == old {
        return Ok(None);
    }
    let value = style.render(&new, 2)?;
    let mut text = text.to_owned();
    text.replace_range(entry, &value);
    Ok(Some(Merged { text, replaced: true }))
}

fn added(text: String) -> Result<Option<Merged>, String> {
    Ok(Some(Merged { text, replaced: false }))
}

/// The entry with the server's fields. Its other fields, such as an environment or a timeout, are kept.
fn updated(old: &Value, fields: &Map<String, Value>) -> Result<Value, String> {
    let Value::Object(old) = old else {
        return Err(format!("its {SERVER_KEY} is not an object"));
    };
    if let Some(url) = ["url", "httpUrl"].iter().find(|url| old.contains_key(**url)) {
        return Err(format!("its {SERVER_KEY} is another server, reached by {url}"));
    }
    let mut new = old.clone();
    new.extend(fields.clone());
    Ok(Value::Object(new))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
