//! A setting with placeholders, `{batch}` and the like: what may stand in it, and how it is filled.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Job;
use crate::error::{Error, Result};
use crate::model::text::excerpt;

/// What a placeholder stands for, but `{home}`, which is filled when the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Batch,
    Chunk,
    Project,
    McpConfig,
}

impl Word {
    const ALL: [Word; 4] = [Word::Batch, Word::Chunk, Word::Project, Word::McpConfig];

    fn name(self) -> &'static str {
        match self {
            Word::Batch => "batch",
            Word::Chunk => "chunk",
            Word::Project => "project",
            Word::McpConfig => "mcp_config",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Word(Word),
}

/// A text with its placeholders found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// Finds the placeholders: a lower-case word in braces. `{{word}}` is that word in braces and no
    /// placeholder; braces around anything else stand for themselves, so that JSON needs no care.
    ///
    /// # Errors
    /// A placeholder that isn't one of `allowed` or `{home}`; `{home}` where there is no home folder.
    pub(super) fn parse(text: &str, allowed: &[Word], home: Option<&str>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(word) = braced(rest, "{{", "}}") {
                plain.push_str(&rest[1..word.len() + 3]);
                rest = &rest[word.len() + 4..];
            } else if let Some(name) = braced(rest, "{", "}") {
                rest = &rest[name.len() + 2..];
                match allowed.iter().find(|word| word.name() == name) {
                    Some(&word) => {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                        parts.push(Part::Word(word));
                    }
                    None if name == "home" => plain.push_str(home.ok_or(
                        "there is no home folder (or its name is not UTF-8) to put for {home}; write the path itself",
                    )?),
                    None => return Err(unknown(name, allowed)),
                }
            } else {
                plain.push('{');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Template(parts))
    }

    /// Whether a placeholder stands in it.
    pub(super) fn holds(&self, word: Word) -> bool {
        self.0.contains(&Part::Word(word))
    }

    /// What it begins with, up to the first placeholder.
    pub(super) fn start(&self) -> &str {
        match self.0.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The text for one job.
    ///
    /// # Errors
    /// An id or a project whose name is no plain name, and a placeholder for which there is nothing.
    pub(super) fn fill(&self, job: &Job<'_>, mcp_config: Option<&Path>) -> Result<OsString> {
        let mut filled = OsString::new();
        for part in &self.0 {
            let value = match part {
                Part::Text(text) => OsStr::new(text),
                Part::Word(Word::Batch) => plain_name("batch", job.batch.as_str())?,
                Part::Word(Word::Chunk) => plain_name("chunk", job.chunk.as_str())?,
                Part::Word(Word::Project) => {
                    let project = job.project.ok_or_else(|| {
                        Error::invalid(
                            "{project}: the batch has no project; make it with one, or take {project} out of the profile",
                        )
                    })?;
                    plain_name("project", project)?
                }
                Part::Word(Word::McpConfig) => {
                    let path = mcp_config.ok_or_else(|| {
                        Error::invalid("{mcp_config}: there is none, because the profile runs once an item")
                    })?;
                    path.as_os_str()
                }
            };
            filled.push(value);
        }
        Ok(filled)
    }
}

fn braced<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let inner = text.strip_prefix(open)?;
    let end = inner.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    (end > 0 && inner[end..].starts_with(close)).then(|| &inner[..end])
}

fn unknown(name: &str, allowed: &[Word]) -> String {
    let list: Vec<String> =
        allowed.iter().map(|word| format!("{{{}}}", word.name())).chain(["{home}".to_owned()]).collect();
    let elsewhere = if Word::ALL.iter().any(|word| word.name() == name) {
        "stands for nothing here"
    } else {
        "is no placeholder"
    };
    format!(
        "{{{name}}} {elsewhere}; there are {}, and {{{{{name}}}}} for the word in braces",
        list.join(", ")
    )
}

/// A value that may become part of a path or an argument: one folder's name, and nothing that a program
/// could take for an option or a step upwards. Projects are named by agents, so this is where they are held.
pub(super) fn plain_name<'a>(what: &str, value: &'a str) -> Result<&'a OsStr> {
    let plain = value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.len() <= 100
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if plain {
        return Ok(OsStr::new(value));
    }
    Err(Error::invalid(format!(
        "{{{what}}}: '{}' cannot be part of a path; at most 100 letters, digits, '.', '-' or '_', the first a letter or digit",
        excerpt(value)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::TaskId;

    fn fill(text: &str, project: Option<&str>) -> Result<String, String> {
        let (batch, chunk) = (TaskId::stored("b1".into()), TaskId::stored("b1.02".into()));
        let template = Template::parse(text, &Word::ALL, Some("/home/me"))?;
        let job = Job { batch: &batch, chunk: &chunk, project };
        let filled =
            template.fill(&job, Some(Path::new("/run/mcp.json"))).map_err(|error| error.to_string())?;
        filled.into_string().map_err(|_| "not UTF-8".to_owned())
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_left() {
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
    fn what_is_no_placeholder_or_no_plain_name_is_refused() {
        #[track_caller]
        fn check(text: &str, project: Option<&str>, names: &str) {
            let refusal = fill(text, project).expect_err(text);
            assert!(refusal.contains(names), "{text}: {refusal}");
        }
        check("{prompt}", None, "{prompt} is no placeholder");
        check("{project}", None, "no project");
        for project in ["..", ".", "", "-x", ".git", "a/b", "/etc", "a b", "a\0", "é", &"x".repeat(101)] {
            check("{project}", Some(project), "cannot be part of a path");
        }
        let here = Template::parse("{mcp_config}", &[Word::Batch], None).unwrap_err();
        assert!(here.contains("stands for nothing here; there are {batch}, {home}"), "{here}");
        assert!(Template::parse("{home}", &[], None).unwrap_err().contains("no home folder"));
    }
}
