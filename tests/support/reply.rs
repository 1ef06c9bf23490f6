//! The reply of a tool.

use std::ops::Deref;

use serde_json::Value;

/// The reply object of a tool, or of a command with `--json`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// The object itself.
    pub(crate) value: Value,
    /// Whether the result was marked as an error (`isError`).
    pub(crate) is_error: bool,
}

impl Deref for Reply {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl Reply {
    /// The reply inside a JSON-RPC response to `tools/call`. Text and structured content must agree.
    pub(crate) fn from_answer(answer: &Value, structured: bool) -> Self {
        let result = &answer["result"];
        assert!(result.is_object(), "no result in {answer}");
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {answer}"));
        let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        let expected = if structured { &value } else { &Value::Null };
        assert_eq!(&result["structuredContent"], expected, "text and structured content differ");
        assert!(value["success"].is_boolean(), "no `success` in {value}");
        assert!(value["message"].is_string(), "no `message` in {value}");
        Reply { value, is_error: result["isError"].as_bool().unwrap_or(false) }
    }

    /// The reply, asserted to be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.succeeded() && !self.is_error, "refused: {}", self.value);
        self
    }

    /// Whether the request was carried out.
    pub(crate) fn succeeded(&self) -> bool {
        self["success"] == true
    }

    /// The code; empty for a success.
    pub(crate) fn code(&self) -> &str {
        self["code"].as_str().unwrap_or_default()
    }

    /// The message for the caller.
    pub(crate) fn message(&self) -> &str {
        self["message"].as_str().unwrap_or_default()
    }

    /// The string at a JSON pointer; fails if there is none.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.value)).to_owned()
    }

    /// The whole number at a JSON pointer; fails if there is none.
    #[track_caller]
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let found = self.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no count at {pointer} in {}", self.value))
    }

    /// The length of the list at a JSON pointer; fails if there is none.
    #[track_caller]
    pub(crate) fn length(&self, pointer: &str) -> u64 {
        let found = self.pointer(pointer).and_then(Value::as_array);
        found.unwrap_or_else(|| panic!("no list at {pointer} in {}", self.value)).len() as u64
    }

    /// The code of a reply that must be an error.
    #[track_caller]
    pub(crate) fn refusal(&self) -> &str {
        assert!(self.is_error && !self.succeeded(), "not an error: {}", self.value);
        self.code()
    }

    /// The code of a reply that must be neither a success nor an error, such as `nothing_to_claim`.
    #[track_caller]
    pub(crate) fn declined(&self) -> &str {
        assert!(
            !self.is_error && !self.succeeded(),
            "a success or an error: {} (error: {})",
            self.value,
            self.is_error
        );
        self.code()
    }
}
