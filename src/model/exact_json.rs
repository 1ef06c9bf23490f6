//! JSON as it was written: numbers keep all their digits, and an object that repeats a key is refused.
//!
//! `serde_json` rounds a number that fits neither 64 bits nor a double, and keeps the last of two equal keys. Its
//! feature `arbitrary_precision` would keep the digits, but breaks untagged enums, which every MCP message is.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::field::visible_excerpt;

/// A number of so many digits fits a double.
const DIGITS_OF_A_DOUBLE: usize = 15;

/// Parses a JSON text. A number that would lose digits becomes the string of its digits.
///
/// # Errors
/// The text is not JSON, or an object repeats a key.
pub fn parse_exact(text: &str) -> Result<Value, serde_json::Error> {
    let quoted = quote_inexact_numbers(text);
    if let Cow::Owned(_) = quoted {
        // Quoting could turn an invalid text into a valid one.
        serde_json::from_str::<IgnoredAny>(text)?;
    }
    serde_json::from_str::<Checked>(&quoted).map(|checked| checked.0)
}

/// Says which key an object repeats in a JSON text whose inexact numbers are quoted; none if no object does, or if the
/// text is not JSON.
pub fn find_repeated_key(quoted: &str) -> Option<String> {
    match serde_json::from_str::<Unrepeated>(quoted) {
        // The place within the text would not help a caller that did not write the text.
        Err(error) if error.is_data() => error.to_string().split(" at line ").next().map(str::to_owned),
        _ => None,
    }
}

/// The text with numbers that would lose digits as strings.
pub fn quote_inexact_numbers(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut quoted = String::new();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let start = at;
                at += 1;
                while at < bytes.len() && matches!(bytes[at], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
                {
                    at += 1;
                }
                if !is_exact(&text[start..at]) {
                    quoted.push_str(&text[copied..start]);
                    quoted.extend(["\"", &text[start..at], "\""]);
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    quoted.push_str(&text[copied..]);
    Cow::Owned(quoted)
}

/// The text without whitespace between its tokens.
pub fn compact(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut compact = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => {
                while at < bytes.len() && !matches!(bytes[at], b'"' | b' ' | b'\t' | b'\n' | b'\r') {
                    at += 1;
                }
            }
        }
        compact.push_str(&text[start..at]);
    }
    compact
}

/// Where the string that opens at `at` ends, behind its closing quote.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether `serde_json` holds this number without losing digits.
fn is_exact(number: &str) -> bool {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let is_integer = !number.contains(['.', 'e', 'E']);
    if digits <= DIGITS_OF_A_DOUBLE && !number.contains(['e', 'E']) {
        return true;
    }
    if is_integer {
        return number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    }
    match number.parse::<f64>() {
        Ok(double) if double.is_finite() => significant(number) == significant(&format!("{double:e}")),
        _ => false,
    }
}

/// The digits of a number without zeros at either end, and the power of ten of the last one.
fn significant(number: &str) -> Option<(String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let without_end = digits.trim_end_matches('0');
    if without_end.is_empty() {
        return Some((String::new(), 0));
    }
    let dropped = i64::try_from(digits.len() - without_end.len()).ok()?;
    let power = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    Some((without_end.trim_start_matches('0').to_owned(), power))
}

/// A value none of whose objects repeats a key.
struct Checked(Value);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Checked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Checked, E> {
                Ok(Checked(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Checked, E> {
                Ok(Checked(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Checked, E> {
                Ok(Checked(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Checked, E> {
                Ok(Checked(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Checked, E> {
                Ok(Checked(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Checked, E> {
                Ok(Checked(value.into()))
            }
            fn visit_string<E>(self, value: String) -> Result<Checked, E> {
                Ok(Checked(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Checked, A::Error> {
                let mut list = Vec::new();
                while let Some(Checked(value)) = values.next_element()? {
                    list.push(value);
                }
                Ok(Checked(Value::Array(list)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Checked, A::Error> {
                let mut map = Map::new();
                while let Some(key) = entries.next_key::<String>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(repeated(&key)));
                    }
                    let Checked(value) = entries.next_value()?;
                    map.insert(key, value);
                }
                Ok(Checked(Value::Object(map)))
            }
        }
        deserializer.deserialize_any(Values)
    }
}

/// JSON none of whose objects repeats a key.
struct Unrepeated;

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Unrepeated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }
            fn visit_str<E>(self, _: &str) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Unrepeated, A::Error> {
                while values.next_element::<Unrepeated>()?.is_some() {}
                Ok(Unrepeated)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unrepeated, A::Error> {
                let mut keys = HashSet::new();
                while let Some(key) = entries.next_key::<String>()? {
                    if keys.contains(&key) {
                        return Err(A::Error::custom(repeated(&key)));
                    }
                    keys.insert(key);
                    entries.next_value::<Unrepeated>()?;
                }
                Ok(Unrepeated)
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

fn repeated(key: &str) -> String {
    format!("the key '{}' occurs twice in one object; remove one", visible_excerpt(key, 80))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_would_lose_digits_become_strings() {
        fn check(text: &str, expected: &str) {
            assert_eq!(parse_exact(text).unwrap().to_string(), expected, "{text}");
        }
        check(r#"{"n":1234567890123456789012}"#, r#"{"n":"1234567890123456789012"}"#);
        check("[18446744073709551615,-9223372036854775808]", "[18446744073709551615,-9223372036854775808]");
        check(
            "[18446744073709551616,-9223372036854775809]",
            r#"["18446744073709551616","-9223372036854775809"]"#,
        );
        check("3.14159265358979323846", r#""3.14159265358979323846""#);
        check("[0.1,19.99,1.10,-0.5,1e3,2.5E-3]", "[0.1,19.99,1.1,-0.5,1000.0,0.0025]");
        check(
            "[0.30000000000000004,1.7976931348623157e308]",
            "[0.30000000000000004,1.7976931348623157e+308]",
        );
        check("[1e400,1e-400]", r#"["1e400","1e-400"]"#);
        check("[100000000000000000000000]", r#"["100000000000000000000000"]"#);
        check(
            r#"["12345678901234567890123 \" 1e999", "\\"]"#,
            r#"["12345678901234567890123 \" 1e999","\\"]"#,
        );
        for invalid in
            ["{12345678901234567890123:1}", "[1234567890123456789012-3]", "[0123456789012345678901]"]
        {
            assert!(parse_exact(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        for text in [
            r#"{"key":"b","key":"c"}"#,
            r#"{"a":[{"b":{"k":1,"k":1}}]}"#,
            r#"{"key":1,"k\u0065y":1e400}"#,
            r#"{"":0,"":0}"#,
        ] {
            assert!(parse_exact(text).unwrap_err().to_string().contains("occurs twice"), "{text}");
            assert!(
                find_repeated_key(&quote_inexact_numbers(text)).unwrap().contains("occurs twice"),
                "{text}"
            );
        }
        for text in [r#"{"a":{"key":1},"b":{"key":1},"Key":1}"#, "[1e400]", "{", "nothing"] {
            assert_eq!(find_repeated_key(&quote_inexact_numbers(text)), None, "{text}");
        }
    }

    #[test]
    fn compact_text_has_the_same_tokens() {
        assert_eq!(
            compact("{\n  \"a b\" : [ 1,\t2e5 ],\r\n \"c\": \"\\\" d\" }"),
            r#"{"a b":[1,2e5],"c":"\" d"}"#
        );
    }
}
