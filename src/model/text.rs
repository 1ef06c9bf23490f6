//! Text parameters with their limits. Control and bidirectional characters are refused: they could make displayed
//! text differ from the stored text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::field::visible_excerpt;
use super::hidden::is_control;

/// The beginning of the reason for a text that is too large.
const TOO_LARGE: &str = "the text that starts with";

/// The first 80 characters of a value for a message, with control characters escaped.
pub fn excerpt(value: &str) -> String {
    visible_excerpt(value, 80)
}

/// A name that an agent chose, in quotes that it cannot end, for a message that contains instructions.
pub fn quoted_name(name: &str) -> String {
    format!("'{}'", excerpt(name).replace('\'', "\\'"))
}

/// A count with its noun: `1 chunk`, `2 chunks`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The form of a verb that agrees with a count: `1 chunk waits`, `2 chunks wait`.
pub fn agreeing<'a>(count: u64, one: &'a str, several: &'a str) -> &'a str {
    if count == 1 { one } else { several }
}

/// The limits of a text type.
#[derive(Debug, Clone, Copy)]
struct TextLimit {
    max_bytes: usize,
    multi_line: bool,
}

/// Whether the reason of a refusal is the length of a text.
pub fn is_too_large(reason: &str) -> bool {
    reason.starts_with(TOO_LARGE)
}

impl TextLimit {
    fn check(self, value: &str) -> Result<(), String> {
        if value.len() > self.max_bytes {
            return Err(format!(
                "{TOO_LARGE} '{2}' has {0} bytes; at most {1} are allowed",
                value.len(),
                self.max_bytes,
                excerpt(&value.chars().take(20).collect::<String>())
            ));
        }
        let bad = value
            .char_indices()
            .find(|&(_, c)| is_control(c) && !(self.multi_line && matches!(c, '\n' | '\r' | '\t')));
        match bad {
            None => Ok(()),
            Some((at, c)) => Err(format!(
                "character U+{:04X} at byte {at} is not allowed: {}; remove it",
                c as u32,
                if self.multi_line {
                    "the text may contain no control or bidirectional characters except line ends and tabs"
                } else {
                    "the text must be one line without control or bidirectional characters"
                }
            )),
        }
    }
}

/// Checks that a stored name is one line without control or bidirectional characters. Names that the server makes can be
/// longer than those of requests.
///
/// # Errors
/// The first character that is not allowed.
pub fn check_line(value: &str) -> Result<(), String> {
    TextLimit { max_bytes: usize::MAX, multi_line: false }.check(value)
}

macro_rules! text {
    ($(#[$meta:meta])* $name:ident, $limit:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A constant; the caller ensures that it is within the limits.
            pub fn known(text: &'static str) -> Self { $name(text.to_owned()) }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
            /// The text, or `None` if it is blank.
            pub fn non_empty(&self) -> Option<&str> { (!self.0.trim().is_empty()).then_some(self.0.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(value: &str) -> Result<Self, String> {
                $limit.check(value)?;
                Ok($name(value.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = String::deserialize(deserializer)?;
                $limit.check(&value).map_err(serde::de::Error::custom)?;
                Ok($name(value))
            }
        }

        inline_schema!($name, { "type": "string" });
    };
}

text!(
    /// One line: a title, a name, a key, a category; at most 1,000 bytes.
    LineText, TextLimit { max_bytes: 1_000, multi_line: false }
);
text!(
    /// A receipt's text; at most 64 KiB.
    ReceiptText, TextLimit { max_bytes: 64 * 1024, multi_line: true }
);
text!(
    /// A task's initial text or a batch's instructions; at most 1 MiB.
    LongText, TextLimit { max_bytes: 1024 * 1024, multi_line: true }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beyond_its_limits_is_refused() {
        fn check(text: &str, line: bool, body: bool) {
            assert_eq!(text.parse::<LineText>().is_ok(), line, "line {text:?}");
            assert_eq!(text.parse::<ReceiptText>().is_ok(), body, "body {text:?}");
        }
        check("Archive mail", true, true);
        check("two\nlines\tand a tab", false, true);
        check("nul\0", false, false);
        check("\u{1b}[31mred", false, false);
        check("evil\u{202E}txt", false, false);
        check("עברית\u{200F}", true, true);
        check(&"x".repeat(1_001), false, true);
        check(&"x".repeat(70_000), false, false);
    }

    #[test]
    fn the_error_names_size_and_limit() {
        let refusal = "x".repeat(1_001).parse::<LineText>().unwrap_err();
        assert!(refusal.contains("1001 bytes; at most 1000"), "{refusal}");
    }
}
