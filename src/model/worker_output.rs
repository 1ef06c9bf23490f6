//! The receipt in what a command prints: a JSON object at the end of its output, or the last line.

use serde_json::{Map, Value};

/// The names of a receipt's fields.
const RECEIPT_NAMES: [&str; 7] =
    ["receipt", "category", "rationale", "model", "tokens_in", "tokens_out", "cost"];

/// A receipt as a command printed it. The values of the cost are not checked yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrintedReceipt {
    /// The text; empty if nothing was printed.
    pub text: String,
    /// The category.
    pub category: Option<String>,
    /// Whether the output says that the work failed, although the exit code may be 0.
    pub is_error: bool,
    /// The model, `tokens_in`, `tokens_out` and `cost` under these names.
    pub cost: Map<String, Value>,
}

impl PrintedReceipt {
    /// Reads the end of an output. `is_cut` says whether its start is missing.
    pub fn parse(output: &str, is_cut: bool) -> Self {
        let output = output.trim_end_matches(is_blank);
        match json_at_end(output) {
            Some((Value::Object(object), printed)) => from_object(object, printed),
            Some((Value::Array(mut list), printed)) => match list.pop() {
                // The messages of a whole conversation, of which the last one is the result.
                Some(Value::Object(last)) if is_agent_result(&last) => from_agent_result(&last),
                _ => PrintedReceipt::of_text(in_one_line(printed)),
            },
            _ => {
                let line = output.lines().next_back().unwrap_or_default().trim_matches(is_blank);
                // The only line that is left of a longer output may be the end of a longer line.
                let is_partial = is_cut && !output.contains('\n');
                PrintedReceipt::of_text(if is_partial { format!("…{line}") } else { line.to_owned() })
            }
        }
    }

    fn of_text(text: String) -> Self {
        PrintedReceipt { text, ..PrintedReceipt::default() }
    }
}

/// Whether a character at the end of a line means nothing: white space, or the byte order mark that Windows programs
/// print first.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// The JSON object or list with which an output ends: its last line, or several lines of which the first one starts
/// with a bracket. Returned together with its text.
fn json_at_end(output: &str) -> Option<(Value, &str)> {
    if !output.ends_with(['}', ']']) {
        return None;
    }
    let mut end = output.len();
    loop {
        let line_start = output[..end].rfind('\n').map_or(0, |at| at + 1);
        let candidate = output[line_start..].trim_start_matches(is_blank);
        if candidate.starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(candidate)
        {
            return Some((value, candidate));
        }
        end = line_start.checked_sub(1)?;
    }
}

/// JSON in one line, its values as they were printed.
fn in_one_line(json: &str) -> String {
    json.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The receipt in an object that was printed as `printed`.
fn from_object(mut object: Map<String, Value>, printed: &str) -> PrintedReceipt {
    if is_agent_result(&object) {
        return from_agent_result(&object);
    }
    if !RECEIPT_NAMES.iter().any(|name| object.contains_key(*name)) {
        // `{"result": "…"}` and nothing else.
        if let (1, Some(Value::String(result))) = (object.len(), object.get("result")) {
            return PrintedReceipt::of_text(result.clone());
        }
        return PrintedReceipt::of_text(in_one_line(printed));
    }
    let (receipt, rationale) = (take_text(&mut object, "receipt"), take_text(&mut object, "rationale"));
    let category = take_text(&mut object, "category");
    let mut cost = Map::new();
    for name in ["model", "tokens_in", "tokens_out", "cost"] {
        cost.extend(
            object.remove(name).filter(|value| !value.is_null()).map(|value| (name.to_owned(), value)),
        );
    }
    let text = match (receipt, rationale) {
        (Some(receipt), Some(rationale)) => format!("{receipt} ({rationale})"),
        (Some(text), None) | (None, Some(text)) => text,
        // Without a text, the other fields are all that the command has to say.
        (None, None) if !object.is_empty() => Value::Object(object).to_string(),
        (None, None) => String::new(),
    };
    PrintedReceipt { text, category, is_error: false, cost }
}

/// A field as text. A number or a list is written as JSON.
fn take_text(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    let text = match object.remove(name)? {
        Value::Null => return None,
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// Whether an object is the result of an agent, as `claude -p --output-format json` prints it.
fn is_agent_result(object: &Map<String, Value>) -> bool {
    let has = |name: &str| object.contains_key(name);
    has("is_error") || has("total_cost_usd") || (object.get("type") == Some(&"result".into()) && has("usage"))
}

/// The receipt in an agent's result. Its text may itself end with a receipt as JSON.
fn from_agent_result(object: &Map<String, Value>) -> PrintedReceipt {
    let is_error = object.get("is_error").is_some_and(|is_error| match is_error {
        Value::Bool(is_error) => *is_error,
        other => other.as_str() == Some("true"),
    });
    let said = match object.get("result") {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Null) | None => {
            object.get("subtype").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        Some(other) => other.to_string(),
    };
    let inner = said.trim_end_matches("```").trim_end();
    let mut receipt = match json_at_end(inner) {
        Some((Value::Object(inner), printed))
            if RECEIPT_NAMES.iter().any(|name| inner.contains_key(*name)) =>
        {
            from_object(inner, printed)
        }
        _ => PrintedReceipt::of_text(said),
    };
    receipt.is_error |= is_error;
    let usage = object.get("usage").and_then(Value::as_object);
    let tokens = |names: &[&str]| {
        let counts: Vec<u64> = names.iter().filter_map(|name| usage?.get(*name)?.as_u64()).collect();
        (!counts.is_empty())
            .then(|| Value::from(counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count))))
    };
    let known = [
        ("model", model_of(object)),
        ("tokens_in", tokens(&["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"])),
        ("tokens_out", tokens(&["output_tokens"])),
        ("cost", object.get("total_cost_usd").filter(|cost| !cost.is_null()).cloned()),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            receipt.cost.entry(name).or_insert(value);
        }
    }
    receipt
}

/// The model of an agent's result: of several, the one that wrote most.
fn model_of(object: &Map<String, Value>) -> Option<Value> {
    let written = |usage: &Value| usage.get("outputTokens").and_then(Value::as_u64).unwrap_or(0);
    let models = object.get("modelUsage")?.as_object()?;
    models.iter().max_by_key(|(_, usage)| written(usage)).map(|(name, _)| name.as_str().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(output: &str, text: &str, category: Option<&str>) -> PrintedReceipt {
        let receipt = PrintedReceipt::parse(output, false);
        assert_eq!((receipt.text.as_str(), receipt.category.as_deref()), (text, category), "{output}");
        receipt
    }

    #[test]
    fn the_end_of_the_output_is_the_receipt() {
        check("", "", None);
        check("reading\n- Archived: a\n\n", "- Archived: a", None);
        check(r#"{"receipt": "- kept", "category": "fyi"}"#, "- kept", Some("fyi"));
        check("log\n{\"receipt\": \"- kept\", \"rationale\": \"why\"}\n", "- kept (why)", None);
        check(r#"{"category": "fyi", "rationale": "a newsletter"}"#, "a newsletter", Some("fyi"));
        check("log\n{\n  \"receipt\": \"- kept\",\n  \"category\": \"fyi\"\n}\n", "- kept", Some("fyi"));
        check("  {\r\n  \"receipt\": \"- kept\"\r\n  }\r\n", "- kept", None);
        check("{\n \"receipt\": {\n \"a\": [\n {\n \"b\": 1\n }\n ]\n }\n}", r#"{"a":[{"b":1}]}"#, None);
        check("{\"receipt\": \"first\"}\n{\"receipt\": \"second\"}", "second", None);
        check("{\"receipt\": \"first\"}\nall done", "all done", None);
        // Windows programs print a byte order mark first.
        check("\u{feff}{\"receipt\": \"- kept\", \"category\": \"fyi\"}", "- kept", Some("fyi"));
        check("log\n\u{feff}{\r\n \"category\": \"fyi\"\r\n}\r\n\u{feff}", "", Some("fyi"));
        check("\u{feff}- kept\u{feff}", "- kept", None);
        // Any other object or list is the receipt itself.
        check(r#"{"score": 1234567890123456789012}"#, r#"{"score": 1234567890123456789012}"#, None);
        check("{\n \"score\": 5.0\n}", r#"{ "score": 5.0 }"#, None);
        check(r#"{"category": "bug", "score": 5}"#, r#"{"score":5}"#, Some("bug"));
        check("[\n 1,\n 2\n]", "[ 1, 2 ]", None);
        check("[]", "[]", None);
        check(r#"{"result": "ok"}"#, "ok", None);
        // Not JSON, though it looks like it.
        check("fn main() {\n}", "}", None);
        check("{receipt: 1}", "{receipt: 1}", None);
        check(r#"{"receipt": 5, "category": 7}"#, "5", Some("7"));
        check(r#"{"receipt": null, "category": ""}"#, "", None);
    }

    #[test]
    fn the_start_of_a_cut_line_is_marked() {
        assert_eq!(PrintedReceipt::parse("end of a line", true).text, "…end of a line");
        assert_eq!(PrintedReceipt::parse("x\nthe last line", true).text, "the last line");
    }

    #[test]
    fn the_cost_is_read_as_it_is() {
        let receipt =
            check(r#"{"receipt": "- a", "model": "m", "tokens_in": "5", "cost": null}"#, "- a", None);
        assert_eq!(Value::Object(receipt.cost), json!({"model": "m", "tokens_in": "5"}));
    }

    #[test]
    fn the_result_of_an_agent_has_text_cost_and_errors() {
        let result = json!({
            "type": "result", "subtype": "success", "is_error": false, "duration_ms": 10, "result": "Filed it.\n",
            "session_id": "s", "total_cost_usd": 0.0123,
            "usage": {"input_tokens": 3, "cache_creation_input_tokens": 40, "cache_read_input_tokens": 500, "output_tokens": 7},
            "modelUsage": {"claude-haiku": {"outputTokens": 2}, "claude-opus": {"outputTokens": 5}},
        });
        let cost = json!({"model": "claude-opus", "tokens_in": 543, "tokens_out": 7, "cost": 0.0123});
        let pretty = serde_json::to_string_pretty(&result).unwrap();
        let conversation = json!([{"type": "system"}, result]).to_string();
        for output in
            [result.to_string(), pretty, conversation, format!("{{\"type\": \"system\"}}\n{result}")]
        {
            let receipt = check(&output, "Filed it.", None);
            assert_eq!((receipt.is_error, Value::Object(receipt.cost)), (false, cost.clone()), "{output}");
        }

        let failed = check(
            r#"{"type": "result", "is_error": true, "result": "Invalid API key"}"#,
            "Invalid API key",
            None,
        );
        assert!(failed.is_error);
        let failed = check(
            r#"{"type": "result", "subtype": "error_max_turns", "is_error": true}"#,
            "error_max_turns",
            None,
        );
        assert!(failed.is_error && failed.cost.is_empty());

        let inner =
            "Here it is:\n```json\n{\"receipt\": \"- kept\", \"category\": \"fyi\", \"model\": \"m\"}\n```";
        let receipt = check(
            &json!({"is_error": false, "result": inner, "total_cost_usd": 1}).to_string(),
            "- kept",
            Some("fyi"),
        );
        assert_eq!(Value::Object(receipt.cost), json!({"model": "m", "cost": 1}));
    }
}
