//! Settings with placeholders such as `{batch}`: which are allowed, and how they are filled.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;

/// The longest name that may replace a placeholder, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// What the placeholders of a profile stand for.
#[derive(Debug, Clone, Copy)]
pub struct PlaceholderValues<'a> {
    /// `{batch}`
    pub batch: &'a TaskId,
    /// `{chunk}`
    pub chunk: &'a TaskId,
    /// `{project}`, if the batch has one.
    pub project: Option<&'a str>,
}

/// A placeholder that is filled for each chunk. `{home}` is not among them: it is filled when the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholder {
    Batch,
    Chunk,
    Project,
    McpConfig,
}

impl Placeholder {
    const ALL: [Placeholder; 4] =
        [Placeholder::Batch, Placeholder::Chunk, Placeholder::Project, Placeholder::McpConfig];

    fn name(self) -> &'static str {
        match self {
            Placeholder::Batch => "batch",
            Placeholder::Chunk => "chunk",
            Placeholder::Project => "project",
            Placeholder::McpConfig => "mcp_config",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplatePart<P> {
    Literal(String),
    Placeholder(P),
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template<P = Placeholder>(pub(super) Vec<TemplatePart<P>>);

impl<P> Template<P> {
    /// The text with its placeholders replaced. A value is inserted as it is: nothing in it is a placeholder.
    pub(super) fn replace<'v, E>(
        &'v self,
        value: impl Fn(&P) -> Result<&'v OsStr, E>,
    ) -> Result<OsString, E> {
        let mut filled = OsString::new();
        for part in &self.0 {
            filled.push(match part {
                TemplatePart::Literal(text) => OsStr::new(text),
                TemplatePart::Placeholder(placeholder) => value(placeholder)?,
            });
        }
        Ok(filled)
    }
}

impl Template {
    /// Parses the placeholders of a text. A placeholder is a lower-case word in braces; `{{word}}` is the literal text
    /// `{word}`. Braces around anything else are literal, so that JSON needs no escaping.
    ///
    /// # Errors
    /// A placeholder that is neither in `allowed` nor `{home}`, or `{home}` without a home folder.
    pub(super) fn parse(text: &str, allowed: &[Placeholder], home: Option<&str>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut remaining = text;
        while let Some(at) = remaining.find('{') {
            literal.push_str(&remaining[..at]);
            remaining = &remaining[at..];
            if let Some(word) = braced_word(remaining, "{{", "}}") {
                literal.push_str(&remaining[1..word.len() + 3]);
                remaining = &remaining[word.len() + 4..];
            } else if let Some(name) = braced_word(remaining, "{", "}") {
                remaining = &remaining[name.len() + 2..];
                match allowed.iter().find(|placeholder| placeholder.name() == name) {
                    Some(&placeholder) => {
                        parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
                        parts.push(TemplatePart::Placeholder(placeholder));
                    }
                    None if name == "home" => literal.push_str(home.ok_or(
                        "{home} has no value, because there is no home folder or its path is not UTF-8; write the path itself",
                    )?),
                    None => return Err(bad_placeholder(name, allowed)),
                }
            } else {
                literal.push('{');
                remaining = &remaining[1..];
            }
        }
        literal.push_str(remaining);
        parts.push(TemplatePart::Literal(literal));
        parts.retain(|part| *part != TemplatePart::Literal(String::new()));
        Ok(Template(parts))
    }

    /// Whether it contains a placeholder.
    pub(super) fn contains(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&TemplatePart::Placeholder(placeholder))
    }

    /// The literal text before the first placeholder.
    pub(super) fn literal_start(&self) -> &str {
        match self.0.first() {
            Some(TemplatePart::Literal(text)) => text,
            _ => "",
        }
    }

    /// The text with its placeholders replaced.
    ///
    /// # Errors
    /// A placeholder has no value, or its value is not a plain name.
    pub(super) fn fill<'v>(
        &'v self,
        values: &PlaceholderValues<'v>,
        mcp_config: Option<&'v Path>,
    ) -> Result<OsString> {
        self.replace(|placeholder| match placeholder {
            Placeholder::Batch => plain_name("batch", values.batch.as_str()),
            Placeholder::Chunk => plain_name("chunk", values.chunk.as_str()),
            Placeholder::Project => {
                let project = values.project.ok_or_else(|| {
                    Error::invalid(
                        "{project}: the batch has no project; create it with one, or remove {project} from the profile",
                    )
                })?;
                plain_name("project", project)
            }
            Placeholder::McpConfig => mcp_config.map(Path::as_os_str).ok_or_else(|| {
                Error::invalid("{mcp_config} has no value, because the profile has per = \"item\"; remove it from the profile")
            }),
        })
    }
}

fn braced_word<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let inner = text.strip_prefix(open)?;
    let end = inner.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    (end > 0 && inner[end..].starts_with(close)).then(|| &inner[..end])
}

fn bad_placeholder(name: &str, allowed: &[Placeholder]) -> String {
    let allowed: Vec<String> = allowed
        .iter()
        .map(|placeholder| format!("{{{}}}", placeholder.name()))
        .chain(["{home}".to_owned()])
        .collect();
    let allowed = allowed.join(", ");
    let problem = if Placeholder::ALL.iter().any(|placeholder| placeholder.name() == name) {
        "has no value here"
    } else {
        "is not a placeholder"
    };
    format!("{{{name}}} {problem}; allowed: {allowed}; write {{{{{name}}}}} for the literal text {{{name}}}")
}

/// Checks that a value may become part of a path or an argument: the name of one folder, which no program takes for an
/// option or for a step upwards. Agents choose projects, so this check guards against them.
pub(super) fn plain_name<'a>(what: &str, value: &'a str) -> Result<&'a OsStr> {
    let is_plain = value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.len() <= MAX_NAME_BYTES
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if is_plain {
        return Ok(OsStr::new(value));
    }
    Err(Error::invalid(format!(
        "{{{what}}}: '{}' cannot be part of a path; allowed: 1 to {MAX_NAME_BYTES} letters, digits, '.', '-' or '_', starting with a letter or digit",
        excerpt(value)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, project: Option<&str>) -> Result<String, String> {
        let (batch, chunk) = (TaskId::stored("b1".into()), TaskId::stored("b1.02".into()));
        let template = Template::parse(text, &Placeholder::ALL, Some("/home/me"))?;
        let values = PlaceholderValues { batch: &batch, chunk: &chunk, project };
        let filled =
            template.fill(&values, Some(Path::new("/run/mcp.json"))).map_err(|error| error.to_string())?;
        filled.into_string().map_err(|_| "not UTF-8".to_owned())
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_are_literal() {
        #[track_caller]
        fn check(text: &str, filled: &str) {
            assert_eq!(fill(text, Some("mail")).as_deref(), Ok(filled), "{text}");
        }
        check("{home}/{project}/{batch}/{chunk}", "/home/me/mail/b1/b1.02");
        check("--mcp-config={mcp_config}", "--mcp-config=/run/mcp.json");
        check(r#"{"a": {"b": {}}}"#, r#"{"a": {"b": {}}}"#);
        check("{{chunk}} {{}} {Chunk} {chunk", "{chunk} {{}} {Chunk} {chunk");
        check("", "");
    }

    #[test]
    fn unknown_placeholders_and_unsafe_names_are_refused() {
        #[track_caller]
        fn check(text: &str, project: Option<&str>, expected: &str) {
            let refusal = fill(text, project).expect_err(text);
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
        check("{prompt}", None, "{prompt} is not a placeholder");
        check("{project}", None, "no project");
        for project in ["..", ".", "", "-x", ".git", "a/b", "/etc", "a b", "a\0", "é", &"x".repeat(101)] {
            check("{project}", Some(project), "cannot be part of a path");
        }
        let refusal = Template::parse("{mcp_config}", &[Placeholder::Batch], None).unwrap_err();
        assert!(refusal.contains("has no value here; allowed: {batch}, {home}"), "{refusal}");
        assert!(Template::parse("{home}", &[], None).unwrap_err().contains("no home folder"));
    }
}
