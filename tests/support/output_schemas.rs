//! The output schemas of the tools. Every reply that a test receives is checked against its schema.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use tasktally::mcp::{Toolset, definitions};
use tasktally::ops::ServerScope;

/// A validator for the replies of each tool.
static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let tools = definitions(Toolset::All, &ServerScope::default()).into_iter();
    let validator = |schema: &serde_json::Map<String, Value>| {
        jsonschema::validator_for(&Value::Object(schema.clone())).expect("an output schema is a JSON Schema")
    };
    tools
        .map(|tool| {
            (tool.name.to_string(), validator(tool.output_schema.as_ref().expect("an output schema")))
        })
        .collect()
});

/// Asserts that a reply is as the output schema of its tool says.
#[track_caller]
pub(crate) fn assert_valid(tool: &str, reply: &Value) {
    let Some(validator) = VALIDATORS.get(tool) else { return };
    let errors: Vec<String> =
        validator.iter_errors(reply).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{tool}: {reply} is not as its output schema says: {errors:#?}");
}
