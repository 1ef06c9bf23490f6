//! Why a text is not JSON, in the words of its author: the parser's words name what it expected, not what is wrong.

use crate::model::field::visible_excerpt;

/// The most characters of the text in a message.
const SHOWN: usize = 60;
/// How many of them are before the place of the error.
const SHOWN_BEFORE: usize = 30;

/// Describes an error with the text and the column; serde_json counts lines within the text, which would mislead.
pub(super) fn json_error(text: &str, error: &serde_json::Error) -> String {
    let full = error.to_string();
    let what = full.split(" at line ").next().unwrap_or(&full);
    let (column, shown) = (error.column(), around(text, error.column()));
    // An error about the data, such as a repeated key, is not one of the syntax.
    if error.is_data() {
        return format!("'{shown}', at column {column}: {what}");
    }
    format!("'{shown}' is not JSON, at column {column}: {}", reason(what, text))
}

/// What the parser's message means.
fn reason<'a>(what: &'a str, text: &str) -> &'a str {
    match what {
        "key must be a string" => "the name of a field needs double quotes",
        "trailing comma" => "a comma is followed by no value; remove it",
        "trailing characters" => "more text follows the end of the object",
        "expected `,` or `}`" => "a comma or } is missing",
        "expected `,` or `]`" => "a comma or ] is missing",
        "expected `:`" => "a colon is missing after the name of a field",
        "invalid escape" => "JSON has no such escape; a backslash is written as \\\\",
        "invalid number" => "JSON has no such number",
        "recursion limit exceeded" => "it is nested too deeply",
        "expected value" | "expected ident" if !text.starts_with(['{', '[', '"']) => "it begins with no {",
        "expected value" | "expected ident" => "no value begins here; a text needs double quotes",
        _ if what.starts_with("EOF while parsing a string") => {
            "it ends within a text; the closing quote is missing"
        }
        _ if what.starts_with("EOF while parsing") => "it ends too early; a closing } or ] is missing",
        _ if what.starts_with("control character") => {
            "a text contains a control character; write a tab as \\t and a line end as \\n"
        }
        _ if what.contains("surrogate") || what.contains("code point") => "JSON has no such \\u escape",
        _ => what,
    }
}

/// The part of the text around a column, counted in bytes from 1.
fn around(text: &str, column: usize) -> String {
    let before = text.get(..column.saturating_sub(1)).unwrap_or(text);
    let skipped = before.chars().count().saturating_sub(SHOWN_BEFORE);
    // A short start is shown with the rest.
    if skipped < SHOWN_BEFORE {
        return visible_excerpt(text, SHOWN);
    }
    let shown: String = text.chars().skip(skipped).collect();
    format!("…{}", visible_excerpt(&shown, SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exact_json::parse_exact;

    #[test]
    fn an_error_shows_the_text_and_says_what_is_wrong() {
        fn check(text: &str, column: usize, reason: &str) {
            let message = json_error(text, &parse_exact(text).unwrap_err());
            assert!(message.starts_with(&format!("'{text}' is not JSON, at column {column}: ")), "{message}");
            assert!(message.ends_with(reason), "{message}");
        }
        check(r#"{"key":"a""#, 10, "a closing } or ] is missing");
        check(r#"{"key":"a"#, 9, "the closing quote is missing");
        check(r#"{key:"a"}"#, 2, "the name of a field needs double quotes");
        check(r#"{'key':'a'}"#, 2, "the name of a field needs double quotes");
        check(r#"{"key":"a",}"#, 12, "a comma is followed by no value; remove it");
        check(r#"{"key":"a"} {"key":"b"}"#, 13, "more text follows the end of the object");
        check(r#"{"key":"a" "b":1}"#, 12, "a comma or } is missing");
        check(r#"{"key" "a"}"#, 8, "a colon is missing after the name of a field");
        check(r#"{"key":"a","n":NaN}"#, 16, "no value begins here; a text needs double quotes");
        check(r#"{"key":"a","n":01}"#, 17, "JSON has no such number");
        check(r#"{"key":a}"#, 8, "no value begins here; a text needs double quotes");
        check("key,title", 1, "it begins with no {");
        check("// comment", 1, "it begins with no {");
    }

    #[test]
    fn a_long_text_is_shown_around_the_error() {
        let text = format!("{{\"text\": \"{}\", wrong, \"more\": \"{}\"}}", "é".repeat(100), "b".repeat(100));
        let message = json_error(&text, &parse_exact(&text).unwrap_err());
        assert!(message.starts_with("'…") && message.contains("\", wrong, \"more\""), "{message}");
        assert!(message.chars().count() < 160, "{message}");
    }
}
