//! What a tool answered.

use std::ops::Deref;

use serde_json::Value;

/// The reply object of a tool, or of a command with `--json`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// The object itself.
    pub(crate) value: Value,
    /// Whether the tool said that it is an error.
    pub(crate) is_error: bool,
}

impl Deref for Reply {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl Reply {
    /// The reply inside a JSON-RPC answer to `tools/call`; text and structure must agree.
    pub(crate) fn from_answer(answer: &Value, structured: bool) -> Self {
        let result = &answer["result"];
        assert!(result.is_object(), "no result in {answer}");
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {answer}"));
        let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        let told = if structured { &value } else { &Value::Null };
        assert_eq!(&result["structuredContent"], told, "text and structure differ");
        assert!(value["success"].is_boolean(), "no `success` in {value}");
        assert!(value["message"].is_string(), "no `message` in {value}");
        Reply { value, is_error: result["isError"].as_bool().unwrap_or(false) }
    }

    /// The reply, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.won() && !self.is_error, "refused: {}", self.value);
        self
    }

    /// Whether the request was done.
    pub(crate) fn won(&self) -> bool {
        self["success"] == true
    }

    /// The code of a refusal, empty for a success.
    pub(crate) fn code(&self) -> &str {
        self["code"].as_str().unwrap_or_default()
    }

    /// The sentence for the caller.
    pub(crate) fn message(&self) -> &str {
        self["message"].as_str().unwrap_or_default()
    }

    /// A member of the reply that must be text.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {}", self.value)).to_owned()
    }

    /// A member of the reply that must be a count.
    #[track_caller]
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let found = self.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no count at {pointer} in {}", self.value))
    }

    /// The code of an error; fails when the answer wasn't one.
    #[track_caller]
    pub(crate) fn refusal(&self) -> &str {
        assert!(self.is_error && !self.won(), "not an error: {}", self.value);
        self.code()
    }

    /// The code of an answer that is neither success nor error.
    #[track_caller]
    pub(crate) fn answer(&self) -> &str {
        assert!(
            !self.is_error && !self.won(),
            "not a plain answer: {} (error: {})",
            self.value,
            self.is_error
        );
        self.code()
    }
}
