//! A JSON text and its formatting: where the members of an object are, and how to format a new one.

use std::ops::Range;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// The formatting of a file.
pub(super) struct Style {
    /// One level of indentation; `None` if the file is a single line.
    indent: Option<String>,
    newline: &'static str,
}

impl Style {
    pub(super) fn of(text: &str) -> Style {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let inside = text.trim();
        let indent = inside.contains('\n').then(|| {
            let second = inside.lines().skip(1).find(|line| !line.trim().is_empty()).unwrap_or_default();
            let indent: String = second.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
            if indent.is_empty() { "  ".to_owned() } else { indent }
        });
        Style { indent, newline }
    }

    pub(super) fn render(&self, value: &Value, depth: usize) -> Result<String, String> {
        match &self.indent {
            None => Ok(value.to_string()),
            Some(indent) => Ok(pretty(value, indent, &indent.repeat(depth))?.replace('\n', self.newline)),
        }
    }

    fn line(&self, depth: usize) -> String {
        match &self.indent {
            None => String::new(),
            Some(indent) => format!("{}{}", self.newline, indent.repeat(depth)),
        }
    }
}

/// A JSON object within a text that is known to be JSON.
pub(super) struct ObjectText {
    members: Vec<(String, Range<usize>)>,
    /// The position after the last member, or after the opening brace.
    end: usize,
    /// The position of the closing brace.
    close: usize,
}

impl ObjectText {
    pub(super) fn at(text: &str, start: usize) -> Option<ObjectText> {
        let mut at = start + text.get(start..)?.strip_prefix('{').map(|_| 1)?;
        let mut object = ObjectText { members: Vec::new(), end: at, close: at };
        loop {
            at = skip(text, at, &[',']);
            if text.get(at..)?.starts_with('}') {
                object.close = at;
                return Some(object);
            }
            let (key, key_end) = value_at::<String>(text, at)?;
            let start = skip(text, key_end, &[':']);
            let (IgnoredAny, end) = value_at(text, start)?;
            object.members.push((key, start..end));
            object.end = end;
            at = end;
        }
    }

    /// The position of a member's value.
    pub(super) fn value(&self, key: &str) -> Result<Option<Range<usize>>, String> {
        let mut found = self.members.iter().filter(|(name, _)| name == key);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(format!("it has {key} twice")),
            (found, _) => Ok(found.map(|(_, range)| range.clone())),
        }
    }

    /// The text with one more member at the end of this object.
    pub(super) fn with(
        &self,
        text: &str,
        key: &str,
        value: &Value,
        style: &Style,
        depth: usize,
    ) -> Result<String, String> {
        let comma = if self.members.is_empty() { "" } else { "," };
        let space = if style.indent.is_none() && !self.members.is_empty() { " " } else { "" };
        let member = format!(
            "{comma}{space}{}{}: {}",
            style.line(depth),
            Value::from(key),
            style.render(value, depth)?
        );
        // The closing brace moves to its own line if it was on the last member's line, as in `{}`.
        let closing = text.get(self.end..self.close).unwrap_or_default();
        let closing = if closing.contains('\n') { closing.to_owned() } else { style.line(depth - 1) };
        let mut text = text.to_owned();
        text.replace_range(self.end..self.close, &format!("{member}{closing}"));
        Ok(text)
    }
}

/// Skips white space and separators.
fn skip(text: &str, at: usize, separator: &[char]) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    text.len() - rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || separator.contains(&c)).len()
}

/// The value at a position, and the position after it.
fn value_at<T: DeserializeOwned>(text: &str, at: usize) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, at + values.byte_offset()))
}

/// The value on several lines, each but the first indented by `margin`.
pub(super) fn pretty(value: &Value, indent: &str, margin: &str) -> Result<String, String> {
    let mut text = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(indent.as_bytes()));
    value.serialize(&mut serializer).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(text.replace('\n', &format!("\n{margin}")))
}
